"""The container's modules import each other in one direction: no module imports what, in the end, imports it."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
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


IMPORT = """
import sys
before = set(sys.modules)
import classifier.serving.app, classifier.serving.front, classifier.serving.settings
print(*{name.partition(".")[0] for name in set(sys.modules) - before})
"""


def test_the_fuzzers_environment_has_what_it_imports():
    """It has not all packages of the image, and is made only for the fuzzer."""
    command = [sys.executable, "-c", IMPORT]
    done = subprocess.run(command, env={"PYTHONPATH": str(CONTAINER)}, capture_output=True, text=True, check=True)
    packages = packages_distributions()
    needed = {packages[name][0].lower() for name in set(done.stdout.split()) & packages.keys()}
    locked = (CONTAINER.parent / "requirements/fuzz.txt").read_text()
    assert {"flask", "numpy"} <= needed <= set(re.findall("^([a-z0-9-]+)==", locked, re.MULTILINE))


WITHOUT = """
import sys
sys.modules |= dict.fromkeys(("flask", "gunicorn", "openvino", "smdebug", "boto3"))
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "--collect-only", "tests/gpu"]))
"""


def test_the_tests_for_gpus_can_be_collected_without_packages_that_a_machine_of_ones_own_may_lack():
    """Those that need one of them are skipped then, and the others run: see docs/image.md."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], cwd=CONTAINER.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "test_gpu_steps.py::test_a_step_changes" in done.stdout
