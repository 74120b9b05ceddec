"""Write the image's locked packages as a CycloneDX SBOM, and look up known vulnerabilities: `make audit`.

Fails on a vulnerability that vulnerabilities.toml does not explain. If the vulnerability service cannot be reached, it
prints so and does not fail.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

HERE = Path(__file__).parent
SBOM = HERE.parent / "sbom.cdx.json"
IMAGE = {
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_system": "Linux",
    "python_full_version": "3.11.0",
    "python_version": "3.11",
    "sys_platform": "linux",
}
BIN = Path(sys.executable).parent
TIMEOUT_S = 600


def main() -> int:
    lock = locked((HERE / "image.txt").read_text())
    write_sbom(lock, SBOM)
    print(f"{SBOM.name}: {len(lock)} packages, as locked for the image")
    accepted = tomllib.loads((HERE / "vulnerabilities.toml").read_text())
    lines, failed = judge(look_up(lock), accepted)
    print("\n".join(lines))
    return int(failed)


def locked(text: str) -> list[str]:
    """Return the requirements of a lock file, with their hashes, that apply to the image's platform."""
    lines = (line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#"))
    markers = ((line, Requirement(line.split(" --hash")[0]).marker) for line in lines)
    return [line for line, marker in markers if marker is None or marker.evaluate(IMAGE)]


def write_sbom(lock: list[str], path: Path) -> None:
    command = [BIN / "cyclonedx-py", "requirements", "--output-reproducible", "--output-file", path, "-"]
    subprocess.run(command, input="\n".join(lock), text=True, check=True, timeout=TIMEOUT_S)


def look_up(lock: list[str]) -> dict:
    """Return pip-audit's report; {} if it could not make one."""
    with tempfile.TemporaryDirectory() as folder:
        requirements, report = Path(folder, "requirements.txt"), Path(folder, "report.json")
        requirements.write_text("\n".join(line.split(";")[0].split(" --hash")[0] for line in lock))
        command = [BIN / "pip-audit", "--requirement", requirements, "--no-deps", "--disable-pip"]
        command += ["--format=json", f"--output={report}", "--progress-spinner=off"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        if report.is_file() and report.stat().st_size:
            return json.loads(report.read_text())
        print(result.stderr, file=sys.stderr)
        return {}


def judge(report: dict, accepted: dict[str, str]) -> tuple[list[str], bool]:
    """Return lines to print about pip-audit's `report`, and whether it is a failure."""
    packages = report.get("dependencies", [])
    flaws = [(package, flaw) for package in packages for flaw in package.get("vulns", ())]
    lines, explained, failed = [], set(), False
    for package, flaw in flaws:
        fixed = ", ".join(flaw["fix_versions"]) or "no release"
        line = f"{package['name']} {package['version']}: {flaw['id']}, fixed in {fixed}"
        names = accepted.keys() & {flaw["id"], *flaw["aliases"]}
        explained |= names
        failed |= not names
        lines.append(f"{line}; accepted: {accepted[min(names)]}" if names else f"VULNERABLE: {line}")
    # pip-audit counts what it could not look up as not vulnerable.
    unknown = [package for package in packages if "skip_reason" in package]
    if len(unknown) == len(packages):
        lines.append("not checked: the vulnerability service could not be reached")
    elif unknown:
        lines += [f"not checked: {package['skip_reason']}" for package in unknown]
    else:
        obsolete = sorted(accepted.keys() - explained)
        lines += [f"no longer found, to be removed from vulnerabilities.toml: {name}" for name in obsolete]
    lines.append(f"{len(packages) - len(unknown)} packages checked, {len(flaws)} known vulnerabilities")
    return lines, failed


if __name__ == "__main__":
    sys.exit(main())
