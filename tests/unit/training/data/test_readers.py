from classifier.training.data import readers as data
from classifier.training.data.readers import count_workers
from classifier.training.hyperparameters import Hyperparameters

SIZE = 32


def hyperparameters(workers):
    return Hyperparameters(image_size=SIZE, batch_size=4, workers=workers)


def test_workers_default_to_the_cores_but_no_more_than_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "usable_cores", lambda: 64)
    assert count_workers(hyperparameters(-1), tmp_path / "absent") == data.MOST_WORKERS
    assert count_workers(hyperparameters(-1), tmp_path / "absent", trainers=8) == 8
    assert count_workers(hyperparameters(3), tmp_path / "absent") == 3


def test_a_small_shared_memory_is_noticed(tmp_path, monkeypatch, caplog):
    batch = 4 * SIZE * SIZE * 3
    monkeypatch.setattr(data.shutil, "disk_usage", lambda _: type("usage", (), {"free": 13 * batch}))
    assert count_workers(hyperparameters(8), tmp_path) == 2
    assert caplog.messages == [f"{tmp_path} has room for 2 of 8 workers; --shm-size gives it more"]
