"""smdebug's hook, made lean: a step that is not saved costs next to nothing, and a saved one as little as possible."""

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from smdebug.core.collection import CollectionKeys
from smdebug.core.modes import ModeKeys
from smdebug.core.utils import match_inc
from smdebug.core.writer import FileWriter
from smdebug.pytorch import Hook

# The most steps that are written together: rules wait for them.
MOST_UNWRITTEN = 30


class SavedStep(NamedTuple):
    """A step that has ended and is not written yet: its writer, and its scalars, which may still be on the device."""

    writer: FileWriter
    scalars: list[tuple[str, torch.Tensor]]
    mode: ModeKeys
    number: int  # in its mode
    time: float


class LeanHook(Hook):
    """Saves what smdebug's hook saves, except gradients, which the subclass saves."""

    mode_steps: dict[ModeKeys, int]
    last_saved_step: int | None

    def __init__(self, *arguments, **parameters):
        super().__init__(*arguments, **parameters)
        self.normed: dict[str, torch.Tensor] = {}  # tensors whose norms have to be taken
        self.waiting: list[tuple[str, torch.Tensor]] = []  # scalars of this step
        self.unwritten: list[SavedStep] = []
        self.scratch = torch.empty(0)  # kept, since new memory costs more than the computation in it

    def is_wanted(self, module: str) -> bool:
        """Return whether any collection wants the inputs or the outputs of the module named `module`."""
        wanted = [regex for item in self._collections_to_save for regex in item.include_regex]
        return any(match_inc(f"{module}_{side}_0", wanted) for side in ("input", "output"))

    def has_default_configuration(self) -> bool:
        """Return True: with any other configuration smdebug raises its errors in the training."""
        return True

    def count_parameters(self, model):
        """Do nothing: smdebug only logs here."""

    def _closure_for_registering_forward_hook(self, module):
        """Register only modules whose inputs or outputs some collection wants: each callback costs time."""
        if self.is_wanted(module._module_name):
            super()._closure_for_registering_forward_hook(module)

    def _backward_apply(self, module):
        """Register no callbacks on parameters: each would cost time in every step."""

    def _write_state(self):
        """Write no state among the checkpoints: smdebug would search them at every step."""

    def forward_pre_hook(self, module, inputs):
        """Begin a step. smdebug's own method also checks at every step whether its profiling was asked for."""
        if self.writer is not None:
            self._close_writers()
        self._close_tb_writer()
        self._increment_step()
        if self._get_collections_to_save_for_step():
            self._initialize_writers()
            self._log_params(module)
        if self.last_saved_step is not None and not self.exported_collections:
            self.export_collections()
            self.exported_collections = True

    def forward_hook(self, module, inputs, outputs):
        """Save inputs and outputs; smdebug's own method also takes times for its profiling."""
        self._write_inputs(module._module_name, inputs)
        self._write_outputs(module._module_name, outputs)
        self.last_saved_step = self.step

    def _log_save(self, tensor_name, save_collections):
        """Do not compose a log line: the logger is off, and the line takes time."""

    def _write_for_tensor(self, tensor_name, tensor_value, save_collections, tensor_ref=None):
        if isinstance(tensor_value, torch.Tensor) and tensor_value.dtype in (torch.bfloat16, torch.float16):
            tensor_value = tensor_value.float()  # numpy has no bfloat16, and a norm overflows in float16
        super()._write_for_tensor(tensor_name, tensor_value, save_collections, tensor_ref)

    def _write_raw_tensor_simple(self, tensor_name, tensor_value, tensor_ref=None, timestamp=None):
        """Keep scalars until the step ends: one copy from a GPU for all 300, instead of one for each."""
        if isinstance(tensor_value, torch.Tensor) and tensor_value.ndim == 0:
            self.waiting.append((tensor_name, tensor_value.detach()))
        else:
            super()._write_raw_tensor_simple(tensor_name, tensor_value, tensor_ref, timestamp)

    def _write_reduction(self, tensor_name, tensor_value, reduction_name, abs, tensor_ref=None):
        if reduction_name == "l2":
            self.normed[self._get_reduction_tensor_name(tensor_name, reduction_name, abs)] = tensor_value.detach()
        elif abs and reduction_name == "mean":
            name = self._get_reduction_tensor_name(tensor_name, reduction_name, abs)
            self.waiting.append((name, self.mean_of_absolute(tensor_value)))
        else:
            super()._write_reduction(tensor_name, tensor_value, reduction_name, abs, tensor_ref)

    def take_norms(self) -> None:
        """Compute the norms of many tensors together, at the end of a callback: later the tensors may have changed."""
        if self.normed:
            self.waiting.extend(zip(self.normed, norms(self.normed.values()), strict=True))
            self.normed = {}

    def mean_of_absolute(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the mean of the absolute values, which are computed in the memory kept for it."""
        if self.scratch.numel() < tensor.numel() or self.scratch.device != tensor.device:
            self.scratch = torch.empty(tensor.numel(), device=tensor.device)
        in_memory = sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
        flat = tensor.detach().permute(in_memory).flatten()  # a view, whatever the memory format is
        return torch.abs(flat, out=self.scratch[: len(flat)]).mean()

    def _log_params(self, module):
        super()._log_params(module)
        self.take_norms()

    def is_saving_tensors(self) -> bool:
        """Return whether this step saves anything besides the losses."""
        return any(item.name != CollectionKeys.LOSSES for item in self._get_collections_to_save_for_step())

    def set_mode(self, mode):
        self.flush()
        super().set_mode(mode)

    def flush(self) -> None:
        """Write everything saved so far."""
        self._close_writers()
        self._write_steps()

    def _close_writers(self):
        """End a step. A step with losses alone waits for others: written by itself it would cost several times more."""
        self._write_scalars()
        writer, scalars = self.writer, self.waiting
        self.writer, self.waiting = None, []
        if writer is None:  # nothing is saved, or by another process
            return
        self.unwritten.append(SavedStep(writer, scalars, self.mode, self.mode_steps[self.mode], time.time()))
        if self.is_saving_tensors() or len(self.unwritten) == MOST_UNWRITTEN:
            self._write_steps()

    def _write_steps(self) -> None:
        steps, self.unwritten = self.unwritten, []
        for step in steps:
            if step.scalars:
                names, values = zip(*step.scalars, strict=True)
                for name, value in zip(names, torch.stack(values).cpu().numpy(), strict=True):
                    step.writer.write_tensor(
                        np.asarray(value), name, mode=step.mode, mode_step=step.number, timestamp=step.time
                    )
        files: list[Any] = [step.writer.proto_writer for step in steps]  # our EventFileWriter, not smdebug's
        for file in files[1:]:
            file.join(files[0])
        for step in steps:
            step.writer.close()
        super()._close_writers()  # the writers for TensorBoard

    def _cleanup(self):
        self.flush()
        super()._cleanup()

    @staticmethod
    def _get_reduction_of_data(reduction_name, tensor_value, tensor_name, abs):
        if reduction_name == "std":
            return tensor_value.std(correction=0)  # 0, not nan, for a single element
        return Hook._get_reduction_of_data(reduction_name, tensor_value, tensor_name, abs)


def norms(tensors: Iterable[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """Return the norm of each tensor, computed in one call."""
    return torch._foreach_norm(tuple(tensors))  # pyright: ignore[reportPrivateImportUsage]
