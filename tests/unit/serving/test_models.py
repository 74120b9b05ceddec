import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from classifier import artifact
from classifier.errors import UserError
from classifier.serving import models as module
from classifier.serving.journal import Journal, Planned
from classifier.serving.models import AlreadyLoaded, Models, NoMemory, NotLoaded, NotYetLoaded, needed_bytes
from classifier.serving.predictor import load_predictor
from conftest import CLASSES, IMAGE_SIZE
from waits import PATIENCE_S, wait_until

PIXELS = np.full((IMAGE_SIZE, IMAGE_SIZE, 3), 99, np.uint8)


@pytest.fixture(scope="module")
def size(artifact_folder) -> int:
    """The memory that the artifact is thought to take."""
    return needed_bytes(artifact_folder, artifact.read(artifact_folder), "fp32")


@pytest.fixture
def models(size) -> Models:
    """Room for two models and a half."""
    return Models(int(2.5 * size), "fp32", 2, Journal())


def test_a_model_answers_as_it_does_alone_until_it_is_unloaded(models, artifact_folder):
    models.load("a", str(artifact_folder))
    assert models.urls() == {"a": str(artifact_folder)}
    with models.lend("a") as model:
        assert model.classes == CLASSES
        row = model.submit(PIXELS, time.monotonic() + PATIENCE_S).result(PATIENCE_S).row
    alone = load_predictor(artifact_folder, artifact.read(artifact_folder), "fp32")
    np.testing.assert_allclose(row, alone.in_lane(1)(PIXELS[None])[0], atol=1e-5)
    models.unload("a")
    assert models.urls() == {}
    for refused in (models.unload, lambda name: models.lend(name).__enter__()):
        with pytest.raises(NotLoaded):
            refused("a")


def test_there_is_room_again_once_a_model_is_unloaded(models, artifact_folder, size):
    for name in "ab":
        models.load(name, str(artifact_folder))
    with pytest.raises(NoMemory, match=f"it needs {size / 1e6:.0f} MB, and of .* for models .* are left"):
        models.load("c", str(artifact_folder))
    with pytest.raises(AlreadyLoaded):
        models.load("a", str(artifact_folder))
    models.unload("a")
    models.load("c", str(artifact_folder))
    assert list(models.urls()) == ["b", "c"]


def test_none_is_loaded_into_memory_that_others_have_taken(models, artifact_folder, monkeypatch):
    monkeypatch.setattr(module, "free_memory", lambda: 1000)
    with pytest.raises(NoMemory, match="0 MB are left"):
        models.load("a", str(artifact_folder))


def test_what_fails_to_load_takes_neither_name_nor_memory(models, artifact_folder, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="no model artifact"):
        models.load("a", str(tmp_path))

    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(module, "load_on_cpu", fail)
    for _ in range(3):
        with pytest.raises(NoMemory, match="more memory than there is"):
            models.load("a", str(artifact_folder))
    monkeypatch.undo()
    models.load("a", str(artifact_folder))


def test_a_model_is_unloaded_only_after_its_requests(models, artifact_folder):
    models.load("a", str(artifact_folder))
    with models.lend("a") as model:
        unloading = threading.Thread(target=models.unload, args=("a",))
        unloading.start()
        wait_until(lambda: not models.urls(), "no more requests may use it")
        assert model.submit(PIXELS, time.monotonic() + PATIENCE_S).result(PATIENCE_S)
        assert unloading.is_alive()
    unloading.join(PATIENCE_S)
    assert not unloading.is_alive()


def test_the_journal_has_what_was_written_last():
    journal = Journal()
    assert journal.read() == {}
    for planned in ({"a": Planned("/x", 0), "b": Planned("/y", 1)}, {"b": Planned("/y", 0)}):
        journal.write(lambda planned=planned: planned)
        assert journal.read() == planned


def test_loads_that_a_kill_has_cut_are_done_again_but_not_for_ever(artifact_folder, monkeypatch, caplog):
    """What ended no process is loaded first, and what ended two is what ends them."""
    url, journal, seen = str(artifact_folder), Journal(), []

    def end(*_: object, **__: object) -> None:
        seen.append(journal.read())
        raise UserError("it ends here")

    def begin(**cuts: int) -> Models:
        journal.write(lambda: {name: Planned(url, number) for name, number in cuts.items()})
        return Models(10**9, "fp32", 2, journal)

    monkeypatch.setattr(module, "load_on_cpu", end)
    with pytest.raises(UserError, match="it ends here"):
        begin(good=0).load("bad", url)
    begin(bad=1, good=0).load_again()
    assert seen == [{"good": (url, 0), "bad": (url, 1)}, {"bad": (url, 1), "good": (url, 1)}, {"bad": (url, 2)}]
    begin(bad=2).load_again()
    assert len(seen) == 3
    assert "bad is not loaded again: 2 processes ended loading it" in caplog.text
    assert journal.read() == {}


def test_one_that_is_being_loaded_is_unloaded_once_it_is_there(models, artifact_folder, monkeypatch):
    go_on, load = threading.Event(), module.load_on_cpu
    monkeypatch.setattr(module, "load_on_cpu", lambda *args, **more: go_on.wait(PATIENCE_S) and load(*args, **more))
    with ThreadPoolExecutor() as pool:
        loading = pool.submit(models.load, "a", str(artifact_folder))
        wait_until(lambda: models._entries, "the load has begun")
        unloading = pool.submit(models.unload, "a")
        with pytest.raises(NotYetLoaded), models.lend("a"):
            pass
        assert not unloading.done()
        go_on.set()
        loading.result(PATIENCE_S)
        unloading.result(PATIENCE_S)
    assert models.urls() == {}
