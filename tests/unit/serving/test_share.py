import pytest

from classifier import machine
from classifier.serving import share
from classifier.serving.share import FRONT_BYTES, Share, choose_share


@pytest.fixture
def computer(monkeypatch):
    """Set the machine's cores, GPU and free memory."""

    def set_(cores, gpu=False, memory=100 * FRONT_BYTES):
        monkeypatch.setattr(machine, "usable_cores", lambda: cores)
        monkeypatch.setattr(machine, "list_gpus", lambda: ["0"] * gpu)
        monkeypatch.setattr(share, "free_memory", lambda: memory)

    return set_


@pytest.mark.parametrize(
    ("cores", "expected"),
    [(1, Share(1)), (2, Share(2)), (3, Share(3)), (4, Share(2, 2)), (5, Share(2, 2)), (16, Share(2, 8))],
)
def test_a_process_for_every_two_cores(computer, cores, expected):
    computer(cores)
    assert choose_share() == expected


def test_with_a_gpu_one_more_process_has_the_model(computer):
    computer(16, gpu=True)
    assert choose_share() == Share(2, 8, owners=1)


def test_little_memory_has_few_processes(computer):
    computer(16, memory=2 * FRONT_BYTES + 5)
    assert choose_share() == Share(8, 2)
    computer(16, memory=FRONT_BYTES // 10)
    assert choose_share() == Share(16)


def test_the_number_of_processes_can_be_chosen(computer):
    computer(4, memory=0)
    assert choose_share(2) == Share(2, 2)
    assert choose_share(8) == Share(1, 8)


def test_the_shares_of_all_processes_are_no_more_than_the_total():
    for fronts in range(1, 20):
        assert fronts * Share(2, fronts).of(512) <= 512
    assert Share(1, 8).of(5) == 1


def test_threads_for_each_core():
    assert Share(1).threads == 32
    assert Share(4).threads == 64
    assert Share(2, 2).threads == 32
    assert Share(64).threads == Share(2, 32).threads * 32 == 256
