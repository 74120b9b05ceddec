"""Checks that tensors by name are the weights of ResNet18, whoever wrote them."""

from collections.abc import Collection, Mapping

import torch

from classifier.errors import UserError
from classifier.layers import ARCHITECTURE, COUNTER, HEAD, list_shapes
from classifier.weight_values import check_magnitude, check_values

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
ACCEPTED = f"the weights of {ARCHITECTURE} alone, under torchvision's names"


def read_backbone(found: object, origin: str) -> dict[str, torch.Tensor]:
    """Return, in float32, the tensors by name in `found`, without those of a head.

    Raises UserError, which names `origin` and the first fault, unless they are all of ResNet18's and no others, of its
    shapes, in plain floating point, finite, and not so large that training could not start from them.
    """
    if not isinstance(found, Mapping):
        raise UserError(f"{origin} is not a state dict but a {type(found).__name__}; accepted: {ACCEPTED}")
    shapes = {name: shape for name, shape in list_shapes(1).items() if not _in_head(name)}
    found = {name: value for name, value in found.items() if not _in_head(name)}
    _check_names(found, shapes.keys(), origin)
    weights = {}
    for name, shape in shapes.items():
        if not name.endswith(COUNTER):
            _check_tensor(name, found[name], shape, origin)
            weights[name] = found[name].detach().float().resolve_neg()  # which numpy cannot read
    values = {name: tensor.numpy() for name, tensor in weights.items()}
    check_values(values, origin)
    check_magnitude(values, origin)
    return weights


def _in_head(name: object) -> bool:
    return isinstance(name, str) and name.startswith(f"{HEAD}.")


def _check_names(found: Mapping[object, object], expected: Collection[str], origin: str) -> None:
    unknown = [name for name in found if name not in expected]
    missing = [name for name in expected if name not in found and not name.endswith(COUNTER)]
    if not unknown and not missing:
        return
    for name, value in found.items():
        if isinstance(value, Mapping) and any(isinstance(one, torch.Tensor) for one in value.values()):
            how = f"torch.save(checkpoint[{name!r}], FILE) writes them"
            raise UserError(f"{origin} has its weights under {name!r}; accepted: {ACCEPTED}, as {how}")
    first = next(iter(expected))
    for name in unknown:
        if isinstance(name, str) and name.endswith(f".{first}") and first not in found:
            prefix = name.removesuffix(first)
            raise UserError(f"{origin} has names that begin with {prefix!r}; accepted: {ACCEPTED}, such as {first!r}")
    fault = f"has {_short(unknown[0])}, which is not a part of {ARCHITECTURE}" if unknown else ""
    raise UserError(f"{origin} {fault or f'lacks {missing[0]!r}'}; accepted: {ACCEPTED}")


def _check_tensor(name: str, value: object, shape: tuple[int, ...], origin: str) -> None:
    if not isinstance(value, torch.Tensor):
        fault = f"a {type(value).__name__}"
    elif value.is_nested:  # and has no shape
        fault = "a nested tensor"
    elif value.shape != shape:
        fault = f"of shape {tuple(value.shape)}"
    elif value.dtype not in FLOATS:
        fault = f"of type {_short(value.dtype)}"
    elif value.layout is not torch.strided or value.is_meta:
        fault = "without values (on device meta)" if value.is_meta else f"in layout {_short(value.layout)}"
    else:
        return
    kinds = ", ".join(map(_short, FLOATS))
    raise UserError(f"{origin}: {name!r} is {fault}; accepted: a dense tensor of shape {shape}, in {kinds}")


def _short(value: object) -> str:
    return repr(value[:100]) if isinstance(value, str) else str(value).removeprefix("torch.")[:100]
