"""The file of a job's images with its answers: written, read, and damaged in every field."""

import json

import pytest

from classifier.errors import UserError
from classifier.training.answers.sample import Sample, Sampled, read, write

IMAGES = [Sampled("a/1.jpg", b"one", {"a": 0.75, "b": 0.25}), Sampled("2", b"", {"b": 1})]
SAMPLE = Sample("0" * 64, "test", IMAGES, ("b", "a"), "1" * 64)
LATER = "classes", "answers_key"


def test_a_sample_is_read_as_it_was_written(tmp_path):
    write(tmp_path / "answers.json", SAMPLE)
    assert read(tmp_path / "answers.json") == SAMPLE


def test_an_earlier_jobs_sample_has_no_list_of_classes(tmp_path):
    write(tmp_path / "answers.json", SAMPLE)
    values = json.loads((tmp_path / "answers.json").read_text())
    assert values["classes"] == ["b", "a"]
    (tmp_path / "answers.json").write_text(json.dumps({k: v for k, v in values.items() if k not in LATER}))
    assert read(tmp_path / "answers.json") == Sample(SAMPLE.model_sha256, "test", IMAGES)


def test_there_may_be_none(tmp_path):
    assert read(tmp_path / "answers.json") is None


@pytest.mark.parametrize(
    "damage",
    [
        {"format_version": 2},
        {"model_sha256": "abc"},
        {"phase": 1},
        {"classes": ["a", "a"]},
        {"classes": {"a": 1}},
        {"answers_key": "abc"},
        {"images": []},
        {"images": [None]},
        {"images": {"a": 1}},
        *({"images": [one]} for one in ({}, {"file": 1}, {"image": "?"}, {"image": "QQ=="}, {"probabilities": {}})),
        *({"images": [{"probabilities": probabilities}]} for probabilities in ({"a": 2}, {"a": "1"}, [1])),
    ],
)
def test_a_damaged_sample_is_refused(tmp_path, damage):
    path = tmp_path / "answers.json"
    write(path, SAMPLE)
    values = json.loads(path.read_text())
    whole = values["images"][0]
    images = damage.get("images", [])
    if isinstance(images, list) and images and images[0]:
        damage = {"images": [whole | images[0]]}
    elif images == [{}]:
        damage = {"images": [{"file": "a"}]}
    path.write_text(json.dumps(values | damage))
    with pytest.raises(UserError, match=f"{path} is damaged: "):
        read(path)


def test_half_a_sample_is_refused(tmp_path):
    path = tmp_path / "answers.json"
    write(path, SAMPLE)
    path.write_text(path.read_text()[:-9])
    with pytest.raises(UserError, match=f"^{path} is not valid JSON: .*; without it nothing is compared"):
        read(path)
