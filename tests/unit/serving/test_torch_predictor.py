import numpy as np
import pytest
import torch

from classifier import artifact
from classifier.errors import UserError
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
