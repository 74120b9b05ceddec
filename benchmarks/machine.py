"""What every table names: the processor, its instruction sets, the cores, the day and the commit."""

import datetime
import os
import re
import subprocess
from pathlib import Path

CORES = len(os.sched_getaffinity(0))
# Linux's name of each instruction set that decides how fast a network is.
INSTRUCTION_SETS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx_vnni": "VNNI",
    "avx512_vnni": "VNNI",
    "avx512_bf16": "bf16",
    "amx_int8": "AMX",
}


def heading() -> str:
    """Return one line for the head of a table."""
    (name, *_) = _read_about("model name") or ["unknown processor"]
    sets = instruction_sets()
    without = [words for words in ("AVX-512", "VNNI", "AMX") if words not in sets]
    words = ", ".join(words for words in dict.fromkeys(INSTRUCTION_SETS.values()) if words in sets) + (
        f"; without {', '.join(without)}" if without else ""
    )
    return f"{name} ({words}), {CORES} cores, {datetime.date.today()}, commit {commit()}"


def instruction_sets() -> set[str]:
    """Return the processor's instruction sets that matter."""
    flags = " ".join(_read_about("flags")).split()
    return {words for flag, words in INSTRUCTION_SETS.items() if flag in flags}


def _read_about(field: str) -> list[str]:
    return re.findall(rf"^{field}\s*: (.+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)[:1]


def commit() -> str:
    """Return the short name of the commit that is checked out, and whether files were changed since."""
    command = ["git", "describe", "--always", "--exclude=*", "--dirty= with changes"]
    try:
        described = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:  # a bare machine has no git
        return "unknown"
    return described.stdout.strip() or "unknown"
