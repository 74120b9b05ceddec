"""Single steps on the GPU: what they compute, and that nothing in them waits for it."""

import copy
import warnings

import pytest
import torch

from classifier import device, network
from classifier.errors import UserError
from classifier.network import Normalize
from classifier.training.compute import Compute
from classifier.training.data.augment import Augmentation
from classifier.training.data.batch import Batch
from classifier.training.data.folders import Phase
from classifier.training.data.skipped import SkippedImages
from classifier.training.evaluate import run_model
from classifier.training.history import EpochUnderWay
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupt
from classifier.training.model import frozen_parts, make_model, set_training_mode
from classifier.training.optimization import make_optimizer
from classifier.training.profiling.profiler import NoProfiler
from classifier.training.step import Step

from .given import CLASSES, GPU, SIZE

# Which torch says when it is asked to say where it waits.
pytestmark = pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype:UserWarning")
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
LR, N = 0.01, 32
BALANCED = torch.tensor([0.5, 1.0, 3.0])
# How far the change of all weights may be from that in float64, relative to its size. A random network doubles rounding
# errors from layer to layer: of three seeds fp16 is up to 0.13 away under a processor's autocast, bf16 up to 0.36, and
# for the head alone, behind no layers, 0.007 (AMD EPYC with avx512_bf16). fp32 has TF32 in convolutions, which rounds
# like fp16. A step that is left out, or twice as long, is 1 away.
TOLERANCES = {torch.float32: 0.3, torch.bfloat16: 0.6, torch.float16: 0.3}
HEAD_TOLERANCE = 0.05


@pytest.fixture(params=DTYPES, ids=str)
def compute(request) -> Compute:
    if request.param is torch.bfloat16 and device.serving_dtypes("auto", GPU)[-1] is not torch.bfloat16:
        pytest.skip("this GPU has no bf16")
    return Compute(GPU, request.param)


def hyperparameters(**values: object) -> Hyperparameters:
    chosen = {"weights": "none", "optimizer": "sgd", "lr": LR, "image_size": SIZE, "weight_decay": 0.0} | values
    return Hyperparameters(**chosen)


def make_step(hp: Hyperparameters, compute: Compute, weight: torch.Tensor | None = None) -> Step:
    torch.manual_seed(0)
    model = make_model(CLASSES, hp, None)
    model.to(compute.device)
    set_training_mode(model, hp.trainable)
    loss = torch.nn.CrossEntropyLoss(None if weight is None else weight.to(compute.device), label_smoothing=0.1)
    return Step(model, loss, make_optimizer(model, hp), compute, NoProfiler("not needed"))


def make_batch(n: int = N, seed: int = 0) -> Batch:
    random = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (n, SIZE, SIZE, 3), dtype=torch.uint8, generator=random)
    labels = torch.randint(len(CLASSES), (n,), generator=random)
    if torch.cuda.is_available():
        pixels, labels = pixels.pin_memory(), labels.pin_memory()
    return Batch(pixels, labels, torch.arange(n), {})


def take(step: Step, batch: Batch, change=lambda pixels: pixels) -> torch.Tensor:
    """Do what the training loop does with a batch."""
    _, share = step.agree(batch)
    inputs, labels = step.compute.inputs(batch.inputs, change), step.compute.move(batch.labels)
    return step.take(inputs, labels, share, LR)


def weights_of(model: torch.nn.Module) -> torch.Tensor:
    """Return all parameters in one row, on the CPU in float64."""
    return torch.cat([parameter.detach().cpu().double().flatten() for parameter in model.parameters()])


def exact_step(model: network.ResNet18, hp: Hyperparameters, weight: torch.Tensor | None, batch: Batch) -> float:
    """Take the step with `model`, on the CPU and in float64, and return its loss."""
    model.double()
    set_training_mode(model, hp.trainable)
    optimizer = make_optimizer(model, hp)
    loss = torch.nn.CrossEntropyLoss(None if weight is None else weight.double(), label_smoothing=0.1)
    found = loss(model(Normalize()(batch.inputs).double()), batch.labels)
    found.backward()
    optimizer.step()
    return found.item()


@pytest.mark.parametrize(
    ("trainable", "weight"), [("all", None), ("all", BALANCED), ("layer3", None), ("head", None)], ids=str
)
def test_a_step_changes_the_weights_as_float64_on_the_cpu_does(compute, trainable, weight):
    hp, batch = hyperparameters(trainable=trainable), make_batch()
    step = make_step(hp, compute, weight)
    exact = copy.deepcopy(step.network).cpu()
    before = weights_of(exact)
    loss, right = take(step, batch).tolist()
    assert loss == pytest.approx(exact_step(exact, hp, weight, batch), rel=0.02)
    assert 0 <= right <= N
    expected, found = weights_of(exact) - before, weights_of(step.network) - before
    assert expected.norm() > 0
    tolerance = HEAD_TOLERANCE if trainable == "head" else TOLERANCES[compute.dtype]
    assert (found - expected).norm() < tolerance * expected.norm()
    frozen = [parameter for part in frozen_parts(step.network, trainable) for parameter in part.parameters()]
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in frozen)


@pytest.mark.parametrize("trainable", ["all", "head"])
@pytest.mark.parametrize("weight", [None, BALANCED], ids=["equal", "balanced"])
def test_nothing_in_a_step_waits_for_the_gpu(compute, trainable, weight):
    step, epoch = make_step(hyperparameters(trainable=trainable), compute, weight), EpochUnderWay(seconds=1.0)
    batches = [make_batch(seed=seed) for seed in range(4)]
    augmentation = Augmentation("standard", 0)
    take(step, batches[0], augmentation.of(1, 0))  # memory is reserved and plans are made
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for number, batch in enumerate(batches):
            epoch.add(len(batch), *take(step, batch, augmentation.of(1, number)))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert epoch.metrics()["train:loss"] > 0


class Given:
    """Batches that are there already."""

    def __init__(self, number: int):
        self.made = [make_batch(8, seed) for seed in range(number)]
        for first, batch in enumerate(self.made):
            batch.positions = torch.arange(8 * first, 8 * first + 8)
        self.phase = Phase("validation", SIZE, tuple(map(str, range(8 * number))), (0,) * 8 * number, {})

    def __len__(self) -> int:
        return len(self.made)

    def epoch(self):
        """Return the batches."""
        return iter(self.made)


def test_an_evaluation_waits_as_often_for_few_batches_as_for_many(compute):
    model = make_step(hyperparameters(), compute).network
    waits = []
    for number in (2, 6):
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                run_model(model, torch.nn.CrossEntropyLoss(), Given(number), compute, SkippedImages(), Interrupt())
        finally:
            torch.cuda.set_sync_debug_mode("default")
        waits.append(sum("synchronizing" in str(warning.message) for warning in said))
    assert waits[0] == waits[1]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_step_whose_gradients_overflow_in_fp16_is_left_out(optimizer, is_first):
    step, batch = make_step(hyperparameters(optimizer=optimizer), Compute(GPU, torch.float16)), make_batch()
    if is_first:
        step.scaler.scale(torch.zeros(1, device=GPU))  # which makes its scale
    else:
        take(step, batch)
    before = weights_of(step.network)
    step.scaler.load_state_dict(step.scaler.state_dict() | {"scale": 2.0**60})
    take(step, batch)
    assert torch.equal(weights_of(step.network), before)
    assert step.scaler.get_scale() == 2.0**59
    step.scaler.load_state_dict(step.scaler.state_dict() | {"scale": 1024.0})
    take(step, batch)
    change = (weights_of(step.network) - before).abs().max()
    assert 0 < change < 1  # the skipped step has left no momentum


def test_the_device_and_its_precision_are_those_of_its_capability():
    where, capability = device.choose_device(), torch.cuda.get_device_capability()
    assert where == GPU
    assert torch.cuda.get_device_name() in device.describe(where)
    has_bf16 = capability >= (8, 0)
    assert device.compute_dtype("auto", where) in (torch.float16, torch.bfloat16 if has_bf16 else torch.float16)
    if not has_bf16:
        with pytest.raises(UserError, match="accepted: auto, fp16, fp32"):
            device.compute_dtype("bf16", where)
