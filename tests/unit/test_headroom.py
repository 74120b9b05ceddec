import os
from pathlib import Path

import psutil
import pytest

from classifier.headroom import count_kills, free_memory

MB = 10**6


def write(group: Path, **files: object) -> Path:
    group.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (group / name.replace("__", ".")).write_text(f"{text}\n")
    return group


def version_2(system: Path, limit: object) -> None:
    group = system / "sys/fs/cgroup"
    write(group, memory__max=limit, memory__current=9 * MB, memory__stat=f"anon {5 * MB}\ninactive_file {3 * MB}")


def version_1(system: Path, limit: object) -> None:
    group = system / "sys/fs/cgroup/memory"
    statistics = f"cache 1\ntotal_inactive_file {3 * MB}"
    write(group, memory__limit_in_bytes=limit, memory__usage_in_bytes=9 * MB, memory__stat=statistics)


@pytest.mark.parametrize("version", [version_1, version_2])
def test_the_limit_of_a_container_less_what_is_used(version, tmp_path):
    version(tmp_path, 20 * MB)
    assert free_memory(tmp_path) == 14 * MB


def test_the_least_that_any_group_around_this_process_leaves(tmp_path):
    version_2(tmp_path, 90 * MB)
    statistics = f"inactive_file {1 * MB}"
    write(tmp_path / "sys/fs/cgroup/a.slice", memory__max=20 * MB, memory__current=9 * MB, memory__stat=statistics)
    write(tmp_path / "sys/fs/cgroup/a.slice/b", memory__max="max", memory__current=2 * MB, memory__stat=statistics)
    write(tmp_path / "proc/self", cgroup="0::/a.slice/b")
    assert free_memory(tmp_path) == 12 * MB


@pytest.mark.parametrize(("version", "limit"), [(version_2, "max"), (version_1, 2**63 - 4096), (None, None)])
def test_without_a_limit_the_machine_counts(version, limit, tmp_path):
    if version:
        version(tmp_path, limit)
    assert 0 < free_memory(tmp_path) <= psutil.virtual_memory().total


def test_without_proc_the_system_is_asked(tmp_path, monkeypatch):
    """As in a sandbox that does not mount it."""
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    assert 0 < free_memory(tmp_path) <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 0"),
        ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2"),
    ],
)
def test_kills_for_memory_are_counted(file, text, tmp_path):
    assert count_kills(tmp_path) == 0
    path = tmp_path / "sys/fs/cgroup" / file
    path.parent.mkdir(parents=True)
    path.write_text(f"{text}\n")
    assert count_kills(tmp_path) == 2
