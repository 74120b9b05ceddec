import pytest

from classifier.errors import UserError
from classifier.training.data import readers as data
from classifier.training.data.readers import PHASES, check_memory, count_slots, count_workers
from classifier.training.hyperparameters import Hyperparameters

SIZE, BATCH = 32, 64
SLOT = BATCH * SIZE * SIZE * 3
GB = 10**9


@pytest.fixture
def free(monkeypatch):
    """Set the bytes of memory that are free, 64 GB if nothing else is said, and have 16 cores."""
    monkeypatch.setattr(data, "usable_cores", lambda: 16)

    def set_free(number):
        monkeypatch.setattr(data, "free_memory", lambda: number)

    set_free(64 * GB)
    return set_free


def hyperparameters(workers=-1, **values):
    return Hyperparameters(**{"image_size": SIZE, "batch_size": BATCH, "workers": workers} | values)


def test_workers_default_to_the_cores_but_no_more_than_help(free, monkeypatch):
    assert count_workers(hyperparameters(), BATCH) == 16
    assert count_workers(hyperparameters(), BATCH, trainers=8) == 2
    assert count_workers(hyperparameters(3), BATCH) == 3
    monkeypatch.setattr(data, "usable_cores", lambda: 192)
    assert count_workers(hyperparameters(), BATCH) == data.MOST_WORKERS


def test_processes_that_would_not_share_the_slots_are_not_started(free, monkeypatch):
    monkeypatch.setattr(data.multiprocessing, "get_start_method", lambda: "spawn")
    assert count_workers(hyperparameters(4), BATCH) == 0


def test_slots_are_for_all_parts_under_way():
    assert count_slots(64, 0) == 2
    assert count_slots(64, 1) == 3  # two parts are a batch
    assert count_slots(256, 16) == 2 + 4
    assert count_slots(8, 16) == 2 + 32


def test_where_memory_is_short_there_are_fewer_workers_and_that_is_said(free, caplog):
    room = PHASES * count_slots(BATCH, 3) * SLOT
    free(int(room / data.MOST_OF_THE_MEMORY) + 4)
    assert count_workers(hyperparameters(), BATCH) == 3
    check_memory(hyperparameters(), BATCH)
    assert caplog.messages == ["there is memory for the batches of 3 of 16 workers: 0.0 GB are free"]
    caplog.clear()
    check_memory(hyperparameters(3), BATCH)
    assert not caplog.messages


def test_where_no_batch_fits_the_job_is_refused(free):
    free(3 * GB)
    large = hyperparameters(image_size=512, batch_size=1024)
    with pytest.raises(UserError) as error:
        check_memory(large, 1024)
    assert str(error.value) == (
        "batch_size=1024 at image_size=512 takes 4.8 GB of memory for images on their way to the network, and 3.0 GB "
        "are free; lower one of them"
    )
    check_memory(large, 100)  # where several processes share a batch, or a phase has no more images
