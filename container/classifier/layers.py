"""The names of ResNet18's layers, which are torchvision's. Without torch, so that launch/ and local/ start quickly."""

STEM = "conv1"
STAGES = ("layer1", "layer2", "layer3", "layer4")
HEAD = "fc"
# From input to output.
PARTS = (STEM, "bn1", *STAGES, HEAD)
