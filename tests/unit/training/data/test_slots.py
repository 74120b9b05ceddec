"""Slots with a stand-in for CUDA; tests/gpu copies from them for real."""

import os

import pytest
import torch

from classifier.training.data.slots import Slots


class Cuda:
    """Registers memory like cudart, unless it is to fail."""

    class cudaError:  # noqa: N801, as cudart names it
        success = 0

    def __init__(self, error: int):
        self.error = error
        self.registered = {}

    def cudaHostRegister(self, address, size, _flags):  # noqa: N802
        if not self.error:
            self.registered[address] = size
        return self.error

    def cudaHostUnregister(self, address):  # noqa: N802
        del self.registered[address]

    def cudaGetErrorString(self, error):  # noqa: N802
        return f"error {error}"


class Copy:
    """An event, and the stream that records it."""

    def __init__(self):
        self.waits = 0

    def synchronize(self):
        self.waits += 1

    def record_event(self):
        return self


@pytest.fixture
def cuda(monkeypatch):
    made = Cuda(0)
    monkeypatch.setattr(torch.cuda, "cudart", lambda: made)
    return made


def test_what_a_forked_process_writes_is_there():
    slots = Slots(2, 3, 4)
    child = os.fork()
    if not child:
        slots.pixels[1, 2] = 7
        os._exit(0)
    os.waitpid(child, 0)
    assert slots.pixels[1, 2].min() == 7
    assert slots.pixels.sum() == 7 * 4 * 4 * 3


def test_slots_are_pinned_once_and_unpinned_at_the_end(cuda):
    slots = Slots(2, 3, 4)
    slots.pin()
    slots.pin()
    assert slots.is_pinned
    assert cuda.registered == {slots.pixels.ctypes.data: slots.pixels.nbytes}
    slots.close()
    slots.close()
    assert not cuda.registered


def test_slots_that_cannot_be_pinned_are_used_unpinned_and_that_is_said(cuda, caplog):
    cuda.error = 2
    slots = Slots(2, 3, 4)
    slots.pin()
    assert not slots.is_pinned
    assert "which slows their copies: error 2" in caplog.text
    slots.close()


def test_a_slot_is_taken_again_only_after_its_copy():
    slots, copies = Slots(2, 3, 4), [Copy(), Copy()]
    for batch in (0, 1):
        assert slots.next(batch) == batch
        slots.leave(batch, copies[batch])
    assert [copy.waits for copy in copies] == [0, 0]
    assert slots.next(2) == 0
    assert [copy.waits for copy in copies] == [1, 0]
