"""How answers are compared with training's."""

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
