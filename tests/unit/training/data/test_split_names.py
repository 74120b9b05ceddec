import pytest
from torchvision.models._meta import _IMAGENET_CATEGORIES

from classifier.training.data.split_names import PHASES, is_only_a_phase, names_of_a_split_class, phases_of

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


def test_a_shared_phase_counts_if_a_name_has_no_other_word():
    assert phases_of(["dogs", "dogs_train"]) == {"dogs": None, "dogs_train": "train"}
    assert phases_of(["train", "train_lst"]) == {"train": "train", "train_lst": None}
    assert phases_of(["train1", "train2"]) == {"train1": "train", "train2": "train"}


SPLIT_CLASSES = [
    ("trainA trainB testA testB", ("trainA", "testA")),
    ("train_cat train_dog test_cat test_dog", ("train_cat", "test_cat")),
    ("cat_train dog_train cat_test", ("cat_train", "cat_test")),
    ("catTrain catVal dog", ("catTrain", "catVal")),
    ("Training-golden-retriever Testing-golden-retriever", ("Training-golden-retriever", "Testing-golden-retriever")),
    ("cat_train_1 cat_test_7", ("cat_train_1", "cat_test_7")),
    ("validCAT holdoutCAT", ("validCAT", "holdoutCAT")),
    ("traina trainb testa testb", ("traina", "testa")),
    ("cattrain cattest dogtrain dogtest", ("cattrain", "cattest")),
    ("CatTrainSet CatTestSet", ("CatTrainSet", "CatTestSet")),
    ("cat_train_images dog_train_images cat_test_images", ("cat_train_images", "cat_test_images")),
    ("cat dog test_cat test_dog", ("cat", "test_cat")),
    ("cat catval dog dogval", ("cat", "catval")),
]


@pytest.mark.parametrize(("names", "found"), SPLIT_CLASSES)
def test_a_class_in_several_phases(names, found):
    assert names_of_a_split_class(names.split()) == found


@pytest.mark.parametrize(
    "names",
    [
        "car bus train",
        "train_cat train_dog",
        "dev_board test_board",
        "eval_kit test_kit",
        "trainer tester",
        "train_car test_tube",
        "steam_train diesel_train",
        "valid invalid",
        "train test",
        "tube test_tube cat",
        "car train_car",
        "",
    ],
)
def test_classes_that_only_have_such_words(names):
    assert names_of_a_split_class(names.split()) == ()


def test_the_classes_of_imagenet_are_no_splits():
    assert names_of_a_split_class(_IMAGENET_CATEGORIES) == ()
    assert not any(map(is_only_a_phase, _IMAGENET_CATEGORIES))


def test_names_that_no_class_has():
    names = (
        "test",
        "Testing",
        "validation",
        "val_images",
        "holdout",
        "train",
        "training",
        "valid",
        "dev",
        "eval",
        "car",
    )
    assert [name for name in names if is_only_a_phase(name)] == list(names[:5])
