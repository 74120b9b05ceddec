"""What ends a group of processes, by torch's errors for it."""

from types import SimpleNamespace

import pytest
from torch import distributed

from classifier.errors import PeerLost, UserError
from classifier.training.parallel.processes import join_group

SEGMENT = "Error while creating shared memory segment /dev/shm/nccl-ab12 (size 9637892), error: No space left on device"


def join(monkeypatch, error: Exception) -> Exception:
    """Return what is raised where torch raises `error`."""

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(distributed, "init_process_group", fail)
    with pytest.raises(Exception) as said, join_group(SimpleNamespace(is_worker=True)):  # pyright: ignore[reportArgumentType]
        pass
    return said.value


def test_a_small_shared_memory_is_no_lost_process(monkeypatch):
    error = distributed.DistBackendError(f"NCCL error in: a.cpp:1, unhandled system error\nLast error:\n{SEGMENT} (28)")
    found = join(monkeypatch, error)
    assert type(found) is UserError
    assert "through /dev/shm, which is too small; accepted: docker run --shm-size 1g (shared memory seg" in str(found)
    assert "\n" not in str(found)


def test_a_lost_process_is_named_as_the_cause(monkeypatch):
    found = join(monkeypatch, distributed.DistNetworkError("Connection reset by peer"))
    assert type(found) is PeerLost
    assert "Connection reset by peer" in str(found)


def test_another_error_stays_as_it_is(monkeypatch):
    error = RuntimeError("CUDA error: device-side assert triggered")
    assert join(monkeypatch, error) is error
