import pytest

from classifier.errors import UserError
from local.relabelling import marked_moves
from marked_labels import moves_of, write_labels, write_splits


@pytest.fixture
def data(tmp_path):
    return write_splits(tmp_path)


def test_ends_of_lines_and_headers_may_be_written_otherwise(data):
    labels = write_labels(data, ("x", "train", "cat/001.jpg", "dog"))
    labels.write_text(labels.read_text().replace("\n", "\r").replace("move,phase", " Move,PHASE "))
    assert moves_of(labels, data) == {"train/cat/001.jpg": "train/dog/001 from cat.jpg"}


@pytest.mark.parametrize(("delimiter", "line"), [(";", "sep=;"), ("\t", '"sep=\t"'), (",", "SEP=,")])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_first_line_that_only_excel_reads_is_no_head(data, delimiter, line, end):
    labels = write_labels(data, ("?", "train", "cat/001.jpg", "dog"), delimiter=delimiter)
    labels.write_bytes(f"{line}\n{labels.read_text()}".replace("\n", end).encode())
    with pytest.raises(UserError, match=r"labels.csv, line 3, has '\?' under move"):
        marked_moves(labels, data)


def test_what_excel_saves_in_the_letters_of_one_country_names_what_is_accepted(data):
    labels = write_labels(data, ("x", "train", "Käse/001.jpg", "dog"), encoding="cp1252")
    with pytest.raises(UserError, match=r'is not text in UTF-8 or UTF-16: .*; accepted from Excel: "CSV UTF-8"'):
        marked_moves(labels, data)


def test_the_line_is_said_that_an_editor_shows(data):
    labels = write_labels(data, ("?", "train", "cat/001.jpg", "dog"))
    labels.write_text(labels.read_text().replace("\n", "\n\n", 1))
    with pytest.raises(UserError, match=r"labels.csv, line 3, has '\?' under move"):
        marked_moves(labels, data)


def test_a_second_column_of_marks_is_refused_rather_than_one_of_them_lost(data):
    labels = write_labels(data, ("x", "train", "cat/001.jpg", "dog"))
    labels.write_text(labels.read_text().replace("probability_likely", "move"))
    with pytest.raises(UserError, match="has 2 columns move; accepted: a labels.csv, with move, phase, "):
        marked_moves(labels, data)


def test_another_file_is_refused(data):
    (data.parent / "labels.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="has no column move; accepted: a labels.csv"):
        marked_moves(data.parent / "labels.csv", data)
    with pytest.raises(UserError, match="is missing; accepted: the labels.csv of a training job"):
        marked_moves(data.parent / "absent.csv", data)


@pytest.mark.parametrize("length", [10, 200_000])
def test_a_quote_that_is_not_closed_hides_no_marks(data, length):
    labels = write_labels(data, ("", "train", "cat/000.jpg", "dog"), ("x", "train", "cat/001.jpg", "dog"))
    lines = labels.read_text().splitlines()
    lines[1] += '"' if length == 10 else f',"{"x" * length}'
    lines[1] = lines[1].replace('0.9"', '"0.9')
    labels.write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"labels.csv, line \d, cannot be read: .*; accepted: CSV"):
        marked_moves(labels, data)
