"""The control groups that limit this process, as man 7 cgroups has them: a container's, a service's, a batch job's."""

from pathlib import Path, PurePosixPath


def list_groups(controller: str, system: Path = Path("/")) -> list[Path]:
    """Return the folders of the groups that this process is in, each around the next one: the limits of all hold.

    Version 1 of cgroups has a hierarchy for each `controller`, such as "memory" or "cpu", version 2 one for all. From
    inside a container its own group may be the outermost; what is around it cannot be seen, and some of the folders may
    not exist.
    """
    root = system / "sys/fs/cgroup"
    paths = {root: "/", root / controller: "/"}
    try:
        lines = (system / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux, for example
        lines = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            paths[root] = path
        elif controller in controllers.split(","):
            paths[root / controller] = path
    return [folder for top, path in paths.items() for folder in _along(top, path)]


def _along(top: Path, path: str) -> list[Path]:
    steps = PurePosixPath(path).parts[1:]
    if ".." in steps:  # outside of what this container sees
        return [top]
    return [top.joinpath(*steps[:n]) for n in range(len(steps) + 1)]
