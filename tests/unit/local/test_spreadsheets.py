import pytest

from classifier.errors import UserError
from local.spreadsheets import as_written, check_likely


@pytest.mark.parametrize(
    ("text", "written"),
    [("001", "1"), ("1.50", "1.5"), ("1e3", "1000"), ("true", "TRUE"), ("cat", "cat"), ("nan", "nan"), ("0x1", "0x1")],
)
def test_texts_that_look_like_numbers_become_numbers(text, written):
    assert as_written(text) == written


def test_a_class_that_became_a_number_names_the_spreadsheet():
    with pytest.raises(
        UserError, match=r"^here: '7' is not a class; a spreadsheet may have made it of '007', taken for"
    ):
        check_likely("7", ("007", "cat"), {"7"}, "here")


@pytest.mark.parametrize("likely", ["1", "001", "cat", "Cat"])
def test_classes_that_no_spreadsheet_has_changed_are_taken(likely):
    check_likely(likely, ("001", "1", "Cat", "cat"), {likely, "001"}, "here")
