import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from classifier import artifact, engine, network, onnx_network
from classifier.activation_maps import OPAQUE, SIDE, ActivationMaps, png
from classifier.engine import Engine
from classifier.training.measure_int8 import observe
from conftest import CLASSES, IMAGE_SIZE

PIXELS = np.random.default_rng(0).integers(0, 256, (IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)


def maps_of(folder: Path) -> ActivationMaps:
    about = artifact.read(folder)
    return ActivationMaps(lambda: onnx_network.build(about, artifact.read_weights(folder, about)), folder)


def maps_by_gradients(folder: Path, classes: list[int]) -> list[np.ndarray]:
    """Return features times the gradient of a class's logit, summed over all features, for each class."""
    about, features = artifact.read(folder), []
    model = network.load(about, artifact.read_weights(folder, about)).requires_grad_()
    model.layer4.register_forward_hook(lambda _module, _inputs, output: features.append(output))
    logits = model(network.Normalize(about.mean, about.std)(torch.from_numpy(PIXELS[None])))[0]
    (layer,) = features
    gradients = [torch.autograd.grad(logits[index], layer, retain_graph=True)[0] for index in classes]
    places = layer.shape[2] * layer.shape[3]
    return [(places * layer * gradient).sum(1)[0].detach().numpy() for gradient in gradients]


def test_maps_are_what_gradients_say(artifact_folder):
    classes = [2, 0]
    found, expected = maps_of(artifact_folder).maps(PIXELS, classes), maps_by_gradients(artifact_folder, classes)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_a_logit_is_the_mean_of_its_map(artifact_folder):
    about = artifact.read(artifact_folder)
    weights = artifact.read_weights(artifact_folder, about)
    with torch.inference_mode():
        pixels = network.Normalize(about.mean, about.std)(torch.from_numpy(PIXELS[None]))
        logits = network.load(about, weights)(pixels)[0].numpy()
    found = maps_of(artifact_folder).maps(PIXELS, range(len(CLASSES)))
    np.testing.assert_allclose(found.mean((1, 2)) + weights["fc.bias"], logits, atol=1e-4)


def test_in_int8_they_are_nearly_the_same(artifact_folder):
    about = replace(artifact.read(artifact_folder), image_size=64)
    weights = artifact.read_weights(artifact_folder, about)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    observed = Engine(engine.read(onnx_network.build_observed(about, weights)), "fp32", 1)
    ranges, *_ = observe(observed, [(0, pixels)])
    networks = [onnx_network.build(about, weights, given) for given in (None, ranges)]
    plain, quantized = (
        ActivationMaps(lambda one=one: one, artifact_folder).maps(pixels, range(len(CLASSES))) for one in networks
    )
    np.testing.assert_allclose(quantized, plain, atol=0.1 * np.abs(plain).max())


def test_who_waits_too_long_is_told(artifact_folder):
    maps = maps_of(artifact_folder)
    with maps._lock, pytest.raises(TimeoutError):
        maps.maps(PIXELS, [0], seconds=0.01)
    assert maps.maps(PIXELS, [0], seconds=60).shape[0] == 1


@pytest.mark.parametrize("values", [[[0, 1], [-1, 0.5]], [[-2, -1], [-3, -1]], [[0, 0], [0, 0]], [[3, 2], [1, 1]]])
def test_the_picture_shows_what_speaks_for_the_class(values):
    picture = Image.open(io.BytesIO(png(np.array(values, np.float32))))
    assert (picture.mode, picture.size) == ("RGBA", (SIDE, SIDE))
    opacity = np.array(picture.getchannel("A"))
    corners = opacity[[0, 0, -1, -1], [0, -1, 0, -1]]
    above = np.maximum(0, np.ravel(values))
    above = above - above.min()
    np.testing.assert_allclose(corners, OPAQUE * above / max(above.max(), 1e-9), atol=40)  # bicubic
