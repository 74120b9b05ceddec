"""How answers are compared with training's."""

from dataclasses import replace

import pytest

from classifier.errors import UserError
from classifier.training.answers.sample import Sample, Sampled
from local import proving

MODEL = "a" * 64
SAMPLE = Sample(MODEL, "test", [Sampled(f"{number}.jpg", b"", {"cat": 0.7, "dog": 0.3}) for number in range(40)])


def answer(model=MODEL, **probabilities):
    predictions = [{"class": name, "probability": value} for name, value in probabilities.items()]
    return {"predictions": predictions} | ({"model_sha256": model} if model else {})


SAME, ROUNDED, OTHER = answer(cat=0.7, dog=0.3), answer(cat=0.72, dog=0.28), answer(dog=0.6, cat=0.4)
ERROR = {"error": "broken"}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (SAME, 0),
        (ROUNDED, 0.02),
        (OTHER, 0.3),
        (answer(cat=0.7), 0),  # of k=1
        (answer(dog=0.3), 0.7),  # its own best class is missing
        (answer(cat=0.7, cow=0.2), 0.2),
        (ERROR, 1),
    ],
)
def test_the_gap_of_an_answer(one, expected):
    assert proving.gap(SAMPLE.images[0], one) == pytest.approx(expected)


def test_a_few_may_differ():
    found = proving.compare(SAMPLE, [OTHER] * 2 + [ROUNDED] * 38)
    assert found.is_fine
    assert (found.differing, found.worst) == (2, "0.jpg")
    assert found.mean == pytest.approx((2 * 0.3 + 38 * 0.02) / 40)
    assert not proving.compare(SAMPLE, [OTHER] * 3 + [SAME] * 37).is_fine


def test_what_is_said(capsys):
    proving.prove(SAMPLE, [SAME] * 39 + [ROUNDED], "dogs")
    assert capsys.readouterr().out == (
        "dogs answers as training did: 0 of 40 answers differ from training's, and probabilities differ by 0.001 on "
        "average and 0.020 at most (39.jpg)\n"
    )
    with pytest.raises(UserError, match=r"3 of 40 answers differ .* 0\.300 at most \(2\.jpg\); accepted: 2 diff"):
        proving.prove(SAMPLE, [SAME, SAME, OTHER, OTHER, OTHER, *[SAME] * 35], "dogs")


@pytest.mark.parametrize(("errors", "said"), [(1, "1 of 40 answers is an error"), (40, "40 of 40 answers are errors")])
def test_no_image_that_training_read_may_be_answered_by_an_error(errors, said):
    with pytest.raises(UserError, match=rf"{said} \({40 - errors}\.jpg: broken\); accepted: .*no error"):
        proving.prove(SAMPLE, [*[SAME] * (40 - errors), *[ERROR] * errors], "dogs")


def test_another_model_is_named_whatever_it_answers():
    with pytest.raises(UserError, match="dogs does not answer as training did: 1 of 40 answers is another model's"):
        proving.prove(SAMPLE, [answer("b" * 64, cat=0.7, dog=0.3)] + [SAME] * 39, "dogs")


def test_a_server_that_does_not_name_its_model_is_judged_by_its_answers():
    assert proving.compare(SAMPLE, [answer("", cat=0.7)] * 40).is_fine


BREEDS = tuple(f"breed {number}" for number in range(120))
# A model that is sure of no class: 0.05 for the best, less for all others.
UNSURE = {name: 0.05 - number / 5000 for number, name in enumerate(BREEDS[:20])}
MANY = Sample(
    MODEL, "test", [Sampled(f"{number}.jpg", b"", UNSURE) for number in range(40)], BREEDS, answers_key="c" * 64
)


def served(classes=BREEDS, factor=1.0, **names):
    """Return an answer to an image of MANY by a server whose classes, by their index, are `classes`."""
    ranked = list(enumerate(UNSURE.values()))[:5]
    predictions = [{"class": classes[at], "index": at, "probability": factor * value} for at, value in ranked]
    return {"predictions": predictions} | names


@pytest.mark.parametrize("names", [{}, {"model_sha256": MODEL}])
@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (BREEDS[::-1], "class 0 is 'breed 119' there, and 'breed 0' in training"),
        ((*BREEDS[:2], "pug", *BREEDS[3:]), "class 2 is 'pug' there, and 'breed 2' in training"),
        ((BREEDS[1], BREEDS[0], *BREEDS[2:]), "class 0 is 'breed 1' there"),
    ],
)
def test_classes_in_another_order_are_found_whatever_their_probabilities(classes, said, names):
    with pytest.raises(UserError, match=f"40 of 40 answers are another model's: {said}"):
        proving.prove(MANY, [served(classes, **names)] * 40, "dogs")
    assert proving.compare(replace(MANY, classes=()), [served(**names)] * 40).is_fine


def test_another_temperature_or_image_size_is_found_by_the_key_alone():
    assert proving.compare(MANY, [served(model_sha256=MODEL, answers_key="c" * 64)] * 40).is_fine
    other = [served(model_sha256=MODEL, answers_key="d" * 64)] * 40
    assert "its model.json has not the job's classes, temp" in str(proving.compare(MANY, other))
    assert proving.compare(replace(MANY, answers_key=""), other).is_fine  # of an earlier job


def test_what_differs_is_measured_by_how_sure_training_was():
    assert proving.compare(MANY, [served(factor=0.85)] * 40).is_fine
    assert proving.compare(MANY, [served(factor=0.75)] * 40).differing == 40


def test_an_index_that_is_none_is_another_servers_and_no_traceback():
    odd = [{"predictions": [{"class": "breed 0", "index": [], "probability": 0.05}]}] * 40
    assert proving.compare(MANY, odd).is_fine
