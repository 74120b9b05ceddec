"""How many files may be open, and what follows for connections."""

import resource

import pytest

from classifier.errors import UserError
from classifier.serving.open_files import LEAST, fewer_connections, raise_limit


@pytest.mark.parametrize("most", [10, 128, LEAST - 1])
def test_too_few_are_refused(monkeypatch, most):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (most, most))
    with pytest.raises(UserError, match=f"open files is {most}; accepted: {LEAST} and more"):
        raise_limit()


@pytest.mark.parametrize(("most", "connections"), [(LEAST, 106), (1024, 874), (4096, 900), (-1, 900)])
def test_what_the_system_allows_is_asked_for(monkeypatch, most, connections):
    limits = {resource.RLIMIT_NOFILE: (64, most)}
    monkeypatch.setattr(resource, "getrlimit", limits.get)
    monkeypatch.setattr(resource, "setrlimit", limits.__setitem__)
    raise_limit()
    assert limits == {resource.RLIMIT_NOFILE: (most, most)}
    assert fewer_connections(900) == connections
