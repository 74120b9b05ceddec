"""requirements/audit.py: the packages that it lists, and its verdict on pip-audit's reports."""

import importlib.util
import json
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parents[2] / "requirements"
FLAW = {"id": "PYSEC-1", "aliases": ["CVE-1", "GHSA-1"], "fix_versions": ["2.0"], "description": "..."}
FLAWED = {"name": "left", "version": "1.0", "vulns": [FLAW]}
SOUND = {"name": "right", "version": "1.0", "vulns": []}
SKIPPED = {"name": "other", "skip_reason": "other was not found"}


@pytest.fixture(scope="module")
def audit():
    spec = importlib.util.spec_from_file_location("audit", REQUIREMENTS / "audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_only_what_the_image_installs_is_listed(audit):
    lock = audit.locked(
        "# a comment\n"
        "a==1 \\\n    --hash=sha256:0\n"
        "b==1 ; sys_platform == 'win32' \\\n    --hash=sha256:0\n"
        "c==2 ; platform_machine == 'x86_64' and sys_platform == 'linux' \\\n    --hash=sha256:0\n"
        "d==3 ; python_full_version >= '3.12' \\\n    --hash=sha256:0\n"
    )
    assert [line.split()[0] for line in lock] == ["a==1", "c==2"]


def test_sbom_has_each_locked_package_once(audit, tmp_path):
    lock = audit.locked((REQUIREMENTS / "image.txt").read_text())
    audit.write_sbom(lock, tmp_path / "sbom.json")
    sbom = json.loads((tmp_path / "sbom.json").read_text())
    assert sbom["bomFormat"] == "CycloneDX"
    listed = {f"{component['name']}=={component['version']}" for component in sbom["components"]}
    assert listed == {line.split()[0] for line in lock}
    assert "torch==2.10.0" in listed
    assert not [component for component in sbom["components"] if component["name"] == "triton"]


def test_unexplained_vulnerability_fails(audit):
    lines, failed = audit.judge({"dependencies": [FLAWED, SOUND]}, {})
    assert failed
    assert lines == ["VULNERABLE: left 1.0: PYSEC-1, fixed in 2.0", "2 packages checked, 1 known vulnerabilities"]


@pytest.mark.parametrize("name", ["PYSEC-1", "CVE-1"])
def test_explained_vulnerability_does_not_fail(audit, name):
    lines, failed = audit.judge({"dependencies": [FLAWED]}, {name: "not used"})
    assert not failed
    assert lines[0].endswith("; accepted: not used")


def test_explanation_that_is_no_longer_needed_is_said(audit):
    lines, failed = audit.judge({"dependencies": [SOUND]}, {"CVE-1": "not used"})
    assert not failed
    assert lines[0] == "no longer found, to be removed from vulnerabilities.toml: CVE-1"


@pytest.mark.parametrize("report", [{}, {"dependencies": [SKIPPED]}])
def test_unreachable_service_is_said_and_is_no_all_clear(audit, report):
    lines, failed = audit.judge(report, {"CVE-1": "not used"})
    assert not failed
    assert lines[0] == "not checked: the vulnerability service could not be reached"
    assert lines[1].startswith("0 packages checked")


def test_package_the_service_does_not_know_is_said(audit):
    lines, _ = audit.judge({"dependencies": [SOUND, SKIPPED]}, {})
    assert lines == ["not checked: other was not found", "1 packages checked, 0 known vulnerabilities"]
