import copy
import dataclasses
import hashlib
import io
import logging
import os
import shutil
import typing

import numpy as np
import pytest
import torch

from classifier.training import checkpoint
from classifier.training.checkpoint import Checkpoints, RandomState, identity
from classifier.training.data.folders import Dataset, Phase
from classifier.training.evaluate import Evaluation, Mistake
from classifier.training.history import History
from classifier.training.hyperparameters import FREE, Hyperparameters
from classifier.training.parallel.processes import ALONE

OURS = {"run": "a" * 64}


class Value:
    """A part whose state is a plain value."""

    def __init__(self, value=None):
        self.value = value

    def state_dict(self):
        return self.value

    def load_state_dict(self, state):
        self.value = state


def pickled(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def save(checkpoints, *steps):
    for step in steps:
        checkpoints.save(step, {"part": Value(step)})


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints", "a" * 64, ALONE)


def files(checkpoints):
    return sorted(path.name for path in checkpoints.folder.iterdir())


def loaded(checkpoints):
    part = Value()
    return part.value if checkpoints.load({"part": part}) else None


def test_the_newest_two_are_kept_and_the_newest_is_loaded(checkpoints):
    assert loaded(checkpoints) is None
    save(checkpoints, 5, 10, 20000)
    assert files(checkpoints) == ["step-0000000010.pt", "step-0000020000.pt"]
    assert loaded(checkpoints) == 20000


@pytest.mark.parametrize("damage", ["one bit", "cut", "empty"])
def test_a_damaged_newest_gives_the_one_before_it_and_is_said(checkpoints, damage, caplog):
    save(checkpoints, 1, 2)
    newest = checkpoints.folder / "step-0000000002.pt"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes({"one bit": content, "cut": content[:-9], "empty": b""}[damage])
    assert loaded(checkpoints) == 1
    assert caplog.messages == [f"{newest} is skipped: it is damaged"]


def test_what_was_cut_off_while_it_was_written_is_removed_at_the_start(checkpoints):
    save(checkpoints, 1)
    (checkpoints.folder / ".step-0000000002.pt.partial").write_bytes(b"half")
    assert loaded(checkpoints) == 1
    assert files(checkpoints) == ["step-0000000001.pt"]


class Strict(Value):
    """A part that takes only numbers, and notices only after it has changed."""

    def load_state_dict(self, state):
        self.value = state
        if not isinstance(state, int):
            raise AssertionError("not a number")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"not a pickle", "torch cannot read it (UnpicklingError)"),
        (b"", "torch cannot read it (EOFError)"),
        (pickled(print), "torch cannot read it (UnpicklingError)"),
        (pickled([1]), "it holds a list, not a state of each part"),
        (pickled({"first": 2, "second": 2}), "it is another run's"),
        (
            pickled(OURS | {"first": 2}),
            "it does not fit this run: ValueError: it has ['first'], not ['first', 'second']",
        ),
        (pickled(OURS | {"first": 2, "second": 2, "third": 2}), "it does not fit this run: ValueError: it has "),
        (pickled(OURS | {"first": 2, "second": "two"}), "it does not fit this run: AssertionError: not a number"),
    ],
)
def test_a_good_digest_with_bad_content_gives_the_one_before_it_and_changes_nothing(checkpoints, content, why, caplog):
    checkpoints.save(1, {"first": Value(1), "second": Value(1)})
    newest = checkpoints.folder / "step-0000000002.pt"
    newest.write_bytes(hashlib.sha256(content).digest() + content)
    first, second = Value(7), Strict(8)
    assert checkpoints.load({"first": first, "second": second})
    assert (first.value, second.value) == (1, 1)
    (message,) = caplog.messages
    assert message.startswith(f"{newest} is skipped: {why}")
    (checkpoints.folder / "step-0000000001.pt").unlink()
    first, second = Value(7), Strict(8)
    assert not checkpoints.load({"first": first, "second": second})
    assert (first.value, second.value) == (7, 8)


def test_half_a_network_is_not_loaded(checkpoints):
    model, bad = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2).state_dict()
    before = copy.deepcopy(model.state_dict())
    checkpoints.save(1, {"model": Value(bad | {"bias": torch.zeros(3)})})
    assert not checkpoints.load({"model": model})
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_pipe_is_not_opened(checkpoints):
    save(checkpoints, 1)
    os.mkfifo(checkpoints.folder / "step-0000000002.pt")
    assert loaded(checkpoints) == 1


def test_a_full_disk_leaves_the_last_good_one_and_a_sentence(checkpoints, caplog):
    save(checkpoints, 1)
    (checkpoints.folder / ".step-0000000002.pt.partial").symlink_to("/dev/full")
    save(checkpoints, 2)
    (message,) = caplog.messages
    assert message.startswith("no checkpoint of step 2: ")
    assert message.endswith("No space left on device")
    assert loaded(checkpoints) == 1


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path, caplog):
    (tmp_path / "checkpoints").write_text("a file where a folder should be")
    save(Checkpoints(tmp_path / "checkpoints", "a" * 64, ALONE), 1)
    assert "no checkpoint of step 1: " in caplog.text
    assert loaded(Checkpoints(tmp_path / "checkpoints", "a" * 64, ALONE)) is None


def test_a_strangers_is_left_alone_and_said(checkpoints, caplog):
    caplog.set_level(logging.INFO)
    stranger = Checkpoints(checkpoints.folder.parent, "b" * 64, ALONE)
    save(stranger, 1, 2)
    for marker in ("step-1.sagemaker-uploaded", f"{stranger.folder.name}.sagemaker-uploading", ".DS_Store"):
        (checkpoints.folder.parent / marker).touch()  # no run owns SageMaker's own files, and others'
    assert loaded(checkpoints) is None
    assert caplog.messages == [
        f"{checkpoints.folder.parent}: left alone, since runs with other images, hyperparameters or weights own them: "
        f"run-{'b' * 16}",
    ]
    save(checkpoints, 1, 2, 3)
    assert loaded(stranger) == 2


def test_a_copy_from_another_runs_folder_is_not_loaded(checkpoints, caplog):
    stranger = Checkpoints(checkpoints.folder.parent, "b" * 64, ALONE)
    save(stranger, 7)
    shutil.copytree(stranger.folder, checkpoints.folder)
    assert loaded(checkpoints) is None
    assert caplog.messages[-1] == f"{checkpoints.folder}/step-0000000007.pt is skipped: it is another run's"


def test_all_that_training_keeps_comes_back_without_running_anything(checkpoints):
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    values = {field.name: np.arange(3, dtype=np.float32) for field in dataclasses.fields(Evaluation)}
    mistakes = (Mistake(confidence=0.75, position=2, label=0, predicted=1),)
    exact = {"phase": "validation", "loss": 0.1, "confusion": np.eye(2, dtype=np.int64), "mistakes": mistakes}
    history = History(steps=7, best=Evaluation(**values | exact), best_weights=model.state_dict())
    state = torch.get_rng_state()
    checkpoints.save(7, {"optimizer": optimizer, "history": history, "random": RandomState()})
    expected = torch.rand(4)

    other = torch.optim.AdamW(torch.nn.Linear(3, 2).parameters(), fused=True)
    back = History()
    assert checkpoints.load({"optimizer": other, "history": back, "random": RandomState()})
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(torch.rand(4), expected)
    assert torch.equal(other.state_dict()["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"])
    assert back.steps == 7
    assert back.best.mistakes == mistakes
    assert np.array_equal(back.best.confusion, np.eye(2))
    assert torch.equal(back.best_weights["weight"], model.weight)


def classes_within(kind: object) -> set[type]:
    """Return our own classes that a value of this type may hold, its own included."""
    found = set().union(*map(classes_within, typing.get_args(kind)))
    if isinstance(kind, type) and kind.__module__.startswith("classifier."):
        found |= {kind}.union(*map(classes_within, typing.get_type_hints(kind).values()))
    return found


def test_every_class_that_the_history_may_hold_can_be_read():
    found = classes_within(History)
    assert {Evaluation, Mistake} < found
    assert found <= set(checkpoint.HELD)


def test_it_is_due_at_the_end_of_an_epoch_and_every_few_minutes(checkpoints, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    checkpoints.saved_at, checkpoints.cost = 1000.0, 0.5
    for seconds, in_an_epoch, at_its_end in (
        (1, False, False),
        (6, False, True),
        (299, False, True),
        (300, True, True),
    ):
        now[0] = 1000 + seconds
        assert (checkpoints.is_due(False), checkpoints.is_due(True)) == (in_an_epoch, at_its_end), seconds


@pytest.fixture
def run(tmp_path):
    train, validation = (Phase(name, tmp_path, ("a/1.jpg", "b/2.jpg"), (0, 1), {}) for name in ("train", "validation"))
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 2)
    return Hyperparameters(), Dataset(("a", "b"), train, validation, None, False), model, torch.float32


def test_what_leaves_the_weights_as_they_are_leaves_the_run_the_same(run, tmp_path):
    hp, dataset, model, dtype = run
    free = dataclasses.replace(hp, **dict.fromkeys(FREE, "another value"))
    elsewhere = dataclasses.replace(dataset, train=dataclasses.replace(dataset.train, folder=tmp_path / "elsewhere"))
    assert identity(free, elsewhere, model, dtype) == identity(*run)


def test_other_contents_under_the_same_names_make_another_run(run, tmp_path):
    before = identity(*run)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.jpg").write_bytes(b"other pixels")
    assert identity(*run) != before


def test_what_changes_the_weights_makes_another_run(run):
    hp, dataset, model, dtype = run
    others = [
        *(
            (dataclasses.replace(hp, **{name: value}), dataset, model, dtype)
            for name, value in (("lr", 1), ("seed", 1))
        ),
        (hp, dataclasses.replace(dataset, classes=("a", "c")), model, dtype),
        (hp, dataclasses.replace(dataset, train=dataclasses.replace(dataset.train, labels=(1, 0))), model, dtype),
        (
            hp,
            dataclasses.replace(dataset, validation=dataclasses.replace(dataset.validation, sizes=(1, 2))),
            model,
            dtype,
        ),
        (hp, dataset, torch.nn.Linear(2, 2), dtype),
        (hp, dataset, model, torch.bfloat16),
    ]
    assert len({identity(*other) for other in [run, *others]}) == 8
