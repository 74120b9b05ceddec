from pathlib import Path

import pytest

from classifier.cgroups import list_groups


@pytest.mark.parametrize(
    ("lines", "folders"),
    [
        (None, ["", "memory"]),
        ("0::/\n", ["", "memory"]),
        ("0::/system.slice/a b:c.service\n", ["", "system.slice", "system.slice/a b:c.service", "memory"]),
        ("9:name=systemd:/x\n4:cpu,memory:/y/z\n3:cpuset:/v\n0::/w\n", ["", "w", "memory", "memory/y", "memory/y/z"]),
        ("0::/../../w\n", ["", "memory"]),
    ],
)
def test_a_group_and_those_around_it(tmp_path: Path, lines, folders):
    if lines is not None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(lines)
    root = tmp_path / "sys/fs/cgroup"
    assert list_groups("memory", tmp_path) == [root / folder for folder in folders]
