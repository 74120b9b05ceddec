"""The hook of debugging: smdebug's, on the model, the loss and the optimiser."""

import atexit
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from smdebug.core.utils import error_handling_agent
from smdebug.pytorch import modes
from torch.utils.hooks import RemovableHandle

from classifier.training.debugging.debugger import Timed
from classifier.training.debugging.lean_hook import LeanHook, norms
from classifier.training.debugging.names import GRADIENT, RELU_ACTIVITY, UPDATE_RATIO

# Updates are measured on about this many units of each layer: it is as telling, and reads a fraction of the memory.
MEASURED_UNITS = 16
MODES = {"train": modes.TRAIN, "validation": modes.EVAL, "test": modes.EVAL}


class DebugHook(LeanHook):
    """Saves what its configuration asks for, and two things smdebug lacks: updates to weights, and units' activity.

    Registered on the model's forward passes and on the optimiser: there the gradients are whole (summed over the
    processes, without GradScaler's scale), which they are not in smdebug's callbacks on each parameter.
    """

    timed: Timed
    handles: Sequence[RemovableHandle] = ()

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
        # Memory that saved steps compute in, allocated now: the first would otherwise take twice the time of others.
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
        """Return whether this step saves anything, or anything of `collection`."""
        saved = self._get_collections_to_save_for_step()
        return any(collection in (None, item.name) for item in saved)

    def record_scalar(self, name: str, value: float) -> None:
        """Save `value` with the step that has just ended, whether or not that step is to be saved."""
        self.save_scalar(name, value)
        self.flush()

    def measured_units(self) -> list[torch.Tensor]:
        """Return every nth unit of each layer's weights, as views."""
        return [weight.detach()[:: max(1, len(weight) // MEASURED_UNITS)] for weight in self.layers.values()]

    @error_handling_agent.catch_smdebug_errors()
    def before_update(self, optimizer: torch.optim.Optimizer, *_) -> None:
        # GradScaler calls a fused optimiser for steps that it skips too, whose gradients have overflowed by its design,
        # and tells it so. Reading that waits for the GPU, as other values of a saved step do.
        found_inf = getattr(optimizer, "found_inf", None)
        if not self.is_saving_tensors() or (found_inf is not None and found_inf.item()):
            return
        with self.timed("hook"), torch.no_grad():
            for name, parameter in self.parameters.items():
                if parameter.grad is not None:
                    self._save_for_tensor(f"{GRADIENT}/{name}", parameter.grad)
            self.take_norms()
            if self.is_saving(UPDATE_RATIO):
                torch._foreach_copy_(self.before, self.measured_units())  # pyright: ignore[reportPrivateImportUsage]
                self.is_measuring = True

    @error_handling_agent.catch_smdebug_errors()
    def after_update(self, *_) -> None:
        if not self.is_measuring:
            return
        self.is_measuring = False
        with self.timed("hook"), torch.no_grad():
            sizes = torch.stack(norms(self.before))
            torch._foreach_sub_(self.before, self.measured_units())  # pyright: ignore[reportPrivateImportUsage]
            ratios = (torch.stack(norms(self.before)) / sizes.clamp_min(1e-12)).tolist()
            for name, ratio in zip(self.layers, ratios, strict=True):
                # Without the suffix, by which smdebug's own collection of weights would take it.
                self._save_for_tensor(f"{UPDATE_RATIO}/{name.removesuffix('.weight')}", torch.tensor([ratio]))

    @error_handling_agent.catch_smdebug_errors()
    def forward_pre_hook(self, module, inputs) -> None:
        with self.timed("hook"):
            super().forward_pre_hook(module, inputs)

    @error_handling_agent.catch_smdebug_errors()
    def forward_hook(self, module, inputs, outputs) -> None:
        if not (self.is_saving() if module is self.loss else self.is_saving_tensors()):
            return
        with self.timed("hook"), torch.no_grad():
            if isinstance(module, torch.nn.ReLU) and self.is_saving(RELU_ACTIVITY):
                count = self.written_tensor_name_for_step.get(f"{module._module_name}_input_", 0)
                active = (outputs > 0).float()
                activity = active.mean(tuple(range(2, active.ndim))).mean(0)
                self._save_for_tensor(f"{RELU_ACTIVITY}/{module._module_name}_{count}", activity)
            super().forward_hook(module, inputs, outputs)
            self.take_norms()

    def _log_params(self, module) -> None:
        if self.is_saving_tensors():
            super()._log_params(module)

    def state_dict(self) -> dict[str, Any]:
        """Return the numbers of the steps so far, after what they saved has been written."""
        self.flush()
        steps = {mode.name: step for mode, step in self.mode_steps.items()}
        return {"steps": steps, "last_saved_step": self.last_saved_step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.mode_steps |= {modes[name]: step for name, step in state["steps"].items()}
        self.step = self.mode_steps[modes.GLOBAL]
        self.last_saved_step = state["last_saved_step"]

    def release(self) -> None:
        """Remove the callbacks on the optimiser and all exit handlers; the files stay as they are."""
        atexit.unregister(self._cleanup)
        atexit.unregister(self.profiler_config_parser.stop_post_hook_close_python_profiling)
        for handle in self.handles:
            handle.remove()


def make_hook(
    config: Path, model: torch.nn.Module, loss: torch.nn.Module, optimizer: torch.optim.Optimizer, timed: Timed
) -> DebugHook:
    """Return the hook that the file `config` asks for, registered. Raises what smdebug raises."""
    error_handling_agent.disable_smdebug = False
    pass_errors_to(_raise)  # or an error would leave half a hook
    hook = DebugHook.create_from_json_file(str(config))
    hook.timed = timed
    try:
        hook.watch(model, loss, optimizer)
    except Exception:
        disable_callbacks()
        hook.release()
        raise
    return hook


class ErrorHandler:
    """Replaces the logger to which smdebug reports the errors of its callbacks, which it catches itself."""

    def __init__(self, handle: Callable[[Exception], None]):
        self.handle = handle

    def error(self, _message: str) -> None:
        """Ignore the general sentence that smdebug sends first."""

    def exception(self, error: Exception) -> None:
        self.handle(error)


def pass_errors_to(handle: Callable[[Exception], None]) -> None:
    """Call `handle` with each error in a callback of smdebug."""
    agent: Any = error_handling_agent
    agent.logger = ErrorHandler(handle)


def disable_callbacks() -> None:
    """Have the callbacks that stay on the model and the loss do nothing from now on."""
    error_handling_agent.disable_smdebug = True


def _raise(error: Exception) -> None:
    raise error
