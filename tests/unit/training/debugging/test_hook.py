import numpy as np
import pytest
import torch

from hooked import STEPS, make_training, open_trial, steps, watch


def record(folder, **options):
    """Return a trial of STEPS training steps, each saved, and the tensors that the test itself saw."""
    model, loss, optimizer = training = make_training()
    if options.pop("frozen", False):
        model.conv.requires_grad_(False)
    hook = watch(folder, *training)
    seen = {"gradient": [], "weight": [], "inputs": []}
    model.relu.register_forward_pre_hook(lambda _, inputs: seen["inputs"].append(inputs[0].detach().float().clone()))

    def each():
        seen["weight"].append(model.fc.weight.detach().clone())
        seen["gradient"].append(model.fc.weight.grad.clone())

    steps(*training, each=each, **options)
    seen["weight"].append(model.fc.weight.detach().clone())
    hook.close()
    hook.release()
    return open_trial(folder / "tensors"), seen


@pytest.fixture(scope="module")
def recorded(module_path):
    return record(module_path)


def value(trial, name, step, reduction, absolute=False):
    return float(trial.tensor(name).reduction_value(step, reduction, abs=absolute))


def test_create_trial_opens_it_and_finds_every_kind_of_tensor(recorded):
    trial, _ = recorded
    from smdebug.pytorch import modes

    assert trial.steps(mode=modes.TRAIN) == list(range(STEPS))
    names = set(trial.tensor_names())
    assert names >= {
        "CrossEntropyLoss_output_0",
        "Net_conv.weight",
        "Net_fc.bias",
        "gradient/Net_fc.weight",
        "relu_input_0",
        "relu_input_1",
        "relu_activity/relu_0",
        "relu_activity/relu_1",
        "update_ratio/conv",
    }


def test_the_inputs_of_a_relu_are_what_went_in_although_it_was_in_place(recorded):
    trial, seen = recorded
    for step in range(STEPS):
        for call in (0, 1):
            inputs = seen["inputs"][2 * step + call]
            assert value(trial, f"relu_input_{call}", step, "mean") == pytest.approx(inputs.mean().item(), abs=1e-6)
            assert value(trial, f"relu_input_{call}", step, "std") == pytest.approx(
                inputs.std(correction=0).item(), rel=1e-4
            )
            active = (inputs > 0).float().mean((0, 2, 3))
            np.testing.assert_allclose(trial.tensor(f"relu_activity/relu_{call}").value(step), active, rtol=1e-6)


def test_gradients_and_updates_are_those_of_the_step(recorded):
    trial, seen = recorded
    for step in range(STEPS):
        gradient = seen["gradient"][step]
        assert value(trial, "gradient/Net_fc.weight", step, "l2") == pytest.approx(gradient.norm().item(), rel=1e-5)
        mean = value(trial, "gradient/Net_fc.weight", step, "mean", absolute=True)
        assert mean == pytest.approx(gradient.abs().mean().item(), rel=1e-5)
        before, after = seen["weight"][step : step + 2]
        ratio = float(trial.tensor("update_ratio/fc").value(step)[0])
        assert ratio == pytest.approx(((after - before).norm() / before.norm()).item(), rel=1e-4)


def test_the_update_of_a_wide_layer_is_measured_on_some_of_its_units(tmp_path):
    model, loss, _ = make_training()
    model.conv, model.bn = torch.nn.Conv2d(3, 1000, 3), torch.nn.BatchNorm2d(1000)
    model.fc = torch.nn.Linear(1000, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    training = model, loss, optimizer
    hook = watch(tmp_path, *training)
    assert [len(units) for units in hook.measured_units()] == [17, 2]
    weights = []
    steps(*training, count=1, each=lambda: weights.append(model.conv.weight.detach().clone()))
    hook.close()
    hook.release()
    ratio = (model.conv.weight.detach() - weights[0]).norm() / weights[0].norm()
    measured = open_trial(tmp_path / "tensors").tensor("update_ratio/conv").value(0)[0]
    assert float(measured) == pytest.approx(ratio.item(), rel=0.2)


def test_with_a_scaler_the_gradients_are_not_scaled(tmp_path, recorded):
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    trial, seen = record(tmp_path, scaler=scaler)
    scaled = seen["gradient"][0].norm().item()
    assert value(trial, "gradient/Net_fc.weight", 0, "l2") == pytest.approx(scaled / 1024, rel=1e-4)
    plain, _ = recorded
    assert value(trial, "gradient/Net_fc.weight", 3, "l2") == pytest.approx(
        value(plain, "gradient/Net_fc.weight", 3, "l2"), rel=1e-3
    )


def test_the_gradients_of_a_step_that_the_scaler_skips_are_not_saved(tmp_path):
    model, loss, _ = make_training()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=True)  # its step is called even if it is skipped
    hook = watch(tmp_path, model, loss, optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20)
    steps(model, loss, optimizer, scaler=scaler, dtype=torch.float16)
    hook.close()
    hook.release()
    trial = open_trial(tmp_path / "tensors")
    assert trial.tensor("CrossEntropyLoss_output_0").steps() == list(range(STEPS))
    saved = trial.tensor("gradient/Net_fc.weight").steps()
    assert saved
    assert saved[0] > 0
    assert trial.tensor("update_ratio/fc").steps() == saved
    for step in saved:
        for name in trial.tensor_names(step=step, regex="^gradient/"):
            assert np.isfinite(value(trial, name, step, "l2"))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_saved_as_float32(tmp_path, dtype):
    trial, seen = record(tmp_path, dtype=dtype)
    assert value(trial, "relu_input_1", 2, "std") == pytest.approx(seen["inputs"][5].std().item(), rel=2e-2)


def test_a_frozen_layer_has_no_gradient_and_no_update(tmp_path):
    trial, _ = record(tmp_path, frozen=True)
    names = trial.tensor_names()
    assert "gradient/Net_fc.weight" in names
    assert not [name for name in names if "conv" in name and not name.startswith("Net_")]


def test_evaluation_saves_losses_and_activations_alone(tmp_path):
    model, loss, optimizer = training = make_training()
    hook = watch(tmp_path, *training, interval=2)
    from classifier.training.debugging.hook import MODES

    steps(*training)
    hook.record_scalar("train_loss", 0.5)
    hook.set_mode(MODES["validation"])
    model.eval()
    with torch.inference_mode():
        for _ in range(4):
            loss(model(torch.randn(4, 3, 8, 8)), torch.tensor([0, 1, 1, 0]))
    hook.record_scalar("validation_loss", 0.7)
    hook.close()
    hook.release()
    trial = open_trial(tmp_path / "tensors")
    assert trial.steps(mode=MODES["train"]) == [0, 2, 4, 5]  # the last because of record
    assert trial.steps(mode=MODES["validation"]) == [0, 2, 3]
    assert trial.tensor_names(step=STEPS) == ["CrossEntropyLoss_output_0", "relu_input_0", "relu_input_1"]
    assert float(trial.tensor("scalar/train_loss").value(STEPS - 1)[0]) == 0.5
    assert float(trial.tensor("scalar/validation_loss").value(STEPS + 3)[0]) == pytest.approx(0.7)


def test_steps_with_losses_alone_are_written_with_the_next_that_has_more(tmp_path):
    training = make_training()
    hook = watch(tmp_path, *training, rest=4)
    written = []

    def look():
        written.append(len(list((tmp_path / "tensors/index").rglob("*.json"))))

    steps(*training, count=7, each=look)
    assert written == [0, 1, 1, 1, 1, 5, 5]
    hook.state_dict()
    look()
    assert written[-1] == 7
    hook.close()
    hook.release()
    trial = open_trial(tmp_path / "tensors")
    assert trial.steps() == list(range(7))
    assert trial.tensor("CrossEntropyLoss_output_0").steps() == list(range(7))
    assert trial.tensor("gradient/Net_fc.weight").steps() == [0, 4]
