import pytest

from classifier.training.checking.class_names import phase_names, same_classes


@pytest.mark.parametrize(
    "other",
    [
        *("Cat", "CAT", "cat (2)", "cat(1)", "cat copy", "cat copy 2", "Cat - Copy", "cat - Copy (3)", "Copy of cat"),
        *("cat_copy", "cat - Kopie", "Copie de cat", "cat - Copy - Copy", "\uff43\uff41\uff54"),
    ],
)
def test_a_copy_of_a_class_and_another_spelling(other):
    assert same_classes(["cat", other, "dog"]) == [["cat", other]]


def test_separators_do_not_tell_classes_apart():
    spellings = ["golden retriever", "Golden_Retriever", "golden-retriever"]
    assert same_classes(spellings) == [spellings]


@pytest.mark.parametrize(
    "names", [["a", "b"], ["cat (2)", "dog"], ["a+", "a-", "a"], ["type 1", "type 2", "type"], ["1-2", "12"], ["copy"]]
)
def test_other_names(names):
    assert same_classes(names) == []


def test_names_of_phases():
    assert phase_names(["car", "train", "valid", "trainer", "Unlabeled"]) == ["train", "valid", "Unlabeled"]
