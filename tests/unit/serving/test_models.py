import hashlib
import json
import logging
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from classifier import artifact
from classifier.artifact import METADATA_FILE
from classifier.artifact_fields import WEIGHTS_FILE
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
    for planned in ({"a": Planned("/x", 0, "digest"), "b": Planned("/y", 1)}, {"b": Planned("/y", 0)}):
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
    assert [{name: cuts for name, (_, cuts, _) in planned.items()} for planned in seen] == [
        {"good": 0, "bad": 1},
        {"bad": 1, "good": 1},
        {"bad": 2},
    ]
    begin(bad=2).load_again()
    assert len(seen) == 3
    assert "bad is not loaded again: 2 processes ended loading it" in caplog.text
    assert journal.read() == {}


def change_classes(folder: Path) -> None:
    values = json.loads((folder / METADATA_FILE).read_text())
    (folder / METADATA_FILE).unlink()  # other folders may have the same file
    (folder / METADATA_FILE).write_text(json.dumps(values | {"classes": values["classes"][::-1]}))


def change_weights(folder: Path) -> None:
    """Let it be the artifact of other weights, whole in itself."""
    values, path = json.loads((folder / METADATA_FILE).read_text()), folder / WEIGHTS_FILE
    weights = safetensors.numpy.load_file(path)
    weights["fc.bias"] = weights["fc.bias"] + 1
    path.unlink()
    safetensors.numpy.save_file(weights, path)
    values["sha256"] |= {WEIGHTS_FILE: hashlib.sha256(path.read_bytes()).hexdigest()}
    (folder / METADATA_FILE).unlink()
    (folder / METADATA_FILE).write_text(json.dumps(values))


@pytest.mark.parametrize("change", [change_classes, change_weights])
def test_what_has_taken_the_place_of_a_model_is_loaded_only_by_a_client(change, artifact_folder, tmp_path, caplog):
    """Of it no client knows, and of its classes."""
    journal = Journal()
    for name in "ab":
        shutil.copytree(artifact_folder, tmp_path / name, copy_function=os.link)
    before = Models(10**9, "fp32", 2, journal)
    for name in "ab":
        before.load(name, str(tmp_path / name))
    change(tmp_path / "b")
    # Also in a process that follows one that was killed before it had loaded them.
    cut = {name: planned._replace(cuts=1) for name, planned in journal.read().items()}
    for _ in range(2):
        journal.write(lambda: cut)
        after = Models(10**9, "fp32", 2, journal)
        with caplog.at_level(logging.INFO):
            caplog.clear()
            after.load_again()
        (refused,) = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
        assert refused.startswith(f"b could not be loaded again: {tmp_path / 'b'} has another artifact than was loaded")
        assert list(after.urls()) == ["a"]
        assert list(journal.read()) == ["a"]
        with pytest.raises(NotLoaded), after.lend("b"):
            pass
    after.load("b", str(tmp_path / "b"))
    last = Models(10**9, "fp32", 2, journal)
    last.load_again()
    assert list(last.urls()) == ["a", "b"]


def test_a_model_whose_folder_was_written_again_is_the_same(artifact_folder, tmp_path):
    journal, folder = Journal(), tmp_path / "a"
    shutil.copytree(artifact_folder, folder)
    Models(10**9, "fp32", 2, journal).load("a", str(folder))
    shutil.rmtree(folder)
    shutil.copytree(artifact_folder, folder)
    (folder / METADATA_FILE).write_text(json.dumps(json.loads((folder / METADATA_FILE).read_text()), indent=3))
    after = Models(10**9, "fp32", 2, journal)
    after.load_again()
    assert list(after.urls()) == ["a"]


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
