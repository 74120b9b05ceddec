import os
import threading
from itertools import islice

from classifier.training.checking import survey as module
from classifier.training.checking.survey import survey
from classifier.training.data.folders import read_dataset
from helpers import photo


def make_dataset(folder, count=4):
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            photo(60 + number, 40, seed=number).save(folder / name / f"{number}.jpg")
    return read_dataset({"train": folder}, seed=0)


def test_measures_are_in_the_order_of_the_phases(tmp_path):
    dataset = make_dataset(tmp_path)
    found = survey(dataset)
    assert found.readable.all()
    assert [str(path) for path in found.paths] == [
        str(phase.folder / file) for phase in dataset.phases for file in phase.files
    ]
    assert [tuple(sides) for sides in found.sides] == [(60 + int(path.stem), 40) for path in found.paths]
    assert found.shown(0).startswith("train: cat/")


def test_after_its_seconds_a_survey_is_what_was_seen(tmp_path, monkeypatch):
    waiting = threading.Event()
    looked = module.look_at

    def look(path):
        if path.name == "1.jpg":
            waiting.wait()  # as for a file of a network disk that hangs
        return looked(path)

    monkeypatch.setattr(module, "look_at", look)
    monkeypatch.setattr(module, "usable_cores", lambda: 4)
    found = survey(make_dataset(tmp_path), seconds=1)
    assert found.looked_at == 6
    assert len(found) == 8
    waiting.set()


def test_a_part_is_the_later_splits_and_some_of_each_class(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "usable_cores", lambda: 1)
    dataset = make_dataset(tmp_path, count=20)
    found = survey(dataset, progress=lambda looks, **_about: islice(looks, 8 + 8))
    assert found.looked_at == 16
    assert found.readable[found.phases == 1].all()
    assert set(found.labels[found.readable & (found.phases == 0)]) == {0, 1}


def test_what_is_no_file_is_unreadable(tmp_path):
    dataset = make_dataset(tmp_path)
    (tmp_path / "cat/0.jpg").unlink()
    os.mkfifo(tmp_path / "cat/0.jpg")
    assert list(survey(dataset).unreadable.values()) == ["not a regular file"]
