"""Whole jobs on the GPU by container/train."""

import json
import re

import numpy as np
import pytest
import torch

from classifier import artifact, images
from classifier.serving.torch_predictor import TorchPredictor

from .given import OBSERVED, SIZE, finish, prepare, start


@pytest.fixture(scope="module", params=["fp16", "bf16"])
def job(request, tmp_path_factory):
    """A job with the hook, the profiler and a rule that would end it, and its log."""
    if request.param == "bf16" and torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("this GPU has no bf16")
    root = prepare(tmp_path_factory.mktemp(request.param), epochs=4, precision=request.param, **OBSERVED)
    return root, finish(start(root))


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
