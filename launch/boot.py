"""The scripts import this first: they go on in .venv, whatever Python started them, and find our own packages."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[1:1] = [str(ROOT), str(ROOT / "container")]

import environment  # noqa: E402

environment.enter("PIL", "jinja2", "matplotlib", "psutil", "rich")
