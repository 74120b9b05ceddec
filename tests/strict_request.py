"""Checks a request against botocore's model of the service, with the enums, patterns and maxima that botocore skips."""

from functools import cache

import botocore.session
import regex
from botocore.model import Shape
from botocore.validate import ParamValidator

# The characters beyond U+FFFF as Java and as Python write them.
BEYOND = (r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010ffff")


@cache
def service(name: str):
    return botocore.session.get_session().get_service_model(name)


def faults(operation: str, parameters: dict, of: str = "sagemaker") -> list[str]:
    """Return what the service would reject in the request, one sentence each; empty if it is valid."""
    shape = service(of).operation_model(operation).input_shape
    found = [line for line in [ParamValidator().validate(parameters, shape).generate_report()] if line]
    unfit(shape, parameters, operation, found)
    return found


def unfit(shape: Shape, value: object, path: str, found: list[str]) -> None:
    """Append to `found` whatever in `value`, at any depth, does not fit `shape`."""
    kind, limits = shape.type_name, shape.metadata
    if kind == "structure":
        for name in value.keys() & shape.members.keys():
            unfit(shape.members[name], value[name], f"{path}.{name}", found)
    elif kind == "list":
        for number, item in enumerate(value):
            unfit(shape.member, item, f"{path}[{number}]", found)
    elif kind == "map":
        for name, item in value.items():
            unfit(shape.key, name, f"{path}.key({name})", found)
            unfit(shape.value, item, f"{path}.{name}", found)
    elif kind == "string":
        if getattr(shape, "enum", None) and value not in shape.enum:
            found.append(f"{path}: {value!r} is none of {', '.join(shape.enum)}")
        if "pattern" in limits and not regex.fullmatch(limits["pattern"].replace(*BEYOND), value):
            found.append(f"{path}: {value!r} does not match {limits['pattern']}")
    size = value if kind in ("integer", "long", "float", "double") else len(value) if hasattr(value, "__len__") else 0
    if "max" in limits and size > limits["max"]:
        found.append(f"{path}: {size} is more than {limits['max']}")
