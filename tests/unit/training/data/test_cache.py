import multiprocessing
import os

import numpy as np
import pytest

from classifier.training.data import cache
from classifier.training.data.cache import DiskCache, NoCache, make_cache


def pixels(height, width, value):
    return np.full((height, width, 3), value, np.uint8)


def test_what_another_process_put_is_there_for_all(tmp_path):
    kept = make_cache(3, 100, tmp_path)
    assert kept.get(1) is None
    process = multiprocessing.Process(target=lambda: [kept.put(1, pixels(5, 7, 11)), kept.put(2, pixels(2, 2, 22))])
    process.start()
    process.join()
    kept.put(0, pixels(4, 3, 33))
    for position, shape, value in ((1, (5, 7, 3), 11), (2, (2, 2, 3), 22), (0, (4, 3, 3), 33)):
        assert kept.get(position).shape == shape
        assert (kept.get(position) == value).all()


def test_its_file_has_no_name_so_that_a_killed_job_leaves_nothing(tmp_path):
    kept = make_cache(1, 100, tmp_path)
    kept.put(0, pixels(9, 9, 1))
    assert list(tmp_path.iterdir()) == []


def test_it_takes_no_more_than_its_part_of_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: type("usage", (), {"free": 40_000}))
    kept = make_cache(20, 100, tmp_path)
    for position in range(20):
        kept.put(position, pixels(20, 20, position))
    assert [kept.get(position) is not None for position in range(20)] == [True] * 16 + [False] * 4
    assert all((kept.get(position) == position).all() for position in range(16))


def test_a_disk_that_others_fill_is_survived(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    kept = make_cache(2, 100, tmp_path)
    monkeypatch.setattr(os, "pwrite", full)
    kept.put(0, pixels(4, 4, 1))
    monkeypatch.undo()
    kept.put(1, pixels(4, 4, 2))
    assert kept.get(0) is None
    assert (kept.get(1) == 2).all()


@pytest.mark.parametrize(("speed", "memory", "kept"), [(299e6, 2000, 1), (301e6, 2000, 4), (0, 20_000, 4)])
def test_a_slow_disk_takes_no_more_than_stays_in_memory(tmp_path, monkeypatch, caplog, speed, memory, kept):
    """Four images of 900 bytes, where half of `memory` bytes may be taken."""
    caplog.set_level("INFO")
    monkeypatch.setattr(cache, "free_memory", lambda: memory)
    monkeypatch.setattr(cache, "writing_speed", lambda _: speed)
    made = make_cache(4, 900, tmp_path)
    for position in range(4):
        made.put(position, pixels(15, 20, 1))
    assert sum(made.get(position) is not None for position in range(4)) == kept
    assert ("slower than decoding" in caplog.text) == (kept == 1)


def test_a_disks_speed_is_measured_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "TRIED_BYTES", 1_000_000)
    assert cache.writing_speed(tmp_path) > 0
    assert list(tmp_path.iterdir()) == []


def test_without_a_place_to_write_there_is_none(tmp_path, caplog):
    assert type(make_cache(2, 100, tmp_path / "absent")) is NoCache
    assert "decoded images are not kept for later epochs: " in caplog.text


@pytest.mark.parametrize(("method", "expected"), [("spawn", NoCache), ("fork", DiskCache)])
def test_only_forked_processes_can_share_it(tmp_path, monkeypatch, method, expected):
    monkeypatch.setattr(cache.multiprocessing, "get_start_method", lambda: method)
    assert type(make_cache(2, 100, tmp_path)) is expected


def test_each_writer_has_a_file_and_together_they_take_the_room_of_one(tmp_path, monkeypatch):
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: type("usage", (), {"free": 40_000}))
    kept = make_cache(20, 100, tmp_path, writers=2)
    for position in range(20):
        kept.put(position, pixels(20, 20, position), writer=position % 2)
    assert [kept.get(position) is not None for position in range(20)] == [True] * 16 + [False] * 4
    assert all((kept.get(position) == position).all() for position in range(16))
    assert [os.fstat(file.fileno()).st_blocks > 0 for file in kept.files] == [True] * 2


def test_an_image_that_two_writers_put_is_one_of_theirs(tmp_path):
    kept = make_cache(1, 100, tmp_path, writers=2)
    kept.put(0, pixels(4, 5, 1), writer=1)
    kept.put(0, pixels(6, 7, 2), writer=0)
    assert kept.get(0).shape == (4, 5, 3)
    assert (kept.get(0) == 1).all()
