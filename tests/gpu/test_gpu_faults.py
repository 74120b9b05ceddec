"""Jobs on the GPU that are killed, that run out of memory, or whose numbers leave their range."""

from .given import OBSERVED, finish, prepare, start

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


def test_an_infinite_weight_is_still_found(with_smdebug, tmp_path):
    root = prepare(tmp_path, precision="fp16", **OBSERVED)
    finish(start(root, PLANTED), code=1)
    assert "ExplodingTensor" in (root / "output/failure").read_text()


def test_a_job_goes_from_gpu_to_cpu_and_back_and_is_killed_on_the_way(tmp_path):
    """In fp32, which both have: a checkpoint of another precision is another run's."""
    root = prepare(tmp_path, precision="fp32", epochs=2, debug="off", profile="off")
    job = start(root, f"{OFTEN}\n{SLOWER}")
    assert job.stdout is not None
    try:
        for line in job.stdout:
            if line.startswith("epoch 1/"):
                break
    finally:
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
    finish(start(prepare(tmp_path), PROCESSES_PER_HOST="2"), code=1)
    assert "PROCESSES_PER_HOST is 2, on a host with 1 GPU; accepted" in (tmp_path / "output/failure").read_text()
