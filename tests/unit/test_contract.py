import json
import os
from pathlib import Path

import pytest

from classifier.contract import Contract
from classifier.errors import UserError


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    (tmp_path / "input" / "config").mkdir(parents=True)
    return Contract(tmp_path, {})


def write_config(contract: Contract, name: str, value: object) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    (contract.root / "input" / "config" / name).write_text(text)


def add_channels(contract: Contract, *names: str) -> None:
    for name in names:
        (contract.data / name).mkdir(parents=True)


def test_the_defaults_are_sagemakers():
    contract = Contract()
    assert contract.root == Path("/opt/ml")
    assert contract.environ is os.environ
    assert str(contract.data) == "/opt/ml/input/data"
    assert str(contract.model) == "/opt/ml/model"
    assert str(contract.output_data) == "/opt/ml/output/data"
    assert str(contract.failure) == "/opt/ml/output/failure"


def test_every_file_is_optional(tmp_path):
    contract = Contract(tmp_path, {})
    assert contract.hyperparameters() == {}
    assert contract.channels() == {}
    assert contract.resources().hosts == ("localhost",)
    assert contract.resources().current_host == "localhost"
    assert contract.resources().network_interface is None


def test_hyperparameters_stay_as_they_were_written(contract):
    write_config(contract, "hyperparameters.json", {"epochs": "2", "batch_size": '"64"'})
    assert contract.hyperparameters() == {"epochs": "2", "batch_size": '"64"'}


@pytest.mark.parametrize(
    ("text", "sentence"), [("{", "is not valid JSON"), ("[1]", "holds a JSON list; accepted: an object")]
)
def test_damaged_configuration(contract, text, sentence):
    write_config(contract, "hyperparameters.json", text)
    with pytest.raises(UserError, match=f"hyperparameters.json {sentence}"):
        contract.hyperparameters()


def test_channels_are_those_declared(contract):
    add_channels(contract, "train", "validation", "other")
    declared = {"validation": {"TrainingInputMode": "FastFile"}, "train": {"TrainingInputMode": "File"}}
    write_config(contract, "inputdataconfig.json", declared)
    assert contract.channels() == {"train": contract.data / "train", "validation": contract.data / "validation"}


def test_channels_without_a_declaration_are_the_folders(contract):
    add_channels(contract, "train", "test")
    (contract.data / "train-manifest").write_text("a file is not a channel")
    assert list(contract.channels()) == ["test", "train"]


def test_a_declared_channel_that_is_not_there(contract):
    write_config(contract, "inputdataconfig.json", {"train": {}})
    with pytest.raises(UserError, match="channel 'train' is in inputdataconfig.json, but .* is not a folder"):
        contract.channels()


def test_pipe_mode_is_refused(contract):
    add_channels(contract, "train")
    write_config(contract, "inputdataconfig.json", {"train": {"TrainingInputMode": "Pipe"}})
    with pytest.raises(UserError, match="channel 'train' has input mode 'Pipe'; accepted: File and FastFile"):
        contract.channels()


def test_resources(contract):
    config = {"current_host": "algo-2", "hosts": ["algo-1", "algo-2"], "network_interface_name": "eth0", "new": None}
    write_config(contract, "resourceconfig.json", config)
    resources = contract.resources()
    assert resources.current_host == "algo-2"
    assert resources.hosts == ("algo-1", "algo-2")
    assert resources.network_interface == "eth0"


def test_port_and_payload():
    assert Contract(environ={}).port == 8080
    assert Contract(environ={"SAGEMAKER_BIND_TO_PORT": "9000"}).port == 9000
    assert Contract(environ={}).max_payload_mb == 25
    assert Contract(environ={"SAGEMAKER_MAX_PAYLOAD_IN_MB": "100"}).max_payload_mb == 100
    # With 0 a batch transform asks for the largest.
    assert Contract(environ={"SAGEMAKER_MAX_PAYLOAD_IN_MB": "0"}).max_payload_mb == 100


@pytest.mark.parametrize("value", ["http", "-1", "70000", "80.5", "٨٠"])
def test_an_invalid_port(value):
    with pytest.raises(UserError, match=f"SAGEMAKER_BIND_TO_PORT is '{value}'; accepted: a whole number from 1 to"):
        _ = Contract(environ={"SAGEMAKER_BIND_TO_PORT": value}).port


def test_a_payload_above_sagemakers_limit():
    with pytest.raises(UserError, match="SAGEMAKER_MAX_PAYLOAD_IN_MB is '101'; accepted: .* from 0 to 100"):
        _ = Contract(environ={"SAGEMAKER_MAX_PAYLOAD_IN_MB": "101"}).max_payload_mb


def test_processes_per_host():
    assert Contract(environ={}).processes_per_host == 0
    assert Contract(environ={"PROCESSES_PER_HOST": "4"}).processes_per_host == 4
    with pytest.raises(UserError, match="PROCESSES_PER_HOST is 'all'; accepted: a whole number from 0 to 64"):
        _ = Contract(environ={"PROCESSES_PER_HOST": "all"}).processes_per_host
