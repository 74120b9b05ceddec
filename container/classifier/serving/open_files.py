"""The limit on open files, of which each connection is one."""

import resource

from classifier.errors import UserError

# Connections beyond the limit that have the time to read why they are closed.
MOST_CLOSING = 100
# Open files that are no connections: the listener, the engine's, and the modules that are imported late.
OTHER_FILES = 50
# With fewer there are so few connections that idle ones keep others out.
LEAST = 256


def raise_limit() -> None:
    """Let this process and its children open as many files as the system allows. Raises UserError if that is too few.

    Many systems allow 1,024 until a process asks for more, and a burst of connections takes them.
    """
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most != resource.RLIM_INFINITY and most < LEAST:
        raise UserError(f"the limit on open files is {most}; accepted: {LEAST} and more, as ulimit -n {LEAST} sets it")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def fewer_connections(connections: int) -> int:
    """Return for how many of so many connections this process may have files open."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return connections if most == resource.RLIM_INFINITY else min(connections, most - MOST_CLOSING - OTHER_FILES)
