from types import SimpleNamespace

import pytest
import torch

from classifier.training.debugging import smdebug_compat
from hooked import make_training, open_trial, steps, watch


@pytest.mark.parametrize("scratch", [0, 10**6])
def test_the_mean_of_absolute_values_is_exact_in_any_memory_format(scratch):
    smdebug_compat.load()
    from classifier.training.debugging.lean_hook import LeanHook

    hook = SimpleNamespace(scratch=torch.ones(scratch))
    values = torch.randn(130, 64, 9, 9, generator=torch.Generator().manual_seed(0))
    expected = values.double().abs().mean().item()
    every_second = torch.stack((values, values), -1)[..., 0]
    for tensor in (values, values.contiguous(memory_format=torch.channels_last), values.transpose(0, 1), every_second):
        mean = LeanHook.mean_of_absolute(hook, tensor)
        assert mean.item() == pytest.approx(expected, rel=1e-6)


def test_what_waits_when_the_mode_changes_is_saved_with_the_mode_it_belongs_to(tmp_path):
    hook = watch(tmp_path, *(training := make_training()))
    from classifier.training.debugging.hook import MODES

    steps(*training, count=2)
    hook.set_mode(MODES["validation"])
    hook.close()
    hook.release()
    trial = open_trial(tmp_path / "tensors")
    assert trial.tensor("CrossEntropyLoss_output_0").steps(mode=MODES["train"]) == [0, 1]
    assert trial.tensor("gradient/Net_fc.weight").steps(mode=MODES["train"]) == [0, 1]
    assert trial.steps(mode=MODES["validation"]) == []


def test_steps_that_are_written_together_share_a_file_and_come_back_each_with_its_values(tmp_path):
    apart, together = tmp_path / "apart", tmp_path / "together"
    for folder, rest in ((apart, 1), (together, 3)):
        hook = watch(folder, *(training := make_training()), rest=rest)
        steps(*training, count=6)
        hook.close()
        hook.release()
    assert len(list(apart.rglob("*.tfevents"))) == 6
    assert len(list(together.rglob("*.tfevents"))) == 3  # of step 0, of 1 to 3, of 4 and 5
    expected, found = (open_trial(folder / "tensors") for folder in (apart, together))
    assert found.steps() == expected.steps() == list(range(6))
    for name, saved in (("CrossEntropyLoss_output_0", range(6)), ("relu_activity/relu_1", (0, 3))):
        for step in saved:
            assert found.tensor(name).value(step) == pytest.approx(expected.tensor(name).value(step))
