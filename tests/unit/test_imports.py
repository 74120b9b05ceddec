"""The container's modules import each other in one direction: no module imports what, in the end, imports it."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

CONTAINER = Path(__file__).parents[2] / "container"
MODULES = {
    ".".join(path.relative_to(CONTAINER).with_suffix("").parts): path for path in CONTAINER.rglob("classifier/**/*.py")
}


def imported(path):
    """Return the modules of ours that a file imports, also within functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield from {f"{node.module}.{alias.name}", node.module} & MODULES.keys()


def test_no_import_leads_in_a_circle():
    graph = {name: set(imported(path)) for name, path in MODULES.items()}
    assert graph["classifier.training.job"]
    TopologicalSorter(graph).prepare()  # raises CycleError with the modules of a circle


def test_serving_and_training_do_not_know_each_other():
    for name, path in MODULES.items():
        for other in imported(path):
            wings = {
                part for module in (name, other) for part in ("serving", "training") if f"classifier.{part}" in module
            }
            assert wings != {"serving", "training"}, (name, other)
