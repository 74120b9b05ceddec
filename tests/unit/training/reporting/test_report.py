from dataclasses import replace
from html.parser import HTMLParser

import numpy as np

from classifier.training.familiarity import Familiarity
from classifier.training.history import History
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.reporting import report
from summaries import CLASSES, make_summary


class Page(HTMLParser):
    """Checks that tags nest, and keeps text and images."""

    VOID = {"meta", "img", "br", "link", "input"}

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.images = [], "", []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.images.append(dict(attrs)["src"])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data.replace("\u00a0", " ")


def page_of(summary, tmp_path):
    report.write_report(tmp_path / "report.html", summary)
    return Page((tmp_path / "report.html").read_text(encoding="utf-8"))


def test_the_page_describes_the_job(tmp_path):
    page = page_of(make_summary(tmp_path), tmp_path)
    for text in ("50.0 %", "0.440", "0.700", "2 of 2", "from a random start", "damaged image: <cut> off", *CLASSES):
        assert text in page.text, text
    assert len(page.images) == 3
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.images)


def test_the_page_has_the_calibration_error_with_and_without_temperature(tmp_path):
    text = page_of(make_summary(tmp_path), tmp_path).text
    assert "confidence and accuracy differ by 2.0 % on these 6 images (expected calibration error); without" in text
    assert "they would differ by 8.0 %" in text
    assert "The temperature, 1.50, was fitted on the validation images" in text


def test_the_page_has_the_shares_of_known_images(tmp_path):
    summary = make_summary(tmp_path)
    summary.history.best = replace(summary.history.best, phase="validation", familiarity=Familiarity(None, 95, 100))
    summary = replace(summary, evaluation=replace(summary.evaluation, familiarity=Familiarity(None, 5, 6)))
    text = page_of(summary, tmp_path).text
    assert "of validation 95.0 % of 100 images (95 %: 89 to 98) and of test 83.3 % of 6 images (95 %: 44 to 97)" in text


def test_the_page_says_why_no_image_is_called_unknown(tmp_path):
    summary = make_summary(tmp_path)
    familiarity = Familiarity(why_not="too few photos (6)")
    summary.history.best = replace(summary.history.best, familiarity=familiarity)
    assert "do not say whether an image is known: too few photos (6)." in page_of(summary, tmp_path).text


def test_the_page_says_why_there_is_no_temperature(tmp_path):
    summary = make_summary(tmp_path)
    summary.history.best = replace(summary.history.best, why_not_calibrated="too few photos (2) to calibrate")
    text = page_of(summary, tmp_path).text
    assert "There is no temperature scaling: too few photos (2) to calibrate." in text
    assert "fitted on the validation images" not in text


def test_an_accuracy_has_its_number_of_images_and_its_interval(tmp_path):
    assert "test accuracy, of 6 images (95 %: 19 to 81)" in page_of(make_summary(tmp_path), tmp_path).text


def test_every_share_has_its_number_of_images(tmp_path):
    text = page_of(make_summary(tmp_path), tmp_path).text
    assert "66.7 % of 3" in text  # of the first class, taken for the second
    assert "33.3 % of 2" in text  # precision: of those that were taken for the first class


def test_the_page_says_if_the_images_were_not_checked(tmp_path):
    assert "The images themselves were not checked in this job" in page_of(make_summary(tmp_path), tmp_path).text


def test_a_class_name_is_text_and_never_markup(tmp_path):
    report.write_report(tmp_path / "report.html", make_summary(tmp_path))
    text = (tmp_path / "report.html").read_text()
    assert "<b>ox</b>" not in text
    assert "&lt;b&gt;ox&lt;/b&gt;" in text


def test_the_page_says_if_there_was_no_test_set(tmp_path):
    assert "Measured on the validation images" in page_of(make_summary(tmp_path, "validation"), tmp_path).text
    assert "Measured on the validation images" not in page_of(make_summary(tmp_path), tmp_path).text


def test_the_page_says_why_a_job_ended_early(tmp_path):
    summary = make_summary(tmp_path, evaluation=None, history=History(), ending="stopped by SIGTERM after 0 epochs")
    page = page_of(summary, tmp_path)
    assert "stopped by SIGTERM after 0 epochs" in page.text
    assert page.images == []


def test_a_mistake_whose_photo_has_vanished_keeps_its_caption(tmp_path):
    summary = make_summary(tmp_path)
    (summary.dataset.test.folder / summary.dataset.test.files[1]).unlink()
    page = page_of(summary, tmp_path)
    assert len(page.images) == 2
    assert summary.dataset.test.files[1] in page.text


class Maps:
    """Maps of so many places on a side."""

    def __init__(self, side):
        self.side = side

    def maps(self, pixels, classes):
        assert pixels.dtype == np.uint8
        return np.eye(self.side)[None].repeat(len(classes), 0)


def test_a_mistake_is_explained_by_its_map(tmp_path):
    page = page_of(make_summary(tmp_path, maps=Maps(2)), tmp_path)
    assert [source[:15] for source in page.images] == ["data:image/jpeg", "data:image/png;"] * 3
    assert "The redder a place, the more it spoke for the predicted class" in page.text
    for maps in (None, Maps(1)):  # one place is the whole picture
        page = page_of(make_summary(tmp_path, maps=maps), tmp_path)
        assert len(page.images) == 3
        assert "The redder a place" not in page.text


def test_the_page_says_after_which_steps_a_job_was_resumed(tmp_path):
    summary = make_summary(tmp_path)
    summary.history.resumed += [3, 5]
    assert "Interrupted 2 times and resumed after steps 3, 5" in page_of(summary, tmp_path).text


def test_report_images_false_leaves_the_photos_out(tmp_path):
    page = page_of(make_summary(tmp_path, hp=Hyperparameters(report_images=False)), tmp_path)
    assert page.images == []


def test_hyperparameters_that_differ_from_their_defaults_stand_out(tmp_path):
    report.write_report(tmp_path / "report.html", make_summary(tmp_path))
    text = (tmp_path / "report.html").read_text()
    assert '<tr class="changed"><td>lr</td><td>0.02</td></tr>' in text
    assert text.count('class="changed"') == 1
