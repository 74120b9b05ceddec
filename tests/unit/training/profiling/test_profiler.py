import gzip
import json
import time
from types import SimpleNamespace

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import DeviceType

from classifier.training.profiling import profiler
from classifier.training.profiling.job_time import JobTime
from classifier.training.profiling.profiler import Profile, StepProfiler
from classifier.training.profiling.stopwatch import Stopwatch
from classifier.training.profiling.system import Sample, Sampler, gpu_shares, processor_seconds
from classifier.training.profiling.trace import slowest_operators
from classifier.training.profiling.window import TIMED, TRACED, WARM_UP, plan

CPU = torch.device("cpu")


@given(st.integers(1, 3000), st.integers(1, 400))
def test_the_window_fits_into_the_job(epochs_times, steps_per_epoch):
    steps = min(3000, epochs_times * steps_per_epoch)
    first, last, traced = plan(steps, steps_per_epoch)
    assert 0 <= first <= last
    assert last + (traced + 1 if traced else 0) <= steps
    assert last - first <= steps_per_epoch + TIMED
    if steps >= 100:
        assert first == WARM_UP
        assert traced == TRACED


@given(st.integers(2, 50), st.integers(5, 400))
def test_no_validation_falls_into_the_trace(epochs, steps_per_epoch):
    _, last, traced = plan(epochs * steps_per_epoch, steps_per_epoch)
    assert last // steps_per_epoch == (last + traced) // steps_per_epoch


def job(folder, steps=12, per_epoch=6, seconds=0.0):
    """Profile a job of steps that multiply matrices."""
    made = profiler.make_profiler("auto", folder, CPU, steps, per_epoch)
    for _ in range(steps // per_epoch):
        with made.span("steps"):
            for _ in made.batches(range(per_epoch)):
                with made.timed("forward"):
                    time.sleep(seconds)
                    with made.timed("hook"):
                        time.sleep(10 * seconds)
                    torch.ones(50, 50) @ torch.ones(50, 50)
                made.step()
        with made.span("validation"):
            time.sleep(seconds)
    return made.finish()


def test_a_resumed_job_counts_what_it_has_spent_before(tmp_path):
    made = profiler.make_profiler("auto", tmp_path, CPU, 4, 4)
    made.load_state_dict({"validation": 100.0})
    with made.span("validation"), made.span("saving"):
        time.sleep(0.01)
    spans = made.finish().spans
    assert 100 < spans["validation"] < 200
    assert spans["start"] > 0
    other = StepProfiler(tmp_path, CPU, 4, 4)
    other.load_state_dict(spans)
    assert other.state_dict()["validation"] == spans["validation"]
    other.finish()


def test_every_moment_of_a_job_belongs_to_one_part():
    clock = JobTime()
    assert clock.part == "start"
    with clock.timed("steps"):
        time.sleep(0.02)
        with clock.timed("saving"):
            assert clock.part == "saving"
            time.sleep(0.02)
    assert clock.part == "other"
    spans = clock.state_dict()
    age = time.time() - psutil.Process().create_time()
    assert sum(spans.values()) == pytest.approx(age, abs=0.5 + age / 100)
    assert list(spans) == ["start", "steps", "saving", "other"]
    assert min(spans["steps"], spans["saving"]) >= 0.02


def test_the_wait_for_an_epochs_first_batch_is_a_part_of_its_own(tmp_path):
    def batches():
        for seconds in (0.05, 0.01, 0.01):
            time.sleep(seconds)
            yield seconds

    made = StepProfiler(tmp_path, CPU, 100, 100)
    parts = [made.job.part for _ in made.batches(batches())]
    spans = made.finish().spans
    assert parts == ["other"] * 3
    assert spans["first batches"] >= 0.05
    assert spans["waiting"] >= 0.02


def test_a_part_within_a_part_counts_for_itself_alone(tmp_path):
    profile = job(tmp_path, seconds=0.02)
    assert len(profile.steps) > 2
    for step in profile.steps:
        assert set(step) == {"data wait", "forward", "hook", "other"}
        assert step["hook"] >= 200
    # The machine may be busy, so the quickest step tells: with its part, forward would take 220 at least.
    assert 20 <= min(step["forward"] for step in profile.steps) < 200
    assert 0.4 < profile.share("hook") < 0.95
    assert profile.spans["validation"] >= 0.04
    assert profile.spans["steps"] > 12 * 0.22


def test_a_part_that_is_timed_between_epochs_counts_for_no_step():
    stopwatch = Stopwatch(CPU)
    with stopwatch.timed("hook"):  # of validation
        pass
    stopwatch.start()
    assert set(stopwatch.milliseconds()) == {"other"}


def test_the_trace_is_one_of_chrome_and_names_the_operators(tmp_path):
    profile = job(tmp_path)
    assert profile.why is None
    events = json.loads(gzip.decompress((tmp_path / profile.trace).read_bytes()))["traceEvents"]
    assert sum(event["name"] == "aten::mm" for event in events) == 2  # as many as steps are traced in so short a job
    assert "aten::mm" in [row["operator"] for row in profile.operators]
    assert all(row["calls"] == 1 for row in profile.operators if row["operator"] == "aten::mm")
    assert sum(row["share"] for row in profile.operators) <= 1.001


def rows(*values):
    names = ("key", "device_type", "self_device_time_total", "count")
    return [SimpleNamespace(**dict(zip(names, row, strict=True))) for row in values]


def test_an_operator_of_a_gpu_counts_once_with_its_kernels():
    listed = slowest_operators(
        rows(
            ("aten::cudnn_convolution", DeviceType.CPU, 300.0, 2),
            ("sm90_xmma_fprop", DeviceType.CUDA, 300.0, 2),
            ("aten::add_", DeviceType.CPU, 100.0, 2),
            ("elementwise_kernel", DeviceType.CUDA, 100.0, 2),
            ("ProfilerStep*", DeviceType.CPU, 0.0, 2),
        ),
        torch.device("cuda"),
        steps=2,
    )
    assert [(row["operator"], row["share"]) for row in listed] == [
        ("aten::cudnn_convolution", 0.75),
        ("aten::add_", 0.25),
    ]


def test_without_times_of_kernels_no_operator_is_listed():
    assert slowest_operators(rows(("aten::add_", DeviceType.CPU, 0.0, 2)), torch.device("cuda"), 2) == []


def test_a_driver_that_refuses_one_value_leaves_the_other(monkeypatch):
    def refuse(_):
        raise RuntimeError("NVML_ERROR_NOT_SUPPORTED")

    monkeypatch.setattr(torch.cuda, "utilization", refuse)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (25, 100))
    assert gpu_shares(torch.device("cuda")) == (None, 0.75)


def test_a_job_that_ends_early_has_no_trace_and_no_error(tmp_path):
    made = profiler.make_profiler("auto", tmp_path, CPU, 100, 10)
    for _ in made.batches(range(3)):
        made.step()
    profile = made.finish()
    assert (profile.why, profile.trace, profile.steps) == (None, None, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_the_shortest_jobs_are_profiled_as_far_as_they_go(tmp_path, steps):
    profile = job(tmp_path, steps=steps, per_epoch=1)
    assert profile.why is None
    assert len(profile.steps) <= steps


def test_a_trace_that_cannot_be_written_is_said_and_harms_nothing(tmp_path, caplog):
    (tmp_path / "trace.json.gz").mkdir()
    profile = job(tmp_path)
    assert profile.trace is None
    assert "the profiler has no trace" in caplog.text
    assert profile.why
    assert len(profile.steps) > 2


def test_a_profiler_that_cannot_start_is_off_with_one_line(tmp_path, caplog):
    (tmp_path / "file").touch()
    profile = job(tmp_path / "file")
    assert "profiling is off: FileExistsError" in caplog.text
    assert (profile.steps, profile.spans) == ([], {})
    assert "FileExistsError" in profile.why


def test_off_is_off(tmp_path):
    made = profiler.make_profiler("off", tmp_path / "new", CPU, 10, 5)
    batches = [1, 2]
    assert made.batches(batches) is batches
    with made.timed("forward"), made.span("validation"):
        made.step()
    assert made.finish() == Profile(why="profile=off")
    assert not (tmp_path / "new").exists()


def test_outside_of_the_window_nothing_is_timed(tmp_path):
    made = StepProfiler(tmp_path, CPU, 100, 100)
    assert made.timed("forward") is profiler.NOTHING
    for _ in range(made.first):
        made.step()
    assert made.timed("forward") is not profiler.NOTHING
    made.finish()


def test_the_sampler_sees_how_busy_this_process_is():
    sampler = Sampler(CPU, lambda: "steps")
    sampler.cores = 1
    sampler._sample()
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    sampler._sample()
    (busy,) = sampler.samples
    time.sleep(0.3)
    sampler._sample()
    idle = sampler.samples[1]
    assert busy.cpu > 2 * idle.cpu
    assert busy.part == "steps"
    assert 0 < busy.memory < 1
    assert (busy.gpu, busy.gpu_memory) == gpu_shares(CPU) == (None, None)
    assert processor_seconds() > 0.3


def test_the_profile_is_written_with_its_findings(tmp_path):
    profile = Profile(steps=[{"forward": 1.0}], samples=[Sample(0.5, 0.1, 0.2)])
    profile.write_json(tmp_path / "profile.json", ["A finding."])
    values = json.loads((tmp_path / "profile.json").read_text())
    assert values["findings"] == ["A finding."]
    assert values["samples"][0]["memory"] == 0.2
