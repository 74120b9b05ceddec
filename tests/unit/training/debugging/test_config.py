import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.errors import UserError
from classifier.training.debugging.config import (
    LONGEST_INTERVAL,
    Intervals,
    copy_config,
    save_intervals,
    tensors_folder,
    write_config,
)


@given(st.integers(1, 200_000))
def test_at_least_30_steps_are_saved_or_all_of_a_shorter_run(steps):
    losses, rest = save_intervals(steps)
    saved = len(range(0, steps, losses))
    assert saved >= min(steps, 30)
    assert saved < 60 or losses == LONGEST_INTERVAL
    assert rest % losses == 0, "a rule looks at gradients beside the loss of the same step"
    assert math.ceil(steps / rest) <= max(1, steps // 30), "everything is saved so seldom that it costs little"


def test_our_configuration_has_sagemakers_format(tmp_path):
    path = tmp_path / "folder" / "debughookconfig.json"
    write_config(path, tmp_path / "tensors", {"train": Intervals(7, 21), "eval": Intervals(2, 16)})
    config = json.loads(path.read_text())
    assert config["LocalPath"] == str(tmp_path / "tensors")
    assert config["HookParameters"] == {"train.save_interval": "21", "eval.save_interval": "16"}
    losses = config["CollectionConfigurations"][0]
    assert losses["CollectionParameters"] == {"train.save_interval": "7", "eval.save_interval": "2"}
    names = [item["CollectionName"] for item in config["CollectionConfigurations"]]
    assert {"losses", "gradients", "weights", "biases", "relu_input"} <= set(names)
    for item in config["CollectionConfigurations"]:
        assert all(isinstance(value, str) for value in item["CollectionParameters"].values())


def test_the_hooks_folder_is_read_from_the_configuration(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"LocalPath": "/somewhere", "S3OutputPath": "s3://b/p"}')
    assert str(tensors_folder(path)) == "/somewhere"
    path.write_text('{"S3OutputPath": "s3://b/p"}')
    assert str(tensors_folder(path)) == "/opt/ml/output/tensors"


@pytest.mark.parametrize("text", ["[]", "{", "7"])
def test_a_configuration_that_is_no_object_is_refused(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(UserError):
        tensors_folder(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_configuration_in_another_encoding_is_copied_for_smdebug(tmp_path, encoding):
    path = tmp_path / "config.json"
    path.write_text('{"LocalPath": "/somewhere"}', encoding=encoding)
    copy_config(path, tmp_path / "folder" / "copy.json")
    assert json.loads((tmp_path / "folder" / "copy.json").read_bytes().decode("utf-8")) == {"LocalPath": "/somewhere"}
