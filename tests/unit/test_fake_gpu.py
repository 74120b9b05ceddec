"""Steps, evaluation, features and predictions on a GPU that is not there: fake tensors have devices and dtypes alone.

What puts a CPU's tensor beside a GPU's, or fp16 where another type is needed, fails here as on a card. Not driven: the
backward pass itself, since torch's autograd wants a CUDA context (each gradient is a fake one instead); streams, events
and graphs; and channels_last, since `.to()` refuses fake modules, which therefore are built on the device.
tests/gpu has all of it.
"""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from classifier import network
from classifier.artifact import Artifact
from classifier.layers import FEATURES, list_shapes
from classifier.serving.folded_network import FoldedNetwork
from classifier.training.compute import Compute
from classifier.training.data.augment import Augmentation
from classifier.training.data.batch import Batch
from classifier.training.data.folders import Phase
from classifier.training.data.skipped import SkippedImages
from classifier.training.evaluate import run_model
from classifier.training.features import FeatureBatches
from classifier.training.history import EpochUnderWay
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupt
from classifier.training.model import split
from classifier.training.optimization import make_optimizer
from classifier.training.parallel.processes import Alone
from classifier.training.profiling.profiler import NoProfiler
from classifier.training.step import Step

GPU = torch.device("cuda")
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
CLASSES, IMAGES, SIZE = 5, 6, 64
HP = Hyperparameters(weights="none", workers=0, batch_size=4, image_size=SIZE)


class NoWaiting(TorchDispatchMode):
    """Refuses what makes the CPU wait for the GPU: an operator with tensors of both that is not told not to block.

    So it refuses a CPU's index into a GPU's tensor. A CPU's tensor without dimensions is passed as a number.
    """

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        result = operator(*args, **kwargs or {})
        given = dict(zip((one.name for one in operator._schema.arguments), args, strict=False)) | (kwargs or {})
        tensors = [one for one in tree_leaves((given, result)) if isinstance(one, torch.Tensor) and one.ndim]
        if len({one.device.type for one in tensors}) > 1:
            assert given.get("non_blocking"), f"{operator} waits for the GPU"
        return result


class Given:
    """Batches of blank images, on the CPU as a loader gives them."""

    def __init__(self, phase: Phase):
        self.phase = phase

    def __len__(self) -> int:
        return 2

    def epoch(self, number: int = 0, first: int = 0) -> Iterator[Batch]:
        """Yield the images in two batches, the last one shorter."""
        for positions in (range(4), range(4, IMAGES)):
            yield batch(list(positions))

    def close(self) -> None:
        """Have nothing to end."""


def batch(positions: list[int]) -> Batch:
    n = len(positions)
    pixels = torch.empty(n, SIZE, SIZE, 3, dtype=torch.uint8)
    return Batch(pixels, torch.zeros(n, dtype=torch.int64), torch.tensor(positions), {})


def given(name: str, folder) -> Given:
    return Given(Phase(name, folder, tuple(f"{n}.jpg" for n in range(IMAGES)), (0,) * IMAGES, {}))


@pytest.fixture(autouse=True)
def fake(monkeypatch) -> Iterator[None]:
    """Make every tensor of a test fake; those of different devices cannot meet."""
    # Else autocast and the scaler turn themselves off where there is no GPU.
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(Alone, "any", lambda self, flag: flag)  # which asks a tensor for its value
    with FakeTensorMode():
        yield


@pytest.fixture(params=DTYPES, ids=str)
def compute(request) -> Compute:
    made = Compute(GPU, request.param)
    made.copying = None  # fake tensors know no streams
    return made


@pytest.fixture
def model(fake) -> network.ResNet18:
    with GPU:
        return network.build(CLASSES, eps=1e-5)


@pytest.fixture
def no_backward(monkeypatch):
    """Give each trained parameter a gradient without values where the backward pass would."""

    def set_gradients(parameters: list[torch.nn.Parameter]) -> None:
        def backward(loss: torch.Tensor) -> None:
            assert (loss.device.type, loss.dtype, loss.ndim) == ("cuda", torch.float32, 0)
            for parameter in parameters:
                parameter.grad = torch.empty_like(parameter)

        monkeypatch.setattr(torch.Tensor, "backward", backward)

    return set_gradients


def make_step(trained: torch.nn.Module, compute: Compute, weight: torch.Tensor | None = None) -> Step:
    loss = torch.nn.CrossEntropyLoss(weight, label_smoothing=0.1)
    return Step(trained, loss, make_optimizer(trained, HP), compute, NoProfiler("not needed"))


@pytest.mark.parametrize("balanced", [False, True])
def test_a_step(compute, model, no_backward, balanced):
    """With AdamW: torch's fused SGD knows no fake tensors."""
    no_backward(list(model.parameters()))
    step = make_step(model, compute, torch.ones(CLASSES, device=GPU) if balanced else None)
    one = batch([0, 1, 2, 3])
    epoch = EpochUnderWay()
    for _ in range(2):
        with NoWaiting():
            inputs = compute.inputs(one.inputs, Augmentation("standard", 0).of(1, 0))
            found = step.take(inputs, compute.move(one.labels), 1.0, 0.001)
            epoch.add(len(one), *found)
        assert (inputs.device.type, inputs.dtype) == ("cuda", torch.float32)
        assert (found.device.type, found.shape) == ("cuda", (2,))
    with pytest.raises(DataDependentOutputException):  # so nothing before this has waited for a value of the GPU's
        found[0].item()
    moments = [value for state in step.optimizer.state.values() for value in state.values() if value is not None]
    assert {value.device.type for value in moments} == {"cuda"}
    assert step.scaler.is_enabled() is (compute.dtype is torch.float16)


def test_an_evaluation(compute, model, tmp_path, monkeypatch):
    # Its last line takes counts of images, which have values.
    monkeypatch.setattr(torch.Tensor, "numpy", lambda tensor: np.ones(tensor.shape))
    given_images, loss = given("validation", tmp_path), torch.nn.CrossEntropyLoss(torch.ones(CLASSES, device=GPU))
    outputs, losses, _ = run_model(model, loss, given_images, compute, SkippedImages(), Interrupt())
    assert [column.device.type for column in outputs] == ["cpu"] * 4
    assert (outputs.logits.shape, outputs.logits.dtype) == ((IMAGES, CLASSES), torch.float32)
    assert losses.shape == (2,)


def test_features_and_a_step_of_the_head(compute, model, no_backward, tmp_path, monkeypatch):
    monkeypatch.setattr(FakeTensor, "tolist", lambda tensor: [0] * len(tensor))  # of positions, for their labels
    backbone, head = split(model, "head")
    images = given("train", tmp_path)
    batches = FeatureBatches(images.phase, HP, backbone, compute, Interrupt())
    batches.images = images
    no_backward(list(head.parameters()))
    step = make_step(head, compute)
    with NoWaiting():
        first = next(batches.epoch(1))
        found = step.take(compute.inputs(first.inputs), compute.move(first.labels), 1.0, 0.001)
    assert (first.inputs.device.type, first.inputs.shape) == ("cuda", (4, FEATURES))
    assert (found.device.type, found.shape) == ("cuda", (2,))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_prediction(dtype, monkeypatch):
    """With stand-ins for cuDNN's fused convolutions, which know no fake tensors."""

    def convolve(x, weight, bias, stride, padding, dilation, groups):
        return torch.nn.functional.conv2d(x, weight, bias, stride, padding, dilation, groups).relu()

    def convolve_and_add(x, weight, added, alpha, bias, *options):
        return (convolve(x, weight, bias, *options) + alpha * added).relu()

    monkeypatch.setattr(torch, "cudnn_convolution_relu", convolve)
    monkeypatch.setattr(torch, "cudnn_convolution_add_relu", convolve_and_add)
    about = Artifact(tuple("abcde"), SIZE, eps=1e-5)
    weights = {name: np.ones(shape, np.float32) for name, shape in list_shapes(CLASSES).items()}
    predict = FoldedNetwork(weights, about, GPU, dtype)
    found = predict(torch.empty(3, SIZE, SIZE, 3, dtype=torch.uint8, device=GPU))
    assert (found.device.type, found.dtype, found.shape) == ("cuda", torch.float32, (3, CLASSES))


@pytest.mark.parametrize("wait", [lambda x: x.cpu(), lambda x: x[torch.zeros(2, dtype=torch.int64)]])
def test_waiting_for_the_gpu_is_noticed(wait):
    values = torch.empty(3, device=GPU)
    with NoWaiting(), pytest.raises(AssertionError, match="waits for the GPU"):
        wait(values)


def test_what_is_on_the_cpu_cannot_pass_for_a_gpus(compute, model):
    assert isinstance(model.fc.weight, FakeTensor)
    with pytest.raises(RuntimeError, match="[Dd]evice"):
        model(torch.empty(1, 3, SIZE, SIZE))
