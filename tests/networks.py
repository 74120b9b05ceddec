"""A network like a trained one, and the weights of an artifact."""

from pathlib import Path

import torch

from classifier import artifact, network


def trained() -> network.ResNet18:
    """Return a network whose batch normalisation has an effect and whose answers differ between images."""
    torch.manual_seed(0)
    model = network.build(10, eps=1e-5).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.2)
    return model


def stored_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of the artifact in `folder`."""
    return network.as_tensors(artifact.read_weights(folder, artifact.read(folder)))
