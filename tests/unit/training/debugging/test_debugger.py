import contextlib
import json
import logging
import sys
from types import SimpleNamespace

import pytest
import torch

from classifier.contract import Contract
from classifier.errors import UserError
from classifier.training.debugging import config, factory
from classifier.training.debugging.names import RuleName
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.parallel.processes import Alone
from hooked import configuration, make_training, open_trial, steps
from waits import wait_until


def make_debugger(root, training, environ=None, group=None, **hyperparameters):
    model, loss, optimizer = training
    return factory.make_debugger(
        Contract(root, environ or {}),
        Hyperparameters(**hyperparameters),
        model,
        loss,
        optimizer,
        steps={"train": 6, "eval": 2},
        guessing_loss=0.69,
        timed=lambda _part: contextlib.nullcontext(),
        group=group or Alone(),
    )


def run(root, training=None, during=lambda made: None, **options):
    """Train a few steps under a debugger; return the result of debugging, and the loss after training."""
    training = training or make_training()
    made = make_debugger(root, training, **options)
    try:
        made.set_phase("train")
        steps(*training, count=3)
        during(made)
        steps(*training, count=3)
        made.record_scalar("train_loss", 0.5)
        result = made.finish()
    finally:
        made.close()
    torch.manual_seed(9)
    model, loss, _ = training
    return result, loss(model(torch.randn(4, 3, 8, 8)), torch.tensor([0, 1, 1, 0])).item()


@pytest.fixture(scope="module")
def plain(module_path):
    """Return the loss after a training without debugging."""
    result, loss = run(module_path, debug="off")
    assert (result.why, result.rules) == ("debug=off", [])
    return loss


def test_the_default_is_on_and_leaves_the_training_as_it_is(tmp_path, plain):
    result, loss = run(tmp_path)
    assert loss == pytest.approx(plain, rel=1e-6)
    assert (result.why, result.rules_error) == (None, None)
    assert result.tensors == str(tmp_path / "output/data/tensors")
    assert {verdict["status"] for verdict in result.rules} <= {"found", "not found", "too early to say"}
    assert {verdict["rule"] for verdict in result.rules} == set(RuleName)
    assert result.series["saved"]["train"] == 6
    assert result.series["steps"] == [0]  # in so short a training the losses alone are saved at each step
    assert set(result.series["update"]) == {"conv", "fc"}
    result.write_json(tmp_path / "debug.json")
    assert json.loads((tmp_path / "debug.json").read_text())["hook"] == "on"


def test_the_rules_judge_the_rest_before_anybody_waits_for_them(tmp_path):
    training = make_training()
    made = make_debugger(tmp_path, training)
    try:
        made.set_phase("train")
        steps(*training, count=3)
        made.end()
        wait_until(lambda: made.rules.answer, "the rules' answer")
        result = made.finish()
    finally:
        made.close()
    assert (result.why, result.rules_error) == (None, None)
    assert result.series["saved"]["train"] == 3


def test_a_second_job_in_the_same_folder_starts_anew(tmp_path):
    for _ in range(2):
        result, _ = run(tmp_path)
        assert result.why is None
    assert len(open_trial(tmp_path / "output/data/tensors").steps()) == 6


def test_a_resumed_run_is_debugged_as_one(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "STEPS_FOR_ALL", 1)
    first, second = (make_training(seed) for seed in range(2))
    made = make_debugger(tmp_path / "lost", first)
    try:
        made.set_phase("train")
        steps(*first, count=3)
        state = made.state_dict()
        steps(*first, count=1)  # after the checkpoint, and lost
    finally:
        made.finish()
    made = make_debugger(tmp_path / "resumed", second)
    try:
        made.load_state_dict(state)
        made.set_phase("train")
        steps(*second, count=3)
        result = made.finish()
    finally:
        made.close()
    assert (result.why, result.rules_error) == (None, None)
    assert result.series["steps"] == list(range(6))
    assert open_trial(tmp_path / "resumed/output/data/tensors").steps() == list(range(6))


def test_what_sagemaker_asked_for_is_not_in_the_state(tmp_path):
    configuration(tmp_path, LocalPath=str(tmp_path / "t"), CollectionConfigurations=[{"CollectionName": "losses"}])
    training = make_training()
    made = make_debugger(tmp_path, training)
    made.set_phase("train")
    steps(*training, count=1)
    assert made.state_dict()["files"] == {}
    assert made.state_dict()["hook"]["steps"]["TRAIN"] == 0
    made.finish()


@pytest.mark.parametrize("by_variable", [False, True])
def test_sagemakers_configuration_rules(tmp_path, by_variable):
    path = configuration(
        tmp_path,
        S3OutputPath="s3://bucket/prefix",
        LocalPath=str(tmp_path / "theirs"),
        HookParameters=None,
        CollectionConfigurations=[
            {"CollectionName": "gradients", "CollectionParameters": {"train.save_interval": "2"}},
            {"CollectionName": "mine", "CollectionParameters": {"include_regex": ".*fc_output", "save_interval": "3"}},
            {"CollectionName": "losses", "CollectionParameters": None},
        ],
    )
    environ = {}
    if by_variable:
        elsewhere = tmp_path / "elsewhere.json"
        path.rename(elsewhere)
        environ = {"SMDEBUG_CONFIG_FILE_PATH": str(elsewhere)}
    result, _ = run(tmp_path, environ=environ)
    assert result.why is None
    trial = open_trial(tmp_path / "theirs")
    assert trial.tensor("gradient/Net_fc.weight").steps() == [0, 2, 4]
    assert trial.tensor("gradient/Net_fc.weight").value(2).shape == (2, 4)
    assert trial.tensor("fc_output_0").steps() == [0, 3]
    assert not (tmp_path / "output/data/tensors").exists()


def assert_off(result, loss, plain, caplog, why):
    assert loss == pytest.approx(plain, rel=1e-6)
    assert why in result.why
    lines = [record.getMessage() for record in caplog.records if "debugging is off" in record.getMessage()]
    assert len(lines) == 1
    assert why in lines[0]


def test_a_bad_configuration_turns_it_off_with_one_line(tmp_path, plain, caplog):
    configuration(tmp_path, LocalPath=str(tmp_path / "t"), CollectionConfigurations=[{"CollectionName": "mine"}])
    assert_off(*run(tmp_path), plain, caplog, "mine")


def test_a_file_that_is_no_json_turns_it_off_with_one_line(tmp_path, plain, caplog):
    configuration(tmp_path).write_text("{")
    assert_off(*run(tmp_path), plain, caplog, "is not valid JSON")


def test_an_absent_smdebug_turns_it_off_with_one_line(tmp_path, plain, caplog, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "smdebug"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "smdebug", None)
    monkeypatch.delitem(sys.modules, "classifier.training.debugging.hook", raising=False)
    assert_off(*run(tmp_path), plain, caplog, "smdebug cannot be loaded without smdebug")


def test_an_absent_need_of_smdebug_is_named_with_what_to_install(tmp_path, plain, caplog, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "smdebug"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "boto3", None)
    sentence = f"smdebug cannot be loaded without boto3; needed: {factory.NEEDED}"
    assert_off(*run(tmp_path), plain, caplog, sentence)


def test_a_full_disk_turns_it_off_with_one_line_and_training_goes_on(tmp_path, plain, caplog):
    def fill(made):
        for step in range(1, 6):
            folder = tmp_path / "output/data/tensors/events/000000000000"
            (folder.parent / f"{step:012}").mkdir()
            (folder.parent / f"{step:012}" / f"{step:012}_worker_0.tfevents.tmp").symlink_to("/dev/full")

    assert_off(*run(tmp_path, during=fill), plain, caplog, "No space left on device")


def test_rules_that_cannot_start_leave_no_hook_behind(tmp_path, plain, monkeypatch):
    def refuse(*_):
        raise OSError("no more processes")

    monkeypatch.setattr(factory, "RulesClient", refuse)
    result, loss = run(tmp_path)
    assert loss == pytest.approx(plain, rel=1e-6)
    assert result.why == "OSError: no more processes"
    assert not (tmp_path / "output/data/tensors").exists()


@pytest.mark.parametrize("method", ["_log_params", "_save_for_tensor", "set_mode", "_close_writers", "save_scalar"])
def test_an_error_in_a_callback_turns_it_off_with_one_line_and_training_goes_on(tmp_path, plain, caplog, method):
    def broken(*_, **__):
        raise RuntimeError("broken for the test")

    def breaks(made):
        setattr(made.hook, method, broken)
        made.set_phase("train")

    assert_off(*run(tmp_path, during=breaks), plain, caplog, "RuntimeError: broken for the test")


def test_only_the_first_of_several_processes_debugs(tmp_path):
    second = SimpleNamespace(is_first=False)
    assert make_debugger(tmp_path, make_training(), group=second).finish().why == "the first process debugs for all"
    assert not (tmp_path / "output").exists()


def test_stop_on_rule_needs_debugging(tmp_path):
    with pytest.raises(UserError, match="debug=off; accepted: debug=auto"):
        make_debugger(tmp_path, make_training(), debug="off", stop_on_rule="Overfit")


@pytest.mark.parametrize(("named", "raises"), [("Overfit", True), ("DeadRelu,Overfit", True), ("DeadRelu", False)])
def test_a_rule_that_stop_on_rule_names_stops(tmp_path, named, raises, caplog):
    caplog.set_level(logging.CRITICAL)

    def find(made):
        made.rules.found.append({"rule": "Overfit", "step": 3, "evidence": "numbers", "advice": "Do something."})
        if not raises:
            return made.check_rules()
        with pytest.raises(UserError, match="stop_on_rule: rule Overfit at training step 3: numbers. Do something."):
            made.check_rules()
        return None

    run(tmp_path, during=find, stop_on_rule=named)
