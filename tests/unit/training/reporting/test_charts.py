from xml.etree import ElementTree

import numpy as np
import pytest

from classifier.training.reporting import charts, charts_debugging


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter() if element.text and element.text.strip()]


def test_a_curve_shows_both_phases_and_the_best_epoch():
    epochs = [{"epoch": n, "train:loss": 1 / n, "validation:loss": 2 / n} for n in (1, 2, 3)]
    found = texts(charts.curve(epochs, "loss", best_epoch=3))
    assert {"train", "validation", "best epoch (3)", "loss", "epoch"} <= set(found)


@pytest.mark.parametrize("classes", [2, 40, 41, 1000])
def test_a_confusion_matrix_of_any_size_stays_small(classes):
    names = tuple(f"class {n}" for n in range(classes))
    confusion = np.eye(classes, dtype=int) * 7
    svg = charts.confusion_matrix(confusion, names)
    assert len(svg) < 500_000
    assert ("class 1" in texts(svg)) == (classes <= charts.MOST_NAMED_CLASSES)
    assert texts(svg).count("7") == (classes if classes <= charts.MOST_NAMED_CLASSES else 0)


@pytest.mark.parametrize(
    "names",
    [
        ("$$", "$\\frac{$", "$x_1$", r"\alpha"),
        ("_hidden", "__"),
        ("<b>&", "%s {x} #"),
        ("שלום", "नमस्ते", "狗", "\U0001f469\u200d\U0001f52c"),
    ],
)
def test_a_class_name_is_drawn_as_it_is(names):
    assert set(names) <= set(texts(charts.confusion_matrix(np.eye(len(names), dtype=int), names)))


@pytest.mark.parametrize("letter", ["w", "狗"])
def test_long_names_leave_room_for_the_matrix(letter):
    svg = charts.confusion_matrix(np.eye(2, dtype=int), (letter * 255, "b"))
    assert f"{letter * (charts.MOST_LETTERS - 1)}…" in texts(svg)


def test_a_chart_that_cannot_be_drawn_is_left_out(caplog):
    assert charts.draw_or_warn(charts.curve, [{}], "loss", 1) == ""
    assert caplog.messages == ["the report lacks its curve: 'epoch'"]


def test_a_class_without_images_has_an_empty_row():
    svg = charts.confusion_matrix(np.array([[5, 1], [0, 0]]), ("a", "b"))
    assert [text for text in texts(svg) if text.isdigit()] == ["5", "1"]


def test_gradients_are_drawn_from_input_to_output():
    names = ["conv1", "fc", "layer1.0.conv1", "layer4.1.conv2"]
    found = texts(charts_debugging.gradients([0, 5], {name: [1.0, 2.0] for name in names}))
    assert [text for text in found if text in names] == ["conv1", "layer1.0.conv1", "layer4.1.conv2", "fc"]


def test_a_font_that_is_missing_is_not_logged(monkeypatch, caplog):
    monkeypatch.setitem(charts.STYLE, "font.family", "a font that is nowhere")
    assert "loss" in texts(charts.curve([{"epoch": 1, "train:loss": 1, "validation:loss": 2}], "loss", best_epoch=1))
    assert caplog.messages == []
