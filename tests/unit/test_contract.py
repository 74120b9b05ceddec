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


@pytest.mark.parametrize("name", ["hyperparameters.json", "inputdataconfig.json", "resourceconfig.json"])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is not valid JSON: "),
        (b"{", "is not valid JSON: "),
        (b"[1]", "holds an array; accepted: an object"),
        (b"null", "holds null; accepted: an object"),
        (b'{"lr": "1", "lr": "2"}', "is not valid JSON: it has 'lr' more than once"),
        (b'{"lr":' * 9999, "is not valid JSON: it is nested too deeply"),
        (b'{"lr": %s}' % (b"9" * 5000), "is not valid JSON: it has a number of 5,000 digits"),
        (b'{"lr": "\xe9"}', "is not text in UTF-8 or UTF-16: invalid continuation byte at byte 8"),
        (b" " * 16_000_001, "has more than 16,000,000 bytes; accepted: up to that many"),
    ],
    ids=lambda value: value[:20],
)
def test_damaged_configuration(contract, name, content, sentence):
    (contract.root / "input/config" / name).write_bytes(content)
    with pytest.raises(UserError) as told:
        _ = contract.hyperparameters(), contract.channels(), contract.resources()
    assert str(told.value).startswith(f"{contract.root}/input/config/{name} {sentence}")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_configuration_as_editors_write_it(contract, encoding):
    add_channels(contract, "train", "other")
    for name, value in (
        ("hyperparameters.json", {"weights": "Käse"}),
        ("inputdataconfig.json", {"train": {"ContentType": "Käse"}}),
        ("resourceconfig.json", {"current_host": "Käse", "hosts": ["Käse"]}),
    ):
        text = json.dumps(value, ensure_ascii=False, indent=2).replace("\n", "\r\n")
        (contract.root / "input/config" / name).write_bytes(text.encode(encoding))
    assert contract.hyperparameters() == {"weights": "Käse"}
    assert list(contract.channels()) == ["train"]
    assert contract.resources().hosts == ("Käse",)


def test_configuration_that_is_not_a_regular_file_is_not_opened(contract):
    os.mkfifo(contract.root / "input/config/hyperparameters.json")
    with pytest.raises(UserError, match="hyperparameters.json is not a regular file"):
        contract.hyperparameters()


@pytest.mark.parametrize(
    ("host", "hosts"), [("a", "a"), ("a", ["b"]), (1, [1]), ("a", {"a": 1}), (None, ["a"]), ("a", ["a", "a"])]
)
def test_hosts_that_are_not_names(contract, host, hosts):
    write_config(contract, "resourceconfig.json", {"current_host": host, "hosts": hosts})
    with pytest.raises(UserError, match="resourceconfig.json has current_host .*; accepted: one of the hosts"):
        contract.resources()


def test_channels_are_those_declared(contract):
    add_channels(contract, "train", "validation", "other")
    declared = {"validation": {"TrainingInputMode": "FastFile"}, "train": {"TrainingInputMode": "File"}}
    write_config(contract, "inputdataconfig.json", declared)
    assert contract.channels() == {"train": contract.data / "train", "validation": contract.data / "validation"}


def test_channels_without_a_declaration_are_what_is_there(contract):
    add_channels(contract, "train", "test")
    (contract.data / "validation.zip").write_text("training says what is wrong with a file")
    assert list(contract.channels()) == ["test", "train", "validation.zip"]


def test_a_channel_that_is_a_link_to_nothing(contract):
    add_channels(contract, "train")
    (contract.data / "validation").symlink_to("absent")
    with pytest.raises(UserError, match="/validation is a link to nothing; accepted: a link to a channel's folder$"):
        contract.channels()


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


def test_serving_processes():
    assert Contract(environ={}).fronts == 0
    assert Contract(environ={"SAGEMAKER_MODEL_SERVER_WORKERS": "3"}).fronts == 3
    with pytest.raises(UserError, match="SAGEMAKER_MODEL_SERVER_WORKERS is 'two'; accepted: a whole number from 0 to"):
        _ = Contract(environ={"SAGEMAKER_MODEL_SERVER_WORKERS": "two"}).fronts


@pytest.mark.parametrize("value", ["http", "-1", "70000", "80.5", "٨٠"])
def test_an_invalid_port(value):
    with pytest.raises(UserError, match=f"SAGEMAKER_BIND_TO_PORT is '{value}'; accepted: a whole number from 1 to"):
        _ = Contract(environ={"SAGEMAKER_BIND_TO_PORT": value}).port


def test_a_payload_above_sagemakers_limit():
    with pytest.raises(UserError, match="SAGEMAKER_MAX_PAYLOAD_IN_MB is '101'; accepted: .* from 0 to 100"):
        _ = Contract(environ={"SAGEMAKER_MAX_PAYLOAD_IN_MB": "101"}).max_payload_mb


@pytest.mark.parametrize("multi_model", ["false", "true"])
@pytest.mark.parametrize(
    "variable",
    ["SERVE_MODELS_MB", "SERVE_PRECISION", "SERVE_ACCESS_LOG", "SAGEMAKER_MULTI_MODEL", "SAGEMAKER_BIND_TO_PORT"]
    + ["SAGEMAKER_MODEL_SERVER_WORKERS", "SAGEMAKER_MAX_PAYLOAD_IN_MB"],
)
def test_a_variable_of_serving_is_refused_whether_or_not_it_is_used(variable, multi_model):
    with pytest.raises(UserError, match=f"{variable} is '-4'; accepted: "):
        Contract(environ={"SAGEMAKER_MULTI_MODEL": multi_model, variable: "-4"}).check_serving()


def test_processes_per_host():
    assert Contract(environ={}).processes_per_host == 0
    assert Contract(environ={"PROCESSES_PER_HOST": "4"}).processes_per_host == 4
    with pytest.raises(UserError, match="PROCESSES_PER_HOST is 'all'; accepted: a whole number from 0 to 64"):
        _ = Contract(environ={"PROCESSES_PER_HOST": "all"}).processes_per_host


@pytest.mark.parametrize("name", ["", "..", "a/b", "a" * 300])
def test_a_channel_has_a_name_that_sagemaker_takes(contract, name):
    write_config(contract, "inputdataconfig.json", {name: {}})
    with pytest.raises(UserError, match="a channel is called .*; accepted: up to 64 letters, digits and . - _"):
        contract.channels()


def test_a_link_to_nothing_is_not_an_absent_file(contract):
    (contract.root / "input/config/hyperparameters.json").symlink_to("absent")
    with pytest.raises(UserError, match="hyperparameters.json is a link to nothing"):
        contract.hyperparameters()


def test_values_of_other_types_and_a_file_in_place_of_the_channels(contract):
    with pytest.raises(UserError, match=r"PROCESSES_PER_HOST is '1+\.\.\.1+'; accepted: a whole number from 0 to 64"):
        _ = Contract(environ={"PROCESSES_PER_HOST": "1" * 5000}).processes_per_host
    write_config(contract, "resourceconfig.json", {"network_interface_name": ["eth0"]})
    with pytest.raises(UserError, match=r"has network_interface_name \['eth0'\]; accepted: its name, or null"):
        contract.resources()
    contract.data.write_text("a file")
    with pytest.raises(UserError) as refused:
        contract.channels()
    assert str(refused.value) == f"the folder {contract.data} cannot be read: Not a directory"
