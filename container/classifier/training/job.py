"""A training job, from the contract's input folders to its output folders."""

import logging
from dataclasses import dataclass

import torch

from classifier import device, memory
from classifier.contract import Contract
from classifier.errors import UserError
from classifier.training import hyperparameters, metrics, model
from classifier.training import measure_int8 as quantization
from classifier.training.checkpoint import Checkpoints, identity
from classifier.training.compute import Compute
from classifier.training.data.batches import SkippedImages, count_workers
from classifier.training.data.folders import VALIDATION_FRACTION, Dataset, read_dataset
from classifier.training.debugging.rules.client import sentence
from classifier.training.evaluate import Evaluation
from classifier.training.history import History
from classifier.training.interrupt import Interrupt, Interrupted
from classifier.training.parallel import processes as distributed
from classifier.training.profiling import findings as profiler_findings
from classifier.training.profiling.findings import Setting
from classifier.training.reporting import csv_files as output
from classifier.training.reporting import report
from classifier.training.trainer import Diverged, Trainer

logger = logging.getLogger(__name__)


def run(contract: Contract, interrupt: Interrupt) -> None:
    """Train, validate, test, and write artifact, outputs and report. Raises UserError for what the user can mend."""
    with distributed.join(contract) as group:
        interrupt.any = group.any
        if not group.is_first:
            logging.getLogger().setLevel(logging.WARNING)
        train(contract, interrupt, group)


def train(contract: Contract, interrupt: Interrupt, group: distributed.Alone) -> None:
    """The part in the job of this process among the `group`."""
    hp = hyperparameters.parse(contract.hyperparameters())
    channels = contract.channels()
    dataset = read_dataset(channels, hp.seed)
    log_dataset(dataset)
    torch.manual_seed(hp.seed)
    where = device.choose_device()
    if where.type == "cpu":
        memory.keep_all()
    compute = Compute(where, device.compute_dtype(hp.precision, where), group)
    where_and_how = device.describe(where), compute.dtype, group.size
    logger.info("device: %s; matrix products in %s; processes: %d", *where_and_how)
    start = model.starting_point(hp, channels)
    skipped = SkippedImages()
    network = model.make_model(dataset.classes, hp, start)
    run_identity = identity(hp, dataset, network, compute.dtype)
    check_processes(hp, run_identity, group)
    checkpoints = Checkpoints(contract.checkpoints, run_identity, group)
    trainer = Trainer(contract, hp, dataset, network, compute, skipped, interrupt, checkpoints)
    try:
        outcome = train_and_test(trainer)
        log_best_epoch(trainer.history)
        if not group.is_first:
            if outcome.failure:
                raise outcome.failure
            return
        observed = observe(trainer, outcome)
    finally:
        trainer.close()
    output.write(contract.output_data, dataset, outcome.evaluation, skipped)
    summary = report.Summary(
        hp=hp,
        dataset=dataset,
        history=trainer.history,
        evaluation=outcome.evaluation,
        skipped=skipped,
        origin=start.origin if start else "a random start",
        device=device.describe(where),
        ending=outcome.ending,
        observed=observed,
    )
    report.write(contract.output_data / "report.html", summary)
    if outcome.failure:
        raise outcome.failure
    if not outcome.ending:
        quantization.add(contract.model, dataset.validation, interrupt)
    logger.info("artifact in %s; outputs and report.html in %s", contract.model, contract.output_data)


@dataclass
class Outcome:
    """The evaluation to report, of the test phase or else the best validation, and how training ended early, if so.

    A `failure` fails the job, but only when all that can be told of it is written.
    """

    evaluation: Evaluation | None
    ending: str | None = None
    failure: UserError | None = None


def train_and_test(trainer: Trainer) -> Outcome:
    """Train to the end, or as far as it goes."""
    try:
        trainer.fit()
        return Outcome(test(trainer) or trainer.history.best)
    except Interrupted as interrupted:
        return Outcome(trainer.history.best, keep_what_there_is(trainer, interrupted))
    except UserError as error:
        return Outcome(trainer.history.best, failure=error)
    except torch.OutOfMemoryError as error:
        hp = trainer.hp
        raise UserError(
            f"the GPU's memory is too small for batch_size={hp.batch_size} at image_size={hp.image_size}; "
            f"lower one of them ({error})"
        ) from error


def observe(trainer: Trainer, outcome: Outcome) -> report.Observed:
    """End debugging and profiling, and write what they came to; a rule may fail the job even now."""
    folder = trainer.contract.output_data
    debugging, profile = trainer.debugger.finish(), trainer.profiler.finish()
    compute = trainer.compute
    findings = profiler_findings.find(
        profile,
        Setting.of(compute.device, compute.dtype, count_workers(trainer.hp, trainers=trainer.group.on_this_host)),
    )
    for finding in findings:
        logger.info("profile: %s", finding)
    debugging.write(folder / "debug.json")
    profile.write(folder / "profile.json", findings)
    try:
        trainer.debugger.check()
    except UserError as error:
        outcome.failure = outcome.failure or error
    if isinstance(outcome.failure, Diverged) and debugging.found:
        outcome.failure = UserError(f"{outcome.failure}; {sentence(debugging.found[0])}")
    if outcome.failure:
        outcome.ending = f"the job failed: {outcome.failure}"
    return report.Observed(debugging, profile, findings)


def test(trainer: Trainer) -> Evaluation | None:
    """Evaluate the test phase, if there is one, with the best epoch's weights as the artifact holds them."""
    trainer.model.load_state_dict(trainer.history.best_weights)
    if trainer.dataset.test is None:
        return None
    evaluation = trainer.evaluate(trainer.phases.batches_of(trainer.dataset.test))
    best = trainer.history.best_epoch
    trainer.metrics_log.write(f"test, weights of epoch {best}", evaluation.metrics, best_epoch=best)
    trainer.best.save(trainer.history.epochs[best - 1] | evaluation.metrics)
    return evaluation


def keep_what_there_is(trainer: Trainer, interrupted: Interrupted) -> str:
    """After a signal the best epoch's weights stay the artifact, or else those of the last step become it."""
    history = trainer.history
    if history.best_epoch:
        kept = f"the artifact has the weights of epoch {history.best_epoch}"
    elif history.steps:
        trainer.best.save({})
        kept = f"no epoch was whole, so the artifact has the weights of step {history.steps}, not validated"
    else:
        kept = "no step was done, so there is no artifact"
    ending = f"stopped by {interrupted} after {len(history.epochs)} whole epochs: {kept}"
    logger.warning("%s", ending)
    return ending


def log_best_epoch(history: History) -> None:
    """A tuning job judges by the last value in the log: let it be that of the weights which the artifact has."""
    if history.best_epoch:
        row = history.epochs[history.best_epoch - 1]
        metrics.log(f"best epoch, {history.best_epoch}", {name: row[name] for name in metrics.OBJECTIVES})


def check_processes(hp: hyperparameters.Hyperparameters, run_identity: str, group: distributed.Alone) -> None:
    """Raises UserError where several processes cannot train together."""
    if group.size > 1 and hp.batch_size < 2 * group.size:
        raise UserError(
            f"batch_size is {hp.batch_size}, for {group.size} processes (GPUs or hosts); "
            f"accepted: {2 * group.size} or more, two images for each"
        )
    if len(set(group.gather(run_identity))) > 1:
        raise UserError(
            "the hosts see different images; accepted: channels with S3DataDistributionType FullyReplicated"
        )


def log_dataset(dataset: Dataset) -> None:
    for phase in dataset.phases:
        passed = ", ".join(f"{count} {kind}" for kind, count in sorted(phase.passed_over.items()))
        logger.info(
            "%s: %d images in %s%s", phase.name, len(phase), phase.folder, passed and f"; passed over: {passed}"
        )
    if dataset.split_from_train:
        logger.info("no validation channel: %.0f %% of each class of train set aside", 100 * VALIDATION_FRACTION)
    logger.info("%d classes: %s", len(dataset.classes), ", ".join(dataset.classes))
