"""The names of ResNet18's layers, which are torchvision's, and the sizes of its input.

Without torch, so that launch/ and local/ start quickly.
"""

STEM = "conv1"
STAGES = ("layer1", "layer2", "layer3", "layer4")
HEAD = "fc"
# From input to output.
PARTS = (STEM, "bn1", *STAGES, HEAD)
_BLOCKS = [f"{stage}.{block}" for stage in STAGES for block in (0, 1)]
_RESIZED = [f"{stage}.0.downsample" for stage in STAGES[1:]]  # each with its normalisation
CONVOLUTIONS = (STEM, *(f"{block}.{name}" for block in _BLOCKS for name in ("conv1", "conv2")), *_RESIZED)
# The least and the most pixels on a side.
IMAGE_SIZES = (32, 1024)
