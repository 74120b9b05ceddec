import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from classifier import engine, onnx_network
from classifier.artifact import Artifact
from classifier.engine import Engine
from classifier.errors import UserError
from classifier.training.measure_int8 import observe
from networks import trained

SIZE = 64
ABOUT = Artifact(tuple("abcdefghij"), SIZE, 1e-5)
WEIGHTS = {name: tensor.numpy() for name, tensor in trained().state_dict().items()}
FILE = onnx_network.build(ABOUT, WEIGHTS)
MODEL = engine.read(FILE)
OBSERVED = engine.read(onnx_network.build_observed(ABOUT, WEIGHTS))
PIXELS = np.random.default_rng(0).integers(0, 256, (8, SIZE, SIZE, 3), dtype=np.uint8)


def test_every_processor_has_fp32():
    assert engine.list_precisions()[0] == "fp32"
    assert engine.native_precision() in engine.list_precisions()


@pytest.mark.parametrize("n", [1, 5, 8, 2])
def test_an_image_has_the_same_answer_alone_and_in_a_batch(n):
    run = Engine(MODEL, "fp32", 1).open()
    alone = np.concatenate([run(PIXELS[i : i + 1])["probabilities"] for i in range(n)])
    np.testing.assert_allclose(run(PIXELS[:n])["probabilities"], alone, atol=1e-5)


def test_an_engine_for_one_image_has_the_same_answers_and_leaves_the_network_as_it_is():
    run = Engine(MODEL, "fp32", 2, batch=1).open()
    alone = np.concatenate([run(PIXELS[i : i + 1])["probabilities"] for i in range(3)])
    np.testing.assert_allclose(Engine(MODEL, "fp32", 1).open()(PIXELS[:3])["probabilities"], alone, atol=1e-5)
    with pytest.raises(RuntimeError, match="shape"):
        run(PIXELS[:2])


@pytest.mark.parametrize("precision", engine.list_precisions())
def test_an_engine_for_one_image_rounds_as_one_for_batches(precision):
    ranges, *_ = observe(Engine(OBSERVED, "fp32", 1), list(enumerate(PIXELS)))
    network = engine.read(onnx_network.build(ABOUT, WEIGHTS, ranges)) if precision == "int8" else MODEL
    run = Engine(network, precision, 2, batch=1).open()
    alone = np.concatenate([run(PIXELS[i : i + 1])["probabilities"] for i in range(len(PIXELS))])
    in_batch = Engine(network, precision, 1).open()(PIXELS)["probabilities"]
    np.testing.assert_allclose(in_batch, alone, atol=1e-5 if precision == "fp32" else 0)


def test_fp32_is_not_bf16():
    """OpenVINO would take bf16 by itself where the processor has it."""
    exact = Engine(MODEL, "fp32", 1).open()(PIXELS)["probabilities"]
    if "bf16" in engine.list_precisions():
        rough = Engine(MODEL, "bf16", 1).open()(PIXELS)["probabilities"]
        assert 1e-4 < abs(rough - exact).max() < 0.1


def test_threads_have_answers_of_their_own():
    shared = Engine(MODEL, "fp32", 2, streams=2)
    expected = Engine(MODEL, "fp32", 1).open()(PIXELS)["probabilities"]
    found = {}

    def call(i: int) -> None:
        run = shared.open()
        found[i] = [run(PIXELS[i : i + 1])["probabilities"] for _ in range(20)]

    threads = [threading.Thread(target=call, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, answers in found.items():
        for answer in answers:
            np.testing.assert_allclose(answer[0], expected[i], atol=1e-5)


def test_answers_outlive_the_next_call():
    run = Engine(MODEL, "fp32", 1).open()
    first = run(PIXELS[:1])["probabilities"]
    kept = first.copy()
    run(PIXELS[1:2])
    assert (first == kept).all()


@pytest.mark.parametrize("data", [b"", b"not ONNX", FILE[:1000], FILE[: len(FILE) // 2]])
def test_a_file_that_is_not_a_network_is_refused_in_a_sentence(data):
    with pytest.raises(UserError, match="^OpenVINO cannot run the network: .+$"):
        engine.read(data)


RUN = """
import sys
from pathlib import Path
import numpy as np
from classifier import engine
folder = Path(sys.argv[1])
run = engine.Engine(engine.read((folder / "int8.onnx").read_bytes()), "int8", 1).open()
np.save(folder / "found.npy", run(np.load(folder / "pixels.npy"))["probabilities"])
print(*engine.list_precisions())
"""


@pytest.mark.parametrize("instructions", ["ALL", "AVX2"])
def test_int8_agrees_with_fp32_also_on_a_processor_with_avx2_alone(tmp_path, instructions):
    """Newer instructions are switched off in a process of its own."""
    fp32 = Engine(OBSERVED, "fp32", 1)
    expected = fp32.open()(PIXELS)["probabilities"]
    ranges, *_ = observe(fp32, list(enumerate(PIXELS)))
    (tmp_path / "int8.onnx").write_bytes(onnx_network.build(ABOUT, WEIGHTS, ranges))
    np.save(tmp_path / "pixels.npy", PIXELS)
    environ = os.environ | {"ONEDNN_MAX_CPU_ISA": instructions, "OV_CPU_MAX_ISA": instructions}
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    if instructions == "AVX2":
        assert done.stdout.split() == ["fp32", "int8"]
    found = np.load(tmp_path / "found.npy")
    assert (found.argmax(1) == expected.argmax(1)).all()
    # Noise through random weights; photos through trained ones come within a quarter of this.
    np.testing.assert_allclose(found, expected, atol=0.1)
