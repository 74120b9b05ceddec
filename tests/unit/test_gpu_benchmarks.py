"""The benchmarks for GPUs, on the processor."""

import pytest
import torch

from benchmarks import gpu_steps

CPU = torch.device("cpu")


@pytest.fixture
def small(monkeypatch) -> None:
    for name, value in (("BATCHES", (2, 4)), ("DTYPES", {"bf16": torch.bfloat16}), ("SIZE", 32), ("SECONDS", 0.01)):
        monkeypatch.setattr(gpu_steps, name, value)
    monkeypatch.setattr(gpu_steps, "ceilings", lambda _: [])
    monkeypatch.setattr(gpu_steps, "validation", lambda *_: 1.0)


def test_a_batch_that_a_card_has_no_memory_for_is_unknown_and_the_others_are_measured(small, monkeypatch, tmp_path):
    step = gpu_steps.step

    def step_or_not(where, dtype, n):
        if n == 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.")
        return step(where, dtype, n)

    monkeypatch.setattr(gpu_steps, "step", step_or_not)
    _, (_, columns, rows), _ = gpu_steps.measure(CPU, tmp_path)
    two, four = (dict(zip(columns, row, strict=True)) for row in rows)
    assert two["of bare"] == two["Step"] / two["bare"] > 0
    assert (four["Step"], four["of bare"]) == (None, None)
    assert four["of bare, with these"] > 0


def test_an_error_of_another_kind_is_none_of_memory(small, monkeypatch, tmp_path):
    def fail(*_):
        raise RuntimeError("an operator is missing")

    monkeypatch.setattr(gpu_steps, "step", fail)
    with pytest.raises(RuntimeError, match="an operator is missing"):
        list(gpu_steps.measure(CPU, tmp_path))
