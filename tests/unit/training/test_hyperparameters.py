import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.errors import UserError
from classifier.json_text import shown
from classifier.training import hyperparameters
from classifier.training.accepted_values import text_of
from classifier.training.hyperparameters import Hyperparameters, parse


def test_no_values_give_the_defaults():
    assert parse({}) == Hyperparameters()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("batch_size", "128", 128),
        ("batch_size", '"128"', 128),
        ("batch_size", 128, 128),
        ("lr", "3e-4", 3e-4),
        ("lr", '"0.0003"', 3e-4),
        ("eps", "1e-09", 1e-9),
        ("trainable", "head", "head"),
        ("trainable", '"layer3"', "layer3"),
        ("report_images", "False", False),
        ("report_images", "false", False),
        ("report_images", '"True"', True),
        ("report_images", True, True),
        ("seed", " 7 ", 7),
    ],
)
def test_strings_as_sagemaker_passes_them(name, text, value):
    assert getattr(parse({name: text}), name) == value


@pytest.mark.parametrize(
    ("name", "text", "accepted"),
    [
        ("batch_size", "1", "a whole number from 2 to 8192"),
        ("batch_size", "64.5", "a whole number from 2 to 8192"),
        ("batch_size", "many", "a whole number from 2 to 8192"),
        ("batch_size", None, "a whole number from 2 to 8192"),
        ("batch_size", [64], "a whole number from 2 to 8192"),
        ("batch_size", '"', "a whole number from 2 to 8192"),
        ("batch_size", '"6"4"', "a whole number from 2 to 8192"),
        ("batch_size", "1_28", "a whole number from 2 to 8192"),
        ("batch_size", "６４", "a whole number from 2 to 8192"),
        ("lr", "0.0_1", "a number from 1e-08 to 10"),
        ("lr", "٠.٥", "a number from 1e-08 to 10"),
        ("lr", "nan", "a number from 1e-08 to 10"),
        ("lr", "inf", "a number from 1e-08 to 10"),
        ("lr", "0", "a number from 1e-08 to 10"),
        ("lr", "true", "a number from 1e-08 to 10"),
        ("report_images", "yes", "true, false"),
        ("report_images", "1", "true, false"),
        ("report_images", "", "true, false"),
        ("optimizer", "Adam", "adamw, sgd"),
        ("trainable", "layer5", "all, layer1, layer2, layer3, layer4, head"),
    ],
)
def test_a_bad_value_is_refused_with_what_is_accepted(name, text, accepted):
    with pytest.raises(UserError) as refused:
        parse({name: text})
    assert str(refused.value) == f"hyperparameter {name} is {shown(text)}; accepted: {accepted}"


@pytest.mark.parametrize("digits", [300, 5000])
def test_a_long_value_is_shortened_where_it_is_quoted(digits):
    with pytest.raises(UserError) as refused:
        parse({"seed": "9" * digits})
    assert re.fullmatch(
        r"hyperparameter seed is '9+\.\.\.9+'; accepted: a whole number from 0 to 2147483647", str(refused.value)
    )
    assert len(str(refused.value)) < 300


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(
        UserError, match=r"^unknown hyperparameter 'learning_rate', did you mean lr; accepted: epochs, batch_size, lr, "
    ):
        parse({"learning_rate": "0.1"})


def test_names_that_sagemaker_adds_are_set_aside():
    added = {"_tuning_objective_metric": "validation:accuracy", "sagemaker_region": '"us-east-1"'}
    assert parse({"epochs": "3"} | added).epochs == 3


@given(st.sampled_from(sorted(hyperparameters.FIELDS)), st.text(max_size=20) | st.floats() | st.none() | st.integers())
def test_any_value_is_parsed_within_its_range_or_refused_in_one_sentence(name, value):
    try:
        parsed = getattr(parse({name: value}), name)
    except UserError as refused:
        assert str(refused).startswith(f"hyperparameter {name} is ")
    else:
        # What was accepted is accepted again, as it would be written.
        assert getattr(parse({name: text_of(parsed)}), name) == parsed


def test_every_default_is_accepted_and_explained():
    for name, default, accepted, meaning in hyperparameters.rows():
        assert getattr(parse({name: default}), name) == getattr(Hyperparameters(), name)
        assert accepted
        assert meaning
        assert name in hyperparameters.help_text()
        assert meaning in hyperparameters.help_text()
