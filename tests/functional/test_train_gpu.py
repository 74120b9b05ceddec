"""container/train on a machine whose GPU cannot be used."""

import os
import subprocess

from datasets import QUICK, TRAIN, altered_train, digit_jpegs, write_channel, write_hyperparameters
from waits import PATIENCE_S

# Only the machine's folders are replaced: the sentence is the real one.
BROKEN_GPU = """
from pathlib import Path
from classifier import device
real = device.choose_device
device.choose_device = lambda: real(Path({system!r}))
"""


def test_a_gpu_that_cannot_be_used_ends_the_job(tmp_path):
    for file in ("system/dev/nvidia0", "system/proc/driver/nvidia/version"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.256.02")
    write_channel(tmp_path / "ml", "train", digit_jpegs(range(2), 0, 5))
    write_hyperparameters(tmp_path / "ml", **QUICK)
    command = [*altered_train(BROKEN_GPU.format(system=str(tmp_path / "system"))), "--root", str(tmp_path / "ml")]
    environ = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    environ["PYTHONPATH"] = str(TRAIN.parent)
    result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE_S)
    assert result.returncode == 1
    failure = (tmp_path / "ml/output/failure").read_text()
    assert "cannot use it with NVIDIA driver 470.256.02; accepted: 525 or newer" in failure
    assert "InferenceAmiVersion=al2-ami-sagemaker-inference-gpu-3-1" in failure
    assert "Traceback" not in result.stdout + result.stderr
    assert not (tmp_path / "ml/model").exists()
