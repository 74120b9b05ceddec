"""Makes the debugger that a job asks for, or says why there is none."""

import contextlib
import logging
import shutil
from collections.abc import Mapping

import torch

from classifier.contract import Contract
from classifier.errors import UserError
from classifier.training.debugging import smdebug_compat
from classifier.training.debugging.config import (
    CONFIG,
    TENSORS,
    copy_config,
    save_intervals,
    tensors_folder,
    write_config,
)
from classifier.training.debugging.debugger import Debugger, NoDebugger, Timed
from classifier.training.debugging.rules.client import RulesClient
from classifier.training.hyperparameters import NO_RULE, Hyperparameters
from classifier.training.parallel.processes import Group

logger = logging.getLogger(__name__)
# What smdebug imports, declared by it or not.
NEEDED = "smdebug==1.0.34 protobuf boto3 requests six packaging"


def make_debugger(
    contract: Contract,
    hp: Hyperparameters,
    network: torch.nn.Module,
    loss: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: Mapping[str, int],
    guessing_loss: float,
    timed: Timed,
    group: Group,
) -> Debugger:
    """Return the debugger of this process, which expects `steps` in smdebug's modes train and eval.

    `guessing_loss` is the loss of guessing. Raises UserError if stop_on_rule is given without debugging.
    """
    stop_on = () if hp.stop_on_rule == NO_RULE else tuple(hp.stop_on_rule.split(","))
    if hp.debug == "off" and stop_on:
        raise UserError(f"stop_on_rule is {hp.stop_on_rule!r}, but debug=off; accepted: debug=auto with it")
    if not group.is_first:
        return NoDebugger("the first process debugs for all")
    tensors, config = contract.output_data / TENSORS, contract.output_data / CONFIG
    shutil.rmtree(tensors, ignore_errors=True)  # of an earlier job in the same folder
    with contextlib.suppress(OSError):
        config.unlink()
    if hp.debug == "off":
        return NoDebugger("debug=off")
    try:
        given = contract.debug_hook_config
        ours = not given.exists()
        if ours:
            write_config(config, tensors, {mode: save_intervals(count) for mode, count in steps.items()})
        else:
            copy_config(given, config)
        tensors = tensors_folder(config)
        smdebug_compat.load()
        from classifier.training.debugging.hook import disable_callbacks, make_hook
        from classifier.training.debugging.hook_debugger import HookDebugger

        with contextlib.ExitStack() as undo:
            hook = make_hook(config, network, loss, optimizer, timed)
            undo.callback(disable_callbacks)
            undo.callback(hook.release)
            rules = RulesClient(tensors, guessing_loss)
            undo.pop_all()
        return HookDebugger(hook, tensors, ours, rules, stop_on)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError)
        why = (
            f"smdebug cannot be loaded without {error.name}; needed: {NEEDED}"
            if missing
            else f"{type(error).__name__}: {error}"
        )
        logger.warning("debugging is off: %s", why)
        return NoDebugger(why)
