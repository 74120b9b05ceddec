"""A page has room for so many pictures."""

import numpy as np
from PIL import Image

from classifier.training.reporting import report
from classifier.training.reporting.pictures import Album
from helpers import photo
from summaries import make_summary


def noise(path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)).save(path)
    return path


def test_files_for_which_no_room_is_left_are_not_read(tmp_path):
    file, album = noise(tmp_path / "noise.png"), Album(100_000)
    shown = [album.put_whole(file), album.put_seen(file, 224)] + [album.put_whole(file) for _ in range(20)]
    put = [url for url in shown if url]
    assert put == shown[: len(put)]
    assert 100_000 < sum(map(len, put)) < 100_000 + max(map(len, put))
    file.unlink()
    assert album.put_seen(file, 224) is None


def test_an_album_without_room_is_empty(tmp_path):
    photo(40, 40).save(tmp_path / "photo.png")
    assert Album(0).put_whole(tmp_path / "photo.png") is None


def test_a_report_keeps_the_captions_of_pictures_without_room(tmp_path, monkeypatch):
    summary = make_summary(tmp_path)
    monkeypatch.setattr(report, "Album", lambda most=1: Album(min(most, 1)))
    report.write_report(tmp_path / "report.html", summary)
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 1
    assert page.count("labelled ") == 3
