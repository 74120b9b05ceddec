"""ResNet18 for inference alone: each convolution has its batch normalisation folded in, and is one kernel on a GPU."""

from collections import deque
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from classifier import network
from classifier.artifact import Artifact
from classifier.folding import fold
from classifier.layers import BLOCKS, CONVOLUTIONS, HEAD, STEM
from classifier.unlikeness import Measure


class FoldedNetwork:
    """uint8 pixels (n, size, size, 3) to float32 rows on one device: probabilities and, with a measure, unlikeness."""

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        about: Artifact,
        where: torch.device,
        dtype: torch.dtype,
        measure: Measure | None = None,
    ):
        """Take an artifact's float32 `weights` by name, for convolutions in `dtype` on the device `where`."""
        self.dtype = dtype
        # torch's functions for cuDNN's fused convolutions; they were measured in fp16 alone.
        self._is_fused = where.type == "cuda" and dtype is torch.float16
        self._normalize = network.Normalize(about.mean, about.std).to(where)
        folded = {name: fold(weights, layer, about.eps) for name, layer in CONVOLUTIONS.items()}
        biases = {name: bias for name, (_, bias) in folded.items()}
        for name in [name for name, layer in CONVOLUTIONS.items() if layer.is_shortcut]:
            # Its result is only added to conv2's, and so may its bias be.
            biases[name.replace("downsample", "conv2")] += biases.pop(name)
        self._weights = {
            name: torch.from_numpy(weight).to(where, dtype).contiguous(memory_format=torch.channels_last)
            for name, (weight, _) in folded.items()
        }
        self._biases = {name: torch.from_numpy(bias).to(where, dtype) for name, bias in biases.items()}
        self._head = [torch.tensor(weights[f"{HEAD}.{part}"], device=where) for part in ("weight", "bias")]
        self._temperature = about.temperature
        self._measure = [torch.tensor(part, device=where) for part in measure] if measure else None

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Tensor:
        (x,) = deque(self._outputs(pixels), maxlen=1)
        features = x.float().mean((2, 3))
        probabilities = (functional.linear(features, *self._head) / self._temperature).softmax(1)
        if self._measure is None:
            return probabilities
        mean, weight = self._measure
        unlikeness = ((features.sqrt() - mean) @ weight).norm(dim=1, keepdim=True)
        return torch.cat((probabilities, unlikeness), 1)

    @torch.inference_mode()
    def fits(self, pixels: Tensor) -> bool:
        """Return whether all weights, and all layers' outputs for `pixels`, are within the dtype's range."""
        tensors = (*self._weights.values(), *self._biases.values(), *self._outputs(pixels))
        return all(bool(tensor.isfinite().all()) for tensor in tensors)

    def _outputs(self, pixels: Tensor) -> Iterator[Tensor]:
        """Yield the outputs of the stem and of each convolution of the blocks, in order."""
        x = self._convolve(STEM, self._normalize(pixels).to(self.dtype))
        yield x
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        for block in BLOCKS:
            shortcut = self._shorten(f"{block}.downsample", x)
            x = self._convolve(f"{block}.conv1", x)
            yield x
            x = self._convolve(f"{block}.conv2", x, shortcut)
            yield x

    def _shorten(self, name: str, x: Tensor) -> Tensor:
        if name not in CONVOLUTIONS:
            return x
        return functional.conv2d(x, self._weights[name], stride=CONVOLUTIONS[name].stride)

    def _convolve(self, name: str, x: Tensor, added: Tensor | None = None) -> Tensor:
        """Return the ReLU of a convolution of `x`, with `added` added to it before."""
        layer, weight, bias = CONVOLUTIONS[name], self._weights[name], self._biases[name]
        stride, padding = [layer.stride] * 2, [layer.kernel // 2] * 2
        if self._is_fused:
            if added is None:
                return torch.cudnn_convolution_relu(x, weight, bias, stride, padding, [1, 1], 1)
            return torch.cudnn_convolution_add_relu(x, weight, added, 1.0, bias, stride, padding, [1, 1], 1)
        y = functional.conv2d(x, weight, bias, stride, padding)
        return (y if added is None else y.add_(added)).relu_()
