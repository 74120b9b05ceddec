import pytest

from classifier.training.data.split_names import PHASES, phases_of

TRAIN = [
    "train",
    "Training",
    "TRAIN",
    "training_set",
    "trainset",
    "train-data",
    "Train Images",
    "train2017",
    "images_train",
]
VALIDATION = ["Validation", "valid", "val", "Val_Set", "dev", "eval", "evaluation", "validation-images", "val2017"]
TEST = ["test", "Testing", "test_set", "testset", "TestData", "test1", "holdout", "hold-out", "the test images"]


@pytest.mark.parametrize(("phase", "names"), [*zip(PHASES, (TRAIN, VALIDATION, TEST), strict=True)])
def test_what_people_call_a_phase(phase, names):
    assert [phases_of([name])[name] for name in names] == [phase] * len(names)


@pytest.mark.parametrize(
    "name", ["car", "trainer", "steam train", "testudo", "valve", "devil", "images", "", "2017", "狗"]
)
def test_other_names(name):
    assert phases_of([name]) == {name: None}


def test_words_that_all_share_do_not_count():
    found = phases_of(["seg_train", "seg_test", "seg_pred"])
    assert found == {"seg_train": "train", "seg_test": "test", "seg_pred": None}
    assert list(phases_of(["dogs train", "dogs val"]).values()) == ["train", "validation"]
    assert list(phases_of(["dogs train", "cats val"]).values()) == [None, None]
