"""Write THIRD_PARTY.md: the packages that the image contains, and their licences.

Usage: python requirements/third_party.py   (with requirements/dev.txt installed; `make lock` runs it)
"""

from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

import audit

HERE = Path(__file__).parent
HEAD = """# Third-party notices

The image ships these packages, as requirements/image.txt locks them, each with its licence text in its own
`*.dist-info` folder; on top of a Debian-based Python image, whose packages have theirs in /usr/share/doc.
The NVIDIA packages are proprietary: NVIDIA's licence allows to redistribute them as part of an application.
The ImageNet weights are torchvision's (BSD-3-Clause); ImageNet's photos, which they were made with, are for
non-commercial research by their terms of access, and whether that reaches the weights is not settled.

| package | licence |
|---|---|
"""


def shipped() -> list[str]:
    """Return the names of the packages that the lock file installs in the image."""
    lines = audit.locked((HERE / "image.txt").read_text())
    return sorted(Requirement(line.split(" --hash")[0]).name for line in lines)


def licence(name: str) -> str:
    about: Any = metadata.metadata(name)  # an email.message.Message, which typeshed does not say
    classifiers = [c.rsplit(" :: ", 1)[-1] for c in about.get_all("Classifier", []) if c.startswith("License ::")]
    # The free text of License may be the whole licence, so it comes last.
    return about.get("License-Expression") or ", ".join(classifiers) or about.get("License") or "see its licence file"


def main() -> None:
    rows = [f"| {name} | {licence(name)} |\n" for name in shipped()]
    (HERE.parent / "THIRD_PARTY.md").write_text(HEAD + "".join(rows))


if __name__ == "__main__":
    main()
