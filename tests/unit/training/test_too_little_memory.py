"""Memory that runs out, a processor's in truth and a GPU's by torch's errors for it, in each part of a job."""

from types import SimpleNamespace

import pytest
import torch
from torch.distributed import DistBackendError

from classifier.contract import Contract
from classifier.errors import UserError
from classifier.training import job
from classifier.training.best import BestArtifact
from classifier.training.compute import explained_memory
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.inputs import read_inputs
from classifier.training.interrupt import Interrupt
from classifier.training.labels import in_job
from classifier.training.parallel.processes import ALONE
from classifier.training.trainer import Outcome, Trainer
from datasets import QUICK, digit_jpegs, write_channel, write_hyperparameters

HP = Hyperparameters(weights="none", image_size=32, batch_size=8)
NO_GPU_MEMORY = "the GPU's memory is too small for batch_size=8 at image_size=32; lower one of them, or end what else "
NO_MEMORY = "too little memory is left: "


def fill_gpu(*_):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")


def fill_memory(*_):
    torch.empty(1 << 60)


KINDS = pytest.mark.parametrize(("fill", "start"), [(fill_gpu, NO_GPU_MEMORY), (fill_memory, NO_MEMORY)])


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), f"{NO_GPU_MEMORY}fills it (CUDA out of memory.)"),
        (
            torch.AcceleratorError("CUDA error: out of memory\nAnd more."),
            f"{NO_GPU_MEMORY}fills it (CUDA error: out of",
        ),
        (
            DistBackendError("NCCL error in: a.cpp:1\nLast error:\nCuda failure 2 'out of memory'"),
            f"{NO_GPU_MEMORY}fills it (Cuda failure 2 'out of memory')",
        ),
        (
            RuntimeError("can't allocate memory"),
            f"{NO_MEMORY}can't allocate memory; accepted: a machine, or a limit, of",
        ),
        (OSError(12, "Cannot allocate memory"), f"{NO_MEMORY}[Errno 12] Cannot allocate memory; accepted: "),
        (MemoryError(), f"{NO_MEMORY}MemoryError; accepted: "),
    ],
)
def test_an_error_is_a_sentence(error, sentence):
    with pytest.raises(UserError) as said, explained_memory(HP):
        raise error
    assert str(said.value).startswith(sentence)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("error", [RuntimeError("one"), OSError(28, "No space left on device"), UserError("of ours")])
def test_another_error_stays_as_it_is(error):
    with pytest.raises(type(error)) as said, explained_memory(HP):
        raise error
    assert said.value is error


@KINDS
@pytest.mark.parametrize(("owner", "name"), [(job.model, "make_model"), (Trainer, "fit"), (job, "write_results")])
def test_every_part_of_a_job_says_it(tmp_path, monkeypatch, owner, name, fill, start):
    write_channel(tmp_path, "train", digit_jpegs((0, 1), 0, 5))
    write_hyperparameters(tmp_path, **QUICK, batch_size=8)
    contract, interrupt = Contract(tmp_path), Interrupt()
    inputs = read_inputs(contract, interrupt)
    if name == "write_results":
        monkeypatch.setattr(Trainer, "run", lambda trainer: Outcome(None))
        monkeypatch.setattr(BestArtifact, "log_metrics", lambda artifact: None)
    monkeypatch.setattr(owner, name, fill)
    with pytest.raises(UserError) as said:
        job.run_process(contract, interrupt, inputs, ALONE)
    assert str(said.value).startswith(start)


def check_labels(monkeypatch, fill, processes):
    monkeypatch.setattr(in_job.network, "build", fill)
    history = SimpleNamespace(best_weights={"fc.bias": 0}, best=None)
    group, artifact = SimpleNamespace(size=processes), SimpleNamespace(classes="ab")
    parts = {"hp": HP, "history": history, "compute": SimpleNamespace(group=group), "best_artifact": artifact}
    trainer = SimpleNamespace(**parts, train=None, validation=None, test=None)
    return in_job.check_labels(trainer, Outcome(None))  # pyright: ignore[reportArgumentType]


@KINDS
def test_what_was_trained_is_written_without_the_check_of_labels(monkeypatch, caplog, fill, start):
    assert check_labels(monkeypatch, fill, 1) is None
    (message,) = caplog.messages
    assert message.startswith(f"the labels were not checked: {start}")


@KINDS
def test_a_process_that_others_wait_for_ends_with_the_cause(monkeypatch, fill, start):
    with pytest.raises(UserError) as said:
        check_labels(monkeypatch, fill, 2)
    assert str(said.value).startswith(start)
