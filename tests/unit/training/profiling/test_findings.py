"""The findings by their numbers. Those without a GPU also occur in real jobs (tests/functional/test_profiling.py);
those of a GPU are tested here alone, since the tests run without one."""

from dataclasses import replace

import pytest
import torch

from classifier.training.profiling.findings import Setting, list_findings, workers_needed
from classifier.training.profiling.job_time import PARTS
from classifier.training.profiling.profiler import Profile
from classifier.training.profiling.system import Sample

CPU = Setting(torch.device("cpu"), torch.float32, workers=2, cores=4, capability=None)
GPU = Setting(torch.device("cuda"), torch.float16, workers=2, cores=4, capability=(7, 5))
BUSY = [Sample(0.5, 0.5, 0.5, gpu=0.9, gpu_memory=0.8, part="steps")] * 4


def profile(samples=BUSY, **milliseconds):
    return Profile(steps=[{"other": 100 - sum(milliseconds.values())} | milliseconds] * 4, samples=samples)


def test_a_healthy_profile_finds_nothing():
    assert list_findings(profile(forward=40, backward=40), GPU) == []
    assert list_findings(profile(), CPU) == []
    assert list_findings(Profile(), GPU) == []


@pytest.mark.parametrize(
    ("wait", "workers", "cores", "words"),
    [
        (62, 1, 4, "62 % of the time of the steps is waiting for images: raise workers from 1 to 3."),
        (62, 2, 4, "raise workers from 2 to 4, or take an instance with 6 CPU cores."),
        (62, 4, 4, "4 CPU cores already read, so take an instance with 11, or use smaller image files."),
        (30, 0, 4, "30 % of the time of the steps is waiting for images: raise workers from 0 to 1."),
    ],
)
def test_waiting_for_images(wait, workers, cores, words):
    taken = profile(**{"data wait": 99})  # of a few steps of the first epoch, which decodes
    taken.spans = {"start": 100.0, "waiting": wait / 100, "steps": 1 - wait / 100}
    (_, finding) = list_findings(taken, replace(CPU, workers=workers, cores=cores))
    assert words in finding
    taken.spans |= {"waiting": 24.0, "steps": 76.0}
    assert len(list_findings(taken, CPU)) == 1


def test_the_largest_part_of_a_job_has_advice_unless_it_is_its_steps():
    taken = profile()
    taken.spans = {"start": 11.0, "steps": 9.0, "int8": 5.0}
    (finding,) = list_findings(taken, GPU)
    assert finding.startswith("44 % of the job's time is its start (11 s): it is paid once a job")
    for spans in ({"start": 9.0, "steps": 8.0}, {"start": 11.0, "steps": 12.0}):
        taken.spans = spans
        assert list_findings(taken, GPU) == []


def test_every_part_of_a_job_that_may_be_the_largest_has_advice():
    for part in PARTS:
        taken = profile()
        taken.spans = {part: 100.0}
        assert bool(list_findings(taken, CPU)) is (part not in ("steps", "other"))


def test_the_workers_that_are_needed_read_as_fast_as_the_rest_computes():
    assert workers_needed(0.5, 2) == 4
    assert workers_needed(0.75, 1) == 4
    assert workers_needed(0.75, 0) == 3
    assert workers_needed(0.999999, 1) == 1000


def test_on_the_cpu():
    (finding,) = list_findings(profile(forward=20, backward=30, optimizer=10), CPU)
    assert finding.startswith("60 % of a step computes, on 4 CPU cores: an instance with a GPU")
    assert list_findings(profile(forward=20, backward=30, optimizer=10), GPU) == []


def test_the_gpu_is_idle():
    idle = [Sample(0.5, 0.5, 0.5, gpu=0.3, gpu_memory=0.8, part="steps")] * 4
    (finding,) = list_findings(profile(samples=idle), GPU)
    assert finding.startswith("The GPU is busy 30 % of the time of the steps")


def test_a_gpu_that_waits_for_the_start_and_the_validation_is_not_idle_in_the_steps():
    idle = [replace(BUSY[0], gpu=0.0, part=part) for part in ("start", "first batches", "validation", "int8")] * 9
    assert list_findings(profile(samples=[*idle, *BUSY]), GPU) == []
    assert list_findings(profile(samples=[*idle, replace(BUSY[0], gpu=0.0)]), GPU) == []  # one tells too little


def test_mixed_precision_is_off_on_a_gpu_that_has_it():
    (finding,) = list_findings(profile(), replace(GPU, dtype=torch.float32))
    assert finding.startswith("Mixed precision is off on a GPU that supports it")
    assert list_findings(profile(), replace(GPU, dtype=torch.float32, capability=(6, 1))) == []


def test_the_gpus_memory_is_hardly_used():
    small = [Sample(0.5, 0.5, 0.5, gpu=0.9, gpu_memory=share) for share in (0.1, 0.2)]
    (finding,) = list_findings(profile(samples=small), GPU)
    assert finding.startswith("At most 20 % of the GPU's memory is used")


@pytest.mark.parametrize(("span", "share", "words"), [("validation", 0.31, "Validation"), ("saving", 0.11, "Saving")])
def test_the_parts_between_the_steps(span, share, words):
    taken = profile()
    taken.spans = {"start": 0.2, "steps": 1 - share, span: share}
    (finding,) = list_findings(taken, CPU)
    assert finding.startswith(words)
    taken.spans = {"steps": 0.95, span: 0.05}
    assert list_findings(taken, CPU) == []


def test_the_hook():
    (finding,) = list_findings(profile(hook=6), CPU)
    assert finding.startswith("The debugging hook takes 6 % of a step")


def test_the_setting_is_read_from_the_machine():
    setting = Setting.of(torch.device("cpu"), torch.float32, 3)
    assert (setting.workers, setting.capability) == (3, None)
    assert setting.cores >= 1
