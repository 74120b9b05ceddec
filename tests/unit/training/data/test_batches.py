import dataclasses
import mmap
import os
import signal
import time

import numpy as np
import pytest
import torch
from torch.utils.data._utils import MP_STATUS_CHECK_INTERVAL

from classifier import images
from classifier.training.compute import Compute
from classifier.training.data import batches as module
from classifier.training.data import dataset as data
from classifier.training.data import order, readers
from classifier.training.data.batches import ImageBatches, explained_losses
from classifier.training.data.dataset import ImageDataset
from classifier.training.data.readers import ReaderLost
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupt
from classifier.training.parallel.processes import Alone
from phases import write_phase
from waits import PATIENCE_S, wait_until

SIZE = 32
COMPUTE = Compute(torch.device("cpu"), torch.float32)


@pytest.fixture
def phase(tmp_path):
    return write_phase(tmp_path)


def taken(batches):
    """Return copies of the batches' inputs: their memory is used again."""
    return [batch.inputs.clone() for batch in batches]


def hyperparameters(**values):
    return Hyperparameters(**{"image_size": SIZE, "batch_size": 4, "workers": 0} | values)


def test_evaluation_sees_what_serving_sees_byte_for_byte(phase):
    seen = 0
    for batch in ImageBatches(phase, hyperparameters(), COMPUTE).epoch():
        for pixels, position in zip(batch.inputs, batch.positions, strict=True):
            served = images.evaluation_pixels((phase.folder / phase.files[position]).read_bytes(), SIZE)
            assert pixels.numpy().tobytes() == served.tobytes()
            seen += 1
    assert seen == 9


def test_an_unreadable_image_is_left_out_of_its_batch_and_named(phase):
    batches = list(ImageBatches(phase, hyperparameters(), COMPUTE).epoch())
    assert [len(batch) for batch in batches] == [3, 4, 2]
    assert batches[0].positions.tolist() == [0, 1, 2]
    assert batches[0].labels.tolist() == [0, 1, 0]
    assert list(batches[0].skipped) == [3]
    assert "rows are missing" in batches[0].skipped[3]


@pytest.mark.parametrize(("augmentation", "workers"), [("none", 0), ("standard", 0), ("standard", 2)])
def test_a_file_is_decoded_once_and_later_epochs_are_as_from_the_file(phase, augmentation, workers):
    train = dataclasses.replace(phase, name="train")
    hp = hyperparameters(augmentation=augmentation, workers=workers)
    batches = ImageBatches(train, hp, COMPUTE)
    kept = ImageBatches(train, hp, COMPUTE)
    first = sum(len(batch) for batch in kept.epoch(1))
    expected = taken(batches.epoch(2))
    for file in phase.files:
        (phase.folder / file).unlink()
    later = taken(kept.epoch(2))
    assert first == sum(len(inputs) for inputs in later) == 9
    assert all(torch.equal(one, two) for one, two in zip(expected, later, strict=True))
    assert sum(len(batch) for batch in kept.epoch(0)) == 9
    assert sum(len(batch) for batch in ImageBatches(train, hp, COMPUTE, once=True).epoch(2)) == 0


def test_training_batches_are_the_same_for_any_number_of_workers(phase):
    train = dataclasses.replace(phase, name="train")
    runs = []
    for workers in (0, 2):
        batches = ImageBatches(train, hyperparameters(workers=workers, seed=3), COMPUTE)
        runs.append(taken(batches.epoch(2)))
    assert all(torch.equal(one, two) for one, two in zip(*runs, strict=True))


def test_an_interrupted_epoch_goes_on_with_the_same_batches(phase):
    train = dataclasses.replace(phase, name="train")
    batches = ImageBatches(train, hyperparameters(), COMPUTE)
    whole = [batch.positions.tolist() for batch in batches.epoch(3)]
    assert [batch.positions.tolist() for batch in batches.epoch(3, first=1)] == whole[1:]
    assert [batch.positions.tolist() for batch in batches.epoch(3)] == whole
    assert list(batches.epoch(3, first=3)) == []


@pytest.mark.parametrize("name", ["train", "validation"])
def test_the_next_epoch_is_read_while_this_one_ends(phase, name, monkeypatch):
    read = mmap.mmap(-1, 8)  # shared with the processes
    whole = ImageDataset.__getitem__

    def count(self, part):
        read[part.epoch] += len(part.positions)
        return whole(self, part)

    monkeypatch.setattr(ImageDataset, "__getitem__", count)
    batches = ImageBatches(dataclasses.replace(phase, name=name), hyperparameters(workers=1, epochs=3), COMPUTE)
    number = 1 if name == "train" else 0
    positions = [batch.positions.tolist() for batch in batches.epoch(number)]
    wait_until(lambda: read[number + 1] >= 8, "two batches of the next epoch")
    assert batches.place == (number + 1, 0)
    alone = ImageBatches(dataclasses.replace(phase, name=name), hyperparameters(epochs=3), COMPUTE)
    later = [batch.positions.tolist() for batch in batches.epoch(number + 1)]
    assert later == [batch.positions.tolist() for batch in alone.epoch(number + 1)]
    assert (later == positions) is (name == "validation")
    batches.close()


def test_no_epoch_after_the_last_is_read(phase):
    train = dataclasses.replace(phase, name="train")
    batches = ImageBatches(train, hyperparameters(epochs=2), COMPUTE)
    for number in (1, 2):
        list(batches.epoch(number))
    assert list(batches.stream) == []


def test_a_run_that_goes_on_within_an_epoch_takes_the_same_batches_to_its_end(phase):
    train = dataclasses.replace(phase, name="train")
    whole, resumed = (ImageBatches(train, hyperparameters(workers=1, epochs=3), COMPUTE) for _ in range(2))
    expected = sum((taken(whole.epoch(number)) for number in (1, 2, 3)), [])
    found = [*taken(resumed.epoch(2, first=1)), *taken(resumed.epoch(3))]
    assert len(found) == 5
    assert all(torch.equal(one, two) for one, two in zip(expected[4:], found, strict=True))
    whole.close()
    resumed.close()


def test_workers_leave_signals_to_the_main_process(phase):
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    interrupt = Interrupt().install()
    try:
        made = ImageBatches(phase, hyperparameters(workers=2, epochs=1), COMPUTE)
        batches = made.epoch()
        assert len(next(batches)) + len(next(batches)) == 7  # one of each worker: both have started
        for worker in made.opened._workers:
            os.kill(worker.pid, signal.SIGTERM)
            os.kill(worker.pid, signal.SIGINT)
        assert sum(len(batch) for batch in batches) == 2
        assert interrupt.signal is None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_a_killed_reader_is_a_sentence_with_its_image(phase, monkeypatch):
    monkeypatch.setattr(data, "read_image_file", lambda path: os.kill(os.getpid(), signal.SIGKILL))
    batches = ImageBatches(phase, hyperparameters(workers=1), COMPUTE)
    with pytest.raises(ReaderLost) as lost, explained_losses(None, batches):
        list(batches.epoch())
    assert str(lost.value).startswith(
        "a process that reads images was ended by signal SIGKILL, at the validation image 'class0/0.jpg'; SIGKILL"
    )
    assert str(lost.value).endswith(
        " usually means that memory ran out: accepted are fewer workers, a smaller batch_size, and images that can be "
        "decoded"
    )
    monkeypatch.setattr(readers, "count_kills", lambda: batches.dataset.reading.kills + 1)
    assert "'class0/0.jpg'; the container's memory ran out: accepted are" in str(batches.lost_reader())
    batches.close()


def test_other_errors_are_not_explained(phase):
    with pytest.raises(RuntimeError, match="of torch") as error, explained_losses(None):
        raise RuntimeError("of torch")
    assert not isinstance(error.value, ReaderLost)


def test_readers_that_hang_are_killed(phase, monkeypatch):
    monkeypatch.setattr(data, "read_image_file", lambda path: time.sleep(2 * PATIENCE_S))
    batches = ImageBatches(phase, hyperparameters(workers=2), COMPUTE)
    batches.epoch()
    processes = batches.opened._workers
    wait_until(lambda: (batches.dataset.reading.positions >= 0).all(), "both processes read")
    started = time.monotonic()
    batches.close()
    assert time.monotonic() - started < MP_STATUS_CHECK_INTERVAL  # torch's wait for each process that does not end
    assert [process.exitcode for process in processes] == [-signal.SIGKILL] * 2


def test_a_batch_is_made_in_parts_by_several_processes(phase, monkeypatch):
    monkeypatch.setattr(order, "PART", 2)
    monkeypatch.setattr(readers, "PART", 2)
    seen = mmap.mmap(-1, 2)
    whole = ImageDataset.__getitem__

    def note(self, part):
        seen[self.reading.place] += 1
        return whole(self, part)

    monkeypatch.setattr(ImageDataset, "__getitem__", note)
    alone = ImageBatches(phase, hyperparameters(batch_size=6), COMPUTE)
    several = ImageBatches(phase, hyperparameters(batch_size=6, workers=2), COMPUTE)
    for one, two in zip(alone.epoch(), several.epoch(), strict=True):
        assert torch.equal(one.inputs, two.inputs)
        assert torch.equal(one.labels, two.labels)
    several.close()
    assert min(seen[0] - 6, seen[1]) >= 3  # the first also made the six parts of `alone`


def test_batches_under_way_never_share_a_slot(phase):
    """However short the epochs are beside what is read ahead."""
    few = dataclasses.replace(phase.only([n < 3 for n in range(10)]), name="train")
    alone, ahead = (ImageBatches(few, hyperparameters(workers=n, epochs=20, batch_size=2), COMPUTE) for n in (0, 4))
    for number in range(1, 21):
        for one, two in zip(alone.epoch(number), ahead.epoch(number), strict=True):
            time.sleep(0.002)  # the processes go as far as they may
            assert torch.equal(one.inputs, two.inputs)
    ahead.close()


def test_an_epoch_that_is_left_and_begun_anew_has_its_batches(phase):
    train = dataclasses.replace(phase, name="train")
    batches = ImageBatches(train, hyperparameters(workers=2, epochs=3), COMPUTE)
    whole = taken(batches.epoch(1))
    for _ in batches.epoch(2):
        break
    again = taken(batches.epoch(1))
    assert all(torch.equal(one, two) for one, two in zip(whole, again, strict=True))
    batches.close()


def test_chosen_images_are_as_validation_sees_them_in_the_order_asked_for(phase, monkeypatch):
    monkeypatch.setattr(module, "READ_AT_ONCE", 2)
    batches = ImageBatches(phase, hyperparameters(), COMPUTE)
    found = list(batches.pixels_of([6, 3, 0, 9]))  # the fourth image is truncated
    assert [position for position, _ in found] == [6, 0, 9]
    for position, pixels in found:
        data = (phase.folder / phase.files[position]).read_bytes()
        np.testing.assert_array_equal(pixels, images.evaluation_pixels(data, SIZE))


@pytest.mark.parametrize("once", [False, True])
def test_chosen_images_are_not_decoded_again(phase, monkeypatch, once):
    batches = ImageBatches(phase, hyperparameters(epochs=1), COMPUTE, once)
    assert sum(len(batch) for batch in batches.epoch()) == 9

    def decode(*_):
        raise images.ImageError("decoded again")

    monkeypatch.setattr(images, "decode", decode)
    assert len(list(batches.pixels_of(range(10)))) == 9


def test_chosen_images_are_all_of_them_in_one_process_of_several(phase):
    group = Alone()
    group.rank, group.size = 1, 3
    batches = ImageBatches(phase, hyperparameters(), Compute(torch.device("cpu"), torch.float32, group))
    assert [len(batch) for batch in batches.epoch()] == [1, 1, 1]
    assert len(list(batches.pixels_of(range(10)))) == 9
