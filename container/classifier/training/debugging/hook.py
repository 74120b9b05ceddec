"""What debugging watches: smdebug's hook on the model, the loss and the optimiser."""

import atexit
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from smdebug.core.utils import error_handling_agent
from smdebug.pytorch import modes

from classifier.training.debugging.lean_hook import LeanHook

GRADIENT = "gradient/"
UPDATE_RATIO = "update_ratio/"
RELU_ACTIVITY = "relu_activity/"
# An update is measured on about so many units of each layer: a fraction of the memory to read, and as telling.
MEASURED_UNITS = 16

Timed = Callable[[str], AbstractContextManager]


class DebugHook(LeanHook):
    """Saves what its configuration asks for, and two things smdebug lacks: updates to weights, and units' activity.

    Registered on the model's forward passes and on the optimiser: there the gradients are whole (summed over the
    processes, without GradScaler's scale), which they are not in smdebug's callbacks on each parameter.
    """

    timed: Timed

    def watch(self, model: torch.nn.Module, loss: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Register on all three, once and before the model is wrapped for several processes."""
        self._prepare_collections()
        self.loss = loss
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.ReLU) and self.is_wanted(name):
                module.inplace = False  # or its input would be overwritten before it is saved
        prefix = f"{type(model).__name__}_"
        self.parameters = {prefix + name: p for name, p in model.named_parameters() if p.requires_grad}
        self.layers = {name: p for name, p in model.named_parameters() if p.requires_grad and p.ndim > 1}
        # Memory for what a saved step computes, kept: the first step would otherwise take twice the time of others.
        self.before = [torch.zeros_like(weight) for weight in self.measured_units()]
        largest = max(self.parameters.values(), key=torch.numel)
        self.scratch = torch.zeros(largest.numel(), device=largest.device)
        self.is_measuring = False
        self.register_module(model)
        self.register_loss(loss)
        self.handles = [
            optimizer.register_step_pre_hook(self.before_update),
            optimizer.register_step_post_hook(self.after_update),
        ]

    def is_saving(self, collection: str | None = None) -> bool:
        """Whether this step saves anything, or anything of `collection`."""
        saved = self._get_collections_to_save_for_step()
        return any(collection in (None, item.name) for item in saved)

    def record(self, **scalars: float) -> None:
        """Save `scalars` with the step that is just over, whether or not it was to be saved."""
        for name, value in scalars.items():
            self.save_scalar(name, value)
        self.flush()

    def measured_units(self) -> list[torch.Tensor]:
        """Of each layer's weights every nth unit, as views."""
        return [weight.detach()[:: max(1, len(weight) // MEASURED_UNITS)] for weight in self.layers.values()]

    @error_handling_agent.catch_smdebug_errors()
    def before_update(self, *_) -> None:
        if not self.is_saving_tensors():
            return
        with self.timed("hook"), torch.no_grad():
            for name, parameter in self.parameters.items():
                if parameter.grad is not None:
                    self._save_for_tensor(GRADIENT + name, parameter.grad)
            self.take_norms()
            if self.is_saving("update_ratio"):
                torch._foreach_copy_(self.before, self.measured_units())
                self.is_measuring = True

    @error_handling_agent.catch_smdebug_errors()
    def after_update(self, *_) -> None:
        if not self.is_measuring:
            return
        self.is_measuring = False
        with self.timed("hook"), torch.no_grad():
            sizes = torch.stack(torch._foreach_norm(self.before))
            torch._foreach_sub_(self.before, self.measured_units())
            ratios = (torch.stack(torch._foreach_norm(self.before)) / sizes.clamp_min(1e-12)).tolist()
            for name, ratio in zip(self.layers, ratios, strict=True):
                # Without the suffix, which smdebug's own collection of weights looks for.
                self._save_for_tensor(UPDATE_RATIO + name.removesuffix(".weight"), torch.tensor([ratio]))

    @error_handling_agent.catch_smdebug_errors()
    def forward_pre_hook(self, module, inputs):
        with self.timed("hook"):
            super().forward_pre_hook(module, inputs)

    @error_handling_agent.catch_smdebug_errors()
    def forward_hook(self, module, inputs, outputs):
        if not (self.is_saving() if module is self.loss else self.is_saving_tensors()):
            return
        with self.timed("hook"), torch.no_grad():
            if isinstance(module, torch.nn.ReLU) and self.is_saving("relu_activity"):
                count = self.written_tensor_name_for_step.get(f"{module._module_name}_input_", 0)
                active = (outputs > 0).float()
                activity = active.mean(tuple(range(2, active.ndim))).mean(0)
                self._save_for_tensor(f"{RELU_ACTIVITY}{module._module_name}_{count}", activity)
            super().forward_hook(module, inputs, outputs)
            self.take_norms()

    def _log_params(self, module):
        if self.is_saving_tensors():
            super()._log_params(module)

    def state_dict(self) -> dict[str, object]:
        """The numbers of the steps so far. What they saved is written first."""
        self.flush()
        steps = {mode.name: step for mode, step in self.mode_steps.items()}
        return {"steps": steps, "last_saved_step": self.last_saved_step}

    def load_state_dict(self, state: dict[str, object]) -> None:
        self.mode_steps |= {modes[name]: step for name, step in state["steps"].items()}
        self.step = self.mode_steps[modes.GLOBAL]
        self.last_saved_step = state["last_saved_step"]

    def release(self) -> None:
        """No callback and no exit handler shall be left; what is on disk stays as it is."""
        atexit.unregister(self._cleanup)
        atexit.unregister(self.profiler_config_parser.stop_post_hook_close_python_profiling)
        for handle in getattr(self, "handles", []):
            handle.remove()


class Raise:
    """In the place of smdebug's logger while the hook is made, or an error would leave half a hook."""

    def error(self, _message: str) -> None:
        """What smdebug says before exception()."""

    def exception(self, error: Exception) -> None:
        raise error


def make_hook(
    config: Path, model: torch.nn.Module, loss: torch.nn.Module, optimizer: torch.optim.Optimizer, timed: Timed
) -> DebugHook:
    """The hook that the file `config` asks for, registered. Raises whatever smdebug does not like."""
    error_handling_agent.disable_smdebug = False
    error_handling_agent.logger = Raise()
    hook = DebugHook.create_from_json_file(str(config))
    hook.timed = timed
    try:
        hook.watch(model, loss, optimizer)
    except Exception:
        error_handling_agent.disable_smdebug = True
        hook.release()
        raise
    return hook


MODES = {"train": modes.TRAIN, "validation": modes.EVAL, "test": modes.EVAL}
