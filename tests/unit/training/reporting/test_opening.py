from dataclasses import replace

import pytest

from classifier.training.reporting.opening import RANDOM_START, opening
from summaries import make_summary

PAIRS = [("cat", "dog", 2, 2 / 3)]
RULE = {"rule": "Overfit", "status": "found", "cause": None, "advice": "Use fewer epochs."}


@pytest.mark.parametrize(
    ("accuracy", "origin", "rules", "expected"),
    [
        (0.5, RANDOM_START, [RULE], "Overfit was found, see below. Use fewer epochs."),
        (0.5, RANDOM_START, [RULE | {"status": "gone"}], "make weights fetches them (45 MB). Without them expect far"),
        (0.5, "a model", [RULE | {"cause": "DeadRelu"}], "look for wrong labels among the worst mistakes"),
        (0.99, RANDOM_START, [], "look for wrong labels"),
    ],
)
def test_the_first_sentences(tmp_path, accuracy, origin, rules, expected):
    evaluation = replace(make_summary(tmp_path).evaluation, accuracy=accuracy)
    first, wrong, then, *_ = opening(evaluation, origin, rules, PAIRS)
    assert first.startswith(f"The network is right on {100 * accuracy:.1f} % of 6 images (95 %: ")
    assert first.endswith("of test; guessing would be right on 33.3 %.")
    assert wrong == "Most often wrong: cat is taken for dog, 2 of 3 times."
    assert then.startswith("Next: ")
    assert expected in then


def test_a_start_without_imagenets_weights_is_said_beside_what_a_rule_found(tmp_path):
    evaluation = replace(make_summary(tmp_path).evaluation, accuracy=0.37)
    _, _, then, also = opening(evaluation, RANDOM_START, [RULE], PAIRS)
    assert then.startswith("Next: Overfit was found")
    assert also.startswith("Also: start from ImageNet's weights: make weights fetches them (45 MB)")


def test_without_a_mistake_the_next_thing_is_to_deploy(tmp_path):
    evaluation = replace(make_summary(tmp_path).evaluation, accuracy=1.0, mistakes=())
    assert opening(evaluation, "a model", [], [])[1:] == ["No image was misclassified.", "Next: deploy it."]
