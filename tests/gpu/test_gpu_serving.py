"""The predictor and the whole server on the GPU."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from classifier import artifact
from classifier.errors import UserError
from classifier.serving.torch_predictor import SIZES, TorchPredictor

from .given import GPU, SIZE

PIXELS = np.random.default_rng(0).integers(0, 256, (SIZES[-1], SIZE, SIZE, 3), dtype=np.uint8)


def load(folder: Path, precision: str = "auto") -> TorchPredictor:
    return TorchPredictor(folder, artifact.read(folder), precision, GPU)


def in_a_thread(work) -> list[np.ndarray]:
    """Run `work` in a new thread, as a lane's, and return its result."""
    results: list = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(results[0], BaseException):
        raise results[0]
    return results[0]


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("fp16", 2e-3)])
def test_every_size_of_a_batch_gives_the_answers_of_single_images(random_model, precision, tolerance):
    forward = load(random_model, precision).in_lane(1)
    single = np.concatenate([forward(image[None]) for image in PIXELS])
    exact = load(random_model, "fp32").in_lane(1)(PIXELS)
    np.testing.assert_allclose(single, exact, atol=tolerance)
    for n in range(1, len(PIXELS) + 1):
        np.testing.assert_allclose(forward(PIXELS[:n]), single[:n], atol=tolerance)


def test_auto_is_fp16(random_model):
    assert load(random_model).precision == "fp16"


def test_fp16_is_left_by_a_network_that_it_cannot_hold(random_model, monkeypatch):
    read = artifact.read_weights

    def read_large(folder, about):
        return {name: values * (1e8 if name == "bn1.weight" else 1) for name, values in read(folder, about).items()}

    monkeypatch.setattr(artifact, "read_weights", read_large)
    assert load(random_model).precision in ("bf16", "fp32")


def test_after_the_start_no_plan_is_made_and_no_memory_is_taken(random_model, monkeypatch):
    """In the thread that serves every size is a graph's replay: no convolution is called, and none is planned."""
    forward = load(random_model).in_lane(1)

    def refuse(*_, **__):
        raise AssertionError("a convolution was called")

    for name in ("cudnn_convolution_relu", "cudnn_convolution_add_relu", "conv2d"):
        monkeypatch.setattr(torch, name, refuse)
    monkeypatch.setattr(torch.nn.functional, "conv2d", refuse)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    answers = in_a_thread(lambda: [forward(PIXELS[:n]) for n in range(1, len(PIXELS) + 1)])
    assert [len(rows) for rows in answers] == list(range(1, len(PIXELS) + 1))
    assert torch.cuda.max_memory_allocated() == before


def test_a_graph_outlives_the_network_that_it_was_made_of(random_model):
    """Its weights have one owner, the predictor: what is freed besides and taken anew must not be theirs."""
    predictor = load(random_model)
    expected = predictor.rows(PIXELS)
    torch.cuda.empty_cache()
    taken = [torch.full((1 << 20,), float("nan"), device=GPU) for _ in range(64)]
    np.testing.assert_array_equal(predictor.rows(PIXELS), expected)
    del taken


def test_too_little_memory_is_refused_at_the_start_and_afterwards_images_are_answered(random_model):
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(GPU).total_memory
    room = (torch.cuda.memory_reserved() + (4 << 20)) / total
    torch.cuda.set_per_process_memory_fraction(room)
    try:
        with pytest.raises(UserError, match="the GPU's memory is too small for batches of 32 images"):
            load(random_model)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    predictor = load(random_model)
    torch.cuda.set_per_process_memory_fraction(room)  # a full GPU: what serves has its memory already
    try:
        assert np.isfinite(predictor.rows(PIXELS[:1])).all()
        assert np.isfinite(predictor.rows(PIXELS)).all()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
