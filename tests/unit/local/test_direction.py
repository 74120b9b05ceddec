"""launch/ imports local/, and local/ imports tables of the container's: never the other way round."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_local_does_not_import_launch_or_aws():
    above = {"launch", "boto3", "botocore", "sagemaker", "torch"}
    modules = sorted((ROOT / "local").glob("*.py"))
    assert modules
    for path in modules:
        imported = set(re.findall(r"^ *(?:import|from) (\w+)", path.read_text(), re.MULTILINE))
        assert imported & above == set(), path.name
