import csv
import dataclasses

from classifier.training.data.skipped import SkippedImages
from classifier.training.reporting.csv_files import write_csv_files
from summaries import CLASSES, make_summary


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_every_file_says_what_was_measured(tmp_path):
    summary = make_summary(tmp_path)
    write_csv_files(tmp_path / "data", summary.dataset, summary.evaluation, summary.skipped)
    assert rows(tmp_path / "data/test_predictions.csv")[:3] == [
        ["file", "class", "predicted", "confidence"],
        ["<b>ox</b>/0.jpg", CLASSES[0], CLASSES[0], "0.5"],
        ["<b>ox</b>/1.jpg", CLASSES[0], CLASSES[1], "0.6"],
    ]
    assert rows(tmp_path / "data/test_confusion_matrix.csv") == [
        ["true class \\ predicted", *CLASSES],
        [CLASSES[0], "1", "2", "0"],
        [CLASSES[1], "1", "1", "0"],
        [CLASSES[2], "0", "0", "1"],
    ]
    assert rows(tmp_path / "data/test_per_class.csv")[1] == [CLASSES[0], "3", "0.33333", "0.33333", "0.33333"]
    assert rows(tmp_path / "data/skipped_images.csv") == [
        ["phase", "file", "reason"],
        ["train", "Käse, alt/3.jpg", "damaged image: <cut> off"],
    ]


def test_without_an_evaluation_only_the_skipped_images_are_written(tmp_path):
    write_csv_files(tmp_path / "out", make_summary(tmp_path).dataset, None, SkippedImages())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["skipped_images.csv"]


def test_a_file_name_that_is_not_utf_8_is_written_escaped(tmp_path):
    summary = make_summary(tmp_path)
    test = summary.dataset.test
    odd = dataclasses.replace(test, files=("<b>ox</b>/\udcf1\n.jpg", *test.files[1:]))
    write_csv_files(tmp_path, dataclasses.replace(summary.dataset, test=odd), summary.evaluation, summary.skipped)
    assert rows(tmp_path / "test_predictions.csv")[1][0] == r"<b>ox</b>/\udcf1\n.jpg"
