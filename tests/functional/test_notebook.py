"""The way in from Python: notebooks/quickstart.ipynb, cell by cell, on few images; and what it does not show."""

import json
from pathlib import Path

import pytest

import local
from classifier.errors import ImageError, UserError
from datasets import QUICK, digit_jpegs, write_channel
from local import places

NOTEBOOK = Path(__file__).parents[2] / "notebooks/quickstart.ipynb"


@pytest.fixture(scope="module")
def names(module_path):
    """Return the notebook's variables after all cells, of which the first gets other values."""
    data = write_channel(module_path, "train", digit_jpegs(range(2), 0, 40))
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    variables = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "RUNS", module_path / "runs")
        patch.setattr(places, "LATEST", module_path / "runs/latest.json")
        for number, cell in enumerate(cells):
            exec("".join(cell["source"]), variables)
            if number == 0:
                assert set(variables) - {"__builtins__"} == {"data", "hyperparameters"}
                variables.update(data=data, hyperparameters=QUICK)
    return variables


def test_the_notebook_trains_opens_and_predicts(names):
    model = names["model"]
    assert model.classes == ("digit-0", "digit-1")
    assert "validation:accuracy" in model.metrics
    assert model.report.is_file()
    assert names["best"]["class"] in model.classes


def test_an_answer_is_explained(names):
    model, picture = names["model"], names["picture"]
    (best,), (one, two) = model.explain(picture), model.explain(picture.read_bytes(), k=2)
    assert {name: best[name] for name in ("class", "index", "probability")} == model.predict(picture, k=1)[0]
    assert names["explained"]["class"] == best["class"] == one["class"] != two["class"]
    assert (best["map"].dtype, best["map"].shape) == ("float32", (1, 1))
    assert one["map"].mean() > two["map"].mean()  # with the biases, which are small, they are the logits


def test_bytes_are_answered_as_their_file_is(names):
    model, picture = names["model"], names["picture"]
    answer = model.predict(picture)
    assert [set(one) for one in answer] == [{"class", "index", "probability"}] * 2
    assert sum(one["probability"] for one in answer) == pytest.approx(1, abs=1e-5)
    assert model.predict(picture.read_bytes()) == answer
    with pytest.raises(ImageError, match="not a JPEG, PNG or WebP image"):
        model.predict(b"text")
    for ask in (model.predict, model.explain):
        with pytest.raises(UserError, match="k is 0; accepted: a whole number from 1"):
            ask(picture, k=0)


def test_what_is_wrong_is_said_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "RUNS", tmp_path / "runs")
    with pytest.raises(UserError, match="absent is not a folder"):
        local.train(tmp_path / "absent")
    with pytest.raises(UserError, match="epoch"):
        local.train(epoch=3)
    for nothing in ("", 5, "a\0b"):
        with pytest.raises(UserError, match="is not accepted; accepted: the path of a folder of pictures"):
            local.train(nothing)
        with pytest.raises(UserError, match="is not accepted; accepted: the path of a folder with model.json"):
            local.Model(nothing)
    with pytest.raises(UserError, match="no model artifact"):
        local.Model(tmp_path)
    assert not list(tmp_path.glob("runs/resnet18*"))
