"""Whole jobs on the GPU by container/train."""

import json
import re

import numpy as np
import pytest
import torch

from classifier import artifact, images
from classifier.serving.torch_predictor import TorchPredictor
from classifier.training.debugging import smdebug_compat

from .given import SIZE, finish, prepare, start

OBSERVED = {"debug": "auto", "profile": "auto", "stop_on_rule": "ExplodingTensor"}
# Checkpoints at every step, so that a job this short has one in mid-epoch.
OFTEN = "from classifier.training import checkpoint; checkpoint.SECONDS_BETWEEN = 0"
SLOWER = "import time; from classifier.training.step import Step; t = Step.take\n"
SLOWER += "Step.take = lambda *a: (time.sleep(0.3), t(*a))[1]"
PLANTED = """
from classifier.training.step import Step
take, taken = Step.take, []
def plant(self, *arguments):
    taken.append(0)
    if len(taken) == 4:
        self.network.layer1[0].conv1.weight.data[0, 0, 0, 0] = float("inf")
    return take(self, *arguments)
Step.take = plant
"""
ON_THE_CPU = {"CUDA_VISIBLE_DEVICES": "-1"}


@pytest.fixture(scope="module", params=["fp16", "bf16"])
def job(request, tmp_path_factory):
    """A job with the hook, the profiler and a rule that would end it, and its log."""
    if request.param == "bf16" and torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("this GPU has no bf16")
    root = prepare(tmp_path_factory.mktemp(request.param), epochs=4, precision=request.param, **OBSERVED)
    return root, finish(start(root))


@pytest.fixture
def with_smdebug():
    """Skip where smdebug, or what it needs, is not installed; training goes on without it."""
    try:
        smdebug_compat.load()
    except ImportError as error:
        pytest.skip(str(error))


def test_a_job_learns_on_the_gpu(job):
    root, log = job
    assert re.search(r"device: cuda \(.+\)", log)
    assert artifact.read(root / "model").metrics["test:accuracy"] > 0.6
    assert "Traceback" not in log


def test_the_hook_saves_a_healthy_job_and_no_rule_ends_it(with_smdebug, job):
    root, log = job
    assert "debugging is off" not in log
    found = json.loads((root / "output/data/debug.json").read_text())
    assert found["series"]["steps"]
    assert not (root / "output/failure").exists()


def test_an_infinite_weight_is_still_found(with_smdebug, tmp_path):
    root = prepare(tmp_path, precision="fp16", **OBSERVED)
    finish(start(root, PLANTED), code=1)
    assert "ExplodingTensor" in (root / "output/failure").read_text()


def test_the_profile_counts_each_operator_once(job):
    profile = json.loads((job[0] / "output/data/profile.json").read_text())
    assert profile["steps"]
    shares = [operator["share"] for operator in profile["operators"]]
    assert shares
    assert 0 < sum(shares) <= 1.001


def test_a_job_of_the_head_computes_features_on_the_gpu(tmp_path):
    root = prepare(tmp_path, trainable="head", **OBSERVED)
    assert "device: cuda" in finish(start(root))
    assert artifact.read(root / "model").metrics["epoch"] >= 1


def test_a_job_goes_from_gpu_to_cpu_and_back_and_is_killed_on_the_way(tmp_path):
    """In fp32, which both have: a checkpoint of another precision is another run's."""
    root = prepare(tmp_path, precision="fp32", epochs=2, debug="off", profile="off")
    job = start(root, f"{OFTEN}\n{SLOWER}")
    assert job.stdout is not None
    for line in job.stdout:
        if line.startswith("epoch 1/"):
            break
    job.kill()
    job.communicate()
    assert list(root.glob("checkpoints/run-*/step-*.pt"))
    log = finish(start(root))
    assert "resumed from" in log and "device: cuda" in log
    prepare(root, precision="fp32", epochs=3, debug="off", profile="off")
    log = finish(start(root, **ON_THE_CPU))
    assert "2 complete epochs of 3" in log and "device: cpu" in log
    prepare(root, precision="fp32", epochs=4, debug="off", profile="off")
    log = finish(start(root))
    assert "3 complete epochs of 4" in log and "device: cuda" in log


def test_memory_that_runs_out_in_training_is_said_in_a_sentence(tmp_path):
    root = prepare(tmp_path, batch_size=96, image_size=512, workers=0, debug="off", profile="off")
    little = "import torch; total = torch.cuda.get_device_properties(0).total_memory\n"
    little += "torch.cuda.set_per_process_memory_fraction(min(1.0, 1.5e9 / total))"
    log = finish(start(root, little), code=1)
    failure = (root / "output/failure").read_text()
    assert "the GPU's memory is too small for batch_size=96 at image_size=512; lower one of them" in failure
    assert "Traceback" not in log


def test_more_processes_than_gpus_are_refused_at_once(tmp_path):
    more = torch.cuda.device_count() + 1
    finish(start(prepare(tmp_path), PROCESSES_PER_HOST=str(more)), code=1)
    assert f"PROCESSES_PER_HOST is {more}, on a host with" in (tmp_path / "output/failure").read_text()


def test_one_process_over_nccl_gives_it_no_tensor_of_the_cpu(tmp_path):
    watch = """
from torch import distributed
seen = set()
def watched(call):
    def run(tensor, *arguments, **options):
        backend = distributed.distributed_c10d._get_default_group()._get_backend(tensor.device).name()
        assert (backend == "nccl") == tensor.is_cuda, f"{tensor.device} over {backend}"
        if backend not in seen:
            seen.add(backend)
            print("collective over", backend, flush=True)
        return call(tensor, *arguments, **options)
    return run
distributed.all_reduce, distributed.broadcast = watched(distributed.all_reduce), watched(distributed.broadcast)
"""
    within = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1")
    log = finish(start(prepare(tmp_path, debug="off", profile="off"), watch, within))
    assert "collective over nccl" in log and "collective over gloo" in log
    assert artifact.read(tmp_path / "model").metrics["epoch"] >= 1


def test_an_artifact_of_the_gpu_answers_alike_on_the_cpu(job):
    openvino = pytest.importorskip("classifier.serving.openvino_predictor")
    folder = job[0] / "model"
    about = artifact.read(folder)
    files = sorted(job[0].glob("input/data/test/*/*.jpg"))
    pixels = np.stack([images.evaluation_pixels(file.read_bytes(), SIZE) for file in files])
    expected = np.concatenate(
        [
            openvino.OpenVinoPredictor(folder, about, "fp32").in_lane(1)(pixels[first : first + 8])
            for first in range(0, 24, 8)
        ]
    )
    for precision, tolerance in (("fp32", 1e-4), ("auto", 0.01)):
        found = TorchPredictor(folder, about, precision).in_lane(1)(pixels)
        np.testing.assert_allclose(found, expected, atol=tolerance)
