from pathlib import Path

import pytest
from PIL import Image

import demo

LAYOUTS = {
    "a folder per class": {"": 20},
    "train, valid and test": {"train": 10, "valid": 5, "test": 5},
    "train and test": {"train": 15, "test": 5},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_photos_are_linked_by_phase(tmp_path, monkeypatch, capsys, layout):
    monkeypatch.setattr(demo.places, "RUNS", tmp_path / "runs")
    for phase, count in LAYOUTS[layout].items():
        for number in range(2 * count):
            path = tmp_path / "photos" / phase / "ab"[number % 2] / f"{phase}{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(path)
    left_out = next((tmp_path / "photos").rglob("train0.jpg"), None) or next((tmp_path / "photos").rglob("0.jpg"))
    (tmp_path / "photos/leave_out.txt").write_text(f"{left_out.relative_to(tmp_path / 'photos')}\n")
    folder, unseen, hyperparameters = demo.link_photos(tmp_path / "photos")
    assert "1 image left out, as " in capsys.readouterr().out
    links = {name: {path.name for path in (folder / name).rglob("*.jpg")} for name in ("train", "validation", "test")}
    assert sum(map(len, links.values())) == len(set.union(*links.values())) == 39
    assert not any(left_out.name in names for names in links.values())
    assert min(map(len, links.values())) >= 4
    assert list(unseen.values()) == ["a", "b"]
    assert {Path(path).name for path in unseen} <= links["test"]
    assert all(Path(path).parent.name == truth for path, truth in unseen.items())
    assert hyperparameters["epochs"] == 20
