import numpy as np
import pytest
import torch

from classifier import artifact, device
from classifier.errors import UserError
from classifier.serving import torch_predictor
from classifier.serving.folded_network import FoldedNetwork
from classifier.serving.openvino_predictor import OpenVinoPredictor
from classifier.serving.torch_predictor import TorchPredictor
from conftest import IMAGE_SIZE

CPU = torch.device("cpu")
PIXELS = np.random.default_rng(0).integers(0, 256, (3, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 0.02)])
def test_both_predictors_agree(artifact_folder, precision, tolerance):
    about = artifact.read(artifact_folder)
    predictor = TorchPredictor(artifact_folder, about, precision, CPU)
    assert predictor.precision == precision
    found = predictor.in_lane(1)(PIXELS)
    assert (found.dtype, found.shape) == (np.float32, (3, len(about.classes)))
    expected = OpenVinoPredictor(artifact_folder, about, "fp32").in_lane(1)(PIXELS)
    np.testing.assert_allclose(found, expected, atol=tolerance)


def test_int8_is_not_for_a_gpu(artifact_folder):
    with pytest.raises(UserError, match="'int8' is for processors; accepted on a GPU: auto, fp32, bf16, fp16"):
        TorchPredictor(artifact_folder, artifact.read(artifact_folder), "int8", CPU)


def test_fp16_is_left_where_the_network_leaves_its_range(artifact_folder, monkeypatch):
    """As auto does on a GPU."""
    monkeypatch.setattr(device, "serving_dtypes", lambda *_: (torch.float16, torch.bfloat16))
    about, fits = artifact.read(artifact_folder), FoldedNetwork.fits
    assert TorchPredictor(artifact_folder, about, "auto", CPU).precision == "fp16"
    monkeypatch.setattr(FoldedNetwork, "fits", lambda self, pixels: self.dtype != torch.float16 and fits(self, pixels))
    assert TorchPredictor(artifact_folder, about, "auto", CPU).precision == "bf16"


def test_fp16_is_refused_where_it_was_asked_for(artifact_folder, monkeypatch):
    monkeypatch.setattr(FoldedNetwork, "fits", lambda self, pixels: False)
    with pytest.raises(UserError, match="leave the range of precision 'fp16'; accepted: auto, fp32"):
        TorchPredictor(artifact_folder, artifact.read(artifact_folder), "fp16", CPU)


def test_too_little_memory_is_said_in_a_sentence(artifact_folder, monkeypatch):
    def run_out(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")

    monkeypatch.setattr(torch_predictor, "FixedBatch", run_out)
    with pytest.raises(UserError, match="too small for batches of 32 images of 32 px; accepted: .*2.00 MiB"):
        TorchPredictor(artifact_folder, artifact.read(artifact_folder), "fp32", CPU)
