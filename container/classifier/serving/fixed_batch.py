"""A network for batches of one size; on a GPU a CUDA graph: a single call, which other Python threads hardly slow."""

from collections.abc import Callable

import numpy as np
import torch

from classifier.serving.folded_network import FoldedNetwork

# Calls before a capture, in which cuDNN makes its plans.
WARM_UP = 3


class FixedBatch:
    """The rows of up to `size` images by a network, with buffers that all its calls share.

    On a GPU the buffers are pinned memory. Not for several threads at a time.
    """

    @torch.inference_mode()
    def __init__(self, network: FoldedNetwork, size: int, image_size: int, where: torch.device):
        """Reserve the buffers for images of (image_size, image_size, 3); on a GPU also capture the graph."""
        self._network = network  # whose weights the graph reads
        is_gpu = where.type == "cuda"
        self._pixels = torch.zeros(size, image_size, image_size, 3, dtype=torch.uint8, pin_memory=is_gpu)
        self._input = self._pixels.to(where) if is_gpu else self._pixels
        self._replay: Callable[[], None] | None = None
        if is_gpu:
            self._stream = torch.cuda.Stream(where)
            self._replay, self._output = self._capture()
            self._rows = torch.empty(self._output.shape, pin_memory=True)

    def _capture(self) -> tuple[Callable[[], None], torch.Tensor]:
        """Return the graph's replay and its output."""
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UP):
                self._network(self._input)
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            output = self._network(self._input)
        return graph.replay, output

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Return n rows, float32, for uint8 (n, image_size, image_size, 3), n up to the size."""
        n = len(pixels)
        self._pixels.numpy()[:n] = pixels  # what an earlier batch left in the other rows changes none of these
        if self._replay is None:
            return self._network(self._input)[:n].numpy()
        with torch.cuda.stream(self._stream):
            self._input.copy_(self._pixels, non_blocking=True)
            self._replay()
            self._rows.copy_(self._output, non_blocking=True)
        self._stream.synchronize()
        return self._rows.numpy()[:n].copy()
