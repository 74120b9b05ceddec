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
from classifier.training.data import batches as data
from classifier.training.data.batches import EpochBatches, ImageBatches, ImageDataset, explained_losses
from classifier.training.data.cache import NoCache
from classifier.training.data.folders import Phase
from classifier.training.data.readers import ReaderLost
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupt
from classifier.training.parallel.processes import ALONE, Alone
from helpers import encode, photo
from waits import PATIENCE_S, wait_until

SIZE = 32
COMPUTE = Compute(torch.device("cpu"), torch.float32)


@pytest.fixture
def phase(tmp_path):
    """Ten photos of two classes; the fourth is truncated."""
    files = []
    for number in range(10):
        path = tmp_path / f"class{number % 2}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        content = encode(photo(90, 60, seed=number))
        path.write_bytes(content[: len(content) // 2] if number == 3 else content)
        files.append(f"class{number % 2}/{number}.jpg")
    return Phase("validation", tmp_path, tuple(files), tuple(number % 2 for number in range(10)), {})


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


def test_a_batch_of_unreadable_images_is_empty(phase):
    dataset = ImageDataset(phase, SIZE, False, 0, NoCache())
    batch = dataset.collate([dataset[0, 3]])
    assert batch.inputs.shape == (0, SIZE, SIZE, 3)
    assert len(batch) == 0


def test_a_file_that_vanished_is_skipped(phase):
    (phase.folder / phase.files[0]).unlink()
    _, reason = ImageDataset(phase, SIZE, False, 0, NoCache())[0, 0]
    assert "No such file" in reason


@pytest.mark.parametrize(("augmentation", "workers"), [("none", 0), ("standard", 0), ("standard", 2)])
def test_a_file_is_decoded_once_and_later_epochs_are_as_from_the_file(phase, augmentation, workers):
    train = dataclasses.replace(phase, name="train")
    hp = hyperparameters(augmentation=augmentation, workers=workers)
    batches = ImageBatches(train, hp, COMPUTE)
    kept = ImageBatches(train, hp, COMPUTE)
    first = sum(len(batch) for batch in kept.epoch(1))
    expected = list(batches.epoch(2))
    for file in phase.files:
        (phase.folder / file).unlink()
    later = list(kept.epoch(2))
    assert first == sum(len(batch) for batch in later) == 9
    assert all(torch.equal(one.inputs, two.inputs) for one, two in zip(expected, later, strict=True))
    assert sum(len(batch) for batch in ImageBatches(train, hp, COMPUTE, once=True).epoch(2)) == 0


def test_crops_depend_on_seed_epoch_and_image_alone(phase):
    dataset = ImageDataset(phase, SIZE, True, 5, NoCache())
    torch.manual_seed(1)
    before = torch.get_rng_state()
    _, first = dataset[1, 0]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert np.array_equal(dataset[1, 0][1], first)
    assert not np.array_equal(dataset[2, 0][1], first)
    assert first.shape == (SIZE, SIZE, 3)
    assert first.dtype == np.uint8


def test_training_batches_are_the_same_for_any_number_of_workers(phase):
    train = dataclasses.replace(phase, name="train")
    runs = []
    for workers in (0, 2):
        batches = ImageBatches(train, hyperparameters(workers=workers, seed=3), COMPUTE)
        runs.append([batch.inputs for batch in batches.epoch(2)])
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

    def count(self, key):
        read[key[0]] += 1
        return whole(self, key)

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
    assert len(batches.opened) == 1
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
    expected = [batch for number in (1, 2, 3) for batch in whole.epoch(number)]
    found = [*resumed.epoch(2, first=1), *resumed.epoch(3)]
    assert len(found) == 5
    for one, two in zip(expected[4:], found, strict=True):
        assert torch.equal(one.inputs, two.inputs)
        assert torch.equal(one.labels, two.labels)
    whole.close()
    resumed.close()


def test_training_is_shuffled_anew_each_epoch_and_evaluation_is_not():
    shuffled = EpochBatches(100, 32, ALONE, shuffle=True)
    epochs = []
    for epoch in (1, 2, 1):
        shuffled.start(epoch)
        batches = list(shuffled)
        assert [len(batch) for batch in batches] == [32, 32, 32, 4]
        epochs.append([position for batch in batches for _, position in batch])
    assert sorted(epochs[0]) == list(range(100))
    assert epochs[0] != epochs[1]
    assert epochs[0] == epochs[2]
    assert len(shuffled) == 4
    ordered = EpochBatches(3, 2, ALONE)
    assert list(ordered) == [[(0, 0), (0, 1)], [(0, 2)]]


def test_the_processes_share_every_batch():
    shares = []
    for rank in range(3):
        group = Alone()
        group.rank, group.size = rank, 3
        shares.append(list(EpochBatches(50, 8, group, shuffle=True)))
    whole = list(EpochBatches(50, 8, ALONE, shuffle=True))
    together = [sorted(sum(parts, [])) for parts in zip(*shares, strict=True)]
    assert together == [sorted(batch) for batch in whole]
    assert {len(batch) for batch in shares[0]} | {len(batch) for batch in shares[2]} == {3, 2, 1, 0}


def test_workers_leave_signals_to_the_main_process(phase):
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    interrupt = Interrupt().install()
    try:
        made = ImageBatches(phase, hyperparameters(workers=2, epochs=1), COMPUTE)
        batches = made.epoch()
        assert len(next(batches)) + len(next(batches)) == 7  # one of each worker: both have started
        for worker in made.opened[0]._workers:
            os.kill(worker.pid, signal.SIGTERM)
            os.kill(worker.pid, signal.SIGINT)
        assert sum(len(batch) for batch in batches) == 2
        assert interrupt.signal is None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@pytest.mark.parametrize(("most", "positions"), [(1000, [0, 1, 2, 4, 5, 6, 7, 8, 9]), (4, [0, 6, 9])])
def test_some_images_are_spread_evenly_and_as_serving_sees_them(phase, most, positions):
    batches = list(ImageBatches(phase, hyperparameters(), COMPUTE).pixels_of_some(most))
    assert torch.cat([batch.positions for batch in batches]).tolist() == positions  # the fourth is truncated
    for pixels, position in zip(torch.cat([batch.inputs for batch in batches]), positions, strict=True):
        data = (phase.folder / phase.files[position]).read_bytes()
        np.testing.assert_array_equal(pixels, images.evaluation_pixels(data, SIZE))


def test_some_images_are_not_decoded_again(phase, monkeypatch):
    batches = ImageBatches(phase, hyperparameters(epochs=2), COMPUTE)
    assert sum(len(batch) for batch in batches.epoch()) == 9

    def decode(*_):
        raise images.ImageError("decoded again")

    monkeypatch.setattr(images, "decode", decode)
    assert sum(len(batch) for batch in batches.pixels_of_some(1000)) == 9


def test_some_images_are_all_of_them_in_one_process_of_several(phase):
    group = Alone()
    group.rank, group.size = 1, 3
    batches = ImageBatches(phase, hyperparameters(), Compute(torch.device("cpu"), torch.float32, group))
    assert [len(batch) for batch in batches.epoch()] == [1, 1, 1]
    assert sum(len(batch) for batch in batches.pixels_of_some(1000)) == 9


def test_a_killed_reader_is_a_sentence_with_its_image(phase, monkeypatch):
    monkeypatch.setattr(data, "read_image_file", lambda path: os.kill(os.getpid(), signal.SIGKILL))
    batches = ImageBatches(phase, hyperparameters(workers=1), COMPUTE)
    with pytest.raises(ReaderLost) as lost, explained_losses(None, batches):
        list(batches.epoch())
    assert str(lost.value).startswith(
        "a process that reads images was ended by signal SIGKILL, at the validation image 'class0/0.jpg'; SIGKILL"
    )
    batches.close()


def test_other_errors_are_not_explained(phase):
    with pytest.raises(RuntimeError, match="of torch") as error, explained_losses(None):
        raise RuntimeError("of torch")
    assert not isinstance(error.value, ReaderLost)


def test_readers_that_hang_are_killed(phase, monkeypatch):
    monkeypatch.setattr(data, "read_image_file", lambda path: time.sleep(2 * PATIENCE_S))
    batches = ImageBatches(phase, hyperparameters(workers=2), COMPUTE)
    batches.epoch()
    processes = batches.opened[0]._workers
    wait_until(lambda: (batches.dataset.reading.positions >= 0).all(), "both processes read")
    started = time.monotonic()
    batches.close()
    assert time.monotonic() - started < MP_STATUS_CHECK_INTERVAL  # torch's wait for each process that does not end
    assert [process.exitcode for process in processes] == [-signal.SIGKILL] * 2


@pytest.mark.parametrize("kind", ["a fifo", "/dev/zero", "too large"])
def test_only_regular_files_of_a_bounded_size_are_read(phase, kind, monkeypatch):
    path = phase.folder / phase.files[0]
    path.unlink()
    if kind == "a fifo":
        os.mkfifo(path)
    elif kind == "/dev/zero":
        path.symlink_to(kind)
    else:
        with path.open("wb") as file:
            file.truncate(10**12)
    _, reason = ImageDataset(phase, SIZE, False, 0, NoCache())[0, 0]
    bound = "1,000,000,000,000 bytes are too many; accepted: up to 104,857,600"
    assert reason == (bound if kind == "too large" else "not a regular file")
