"""torch's optimisers without torch.compile, which is never used here.

torch's own import its whole compiler to tell it to leave them alone: more than a second of a job's start.
"""

import inspect
from typing import Any

import torch
from torch.optim import Optimizer


class _Uncompiled(Optimizer):
    """The methods of torch's optimisers as they are under the decorators that import the compiler."""

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)


class AdamW(_Uncompiled, torch.optim.AdamW):
    """torch.optim.AdamW; its decorators would also switch gradients off during a step."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class SGD(_Uncompiled, torch.optim.SGD):
    """torch.optim.SGD, likewise, with a momentum of zero before the first step, which is the same by it.

    torch's own fused one reserves memory for it in that step. If GradScaler has it skip the step, since gradients
    overflowed, whatever was in that memory would be the momentum.
    """

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))
