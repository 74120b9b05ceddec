"""Event files, read by their format: tensorflow.org's record.h and event.proto."""

import struct

import pytest

from classifier.training.metrics import MetricsLog
from classifier.training.tensorboard import FILE, TensorBoard


def crc32c(data: bytes) -> int:
    """Return the checksum of RFC 3720, bit by bit."""
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum ^= byte
        for _ in range(8):
            checksum = checksum >> 1 ^ 0x82F63B78 * (checksum & 1)
    return checksum ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    checksum = crc32c(data)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data: bytes) -> list[bytes]:
    """Return the contents of records whose checksums are right."""
    found = []
    while data:
        length, of_length = struct.unpack_from("<QI", data)
        content, (of_content,) = data[12 : 12 + length], struct.unpack_from("<I", data, 12 + length)
        assert (of_length, of_content) == (masked(data[:8]), masked(content))
        found.append(content)
        data = data[16 + length :]
    return found


def scalars(path) -> list[tuple[int, dict[str, float]]]:
    """Return step and values of each event."""
    from smdebug.core.tfevent.proto import event_pb2

    events = [event_pb2.Event.FromString(content) for content in records(path.read_bytes())]
    return [(event.step, {one.tag: one.simple_value for one in event.summary.value}) for event in events]


def test_the_checksum():
    assert crc32c(b"123456789") == 0xE3069283


def test_every_epoch_is_in_the_file(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", TensorBoard(tmp_path / "tensorboard"))
    log.start([])
    log.write("epoch 1/2", {"train:loss": 0.5, "validation:accuracy": 0.25}, epoch=1)
    log.write("epoch 2/2", {"train:loss": 0.25}, epoch=2)
    log.write("test", {"test:accuracy": 0.75}, best_epoch=1)
    assert scalars(tmp_path / "tensorboard" / FILE) == [
        (1, {"train/loss": 0.5, "validation/accuracy": 0.25}),
        (2, {"train/loss": 0.25}),
        (1, {"test/accuracy": 0.75}),
    ]


def test_a_run_that_continues_has_its_earlier_epochs_once(tmp_path):
    (tmp_path / FILE).write_bytes(b"an earlier job's")
    tensorboard = TensorBoard(tmp_path)
    tensorboard.start([{"epoch": 1, "train:loss": 0.5}])
    tensorboard.write(2, {"train:loss": 0.25})
    assert scalars(tmp_path / FILE) == [(1, {"train/loss": 0.5}), (2, {"train/loss": 0.25})]


def test_a_full_disk_is_an_error(tmp_path):
    tensorboard = TensorBoard(tmp_path)
    tensorboard.path.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        tensorboard.write(1, {"train:loss": 0.5})
