"""A training job, from the contract's input folders to its output folders."""

import contextlib
import logging
import math
import os
from pathlib import Path

import torch

from classifier import device, memory
from classifier.contract import Contract
from classifier.errors import UserError
from classifier.training import model
from classifier.training.best import BestArtifact
from classifier.training.checking.in_job import Checking
from classifier.training.checkpoint import Checkpoints, identity
from classifier.training.compute import Compute, explained_memory
from classifier.training.data.folders import SET_ASIDE, Dataset
from classifier.training.data.order import Order
from classifier.training.data.readers import check_memory
from classifier.training.data.skipped import SkippedImages
from classifier.training.debugging.factory import make_debugger
from classifier.training.features import open_batches
from classifier.training.history import History
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.inputs import Inputs, read_inputs
from classifier.training.interrupt import BEFORE_THE_FIRST_STEP, Interrupt, Interrupted
from classifier.training.labels.in_job import check_labels
from classifier.training.metrics import MetricsLog
from classifier.training.optimization import make_loss, make_optimizer
from classifier.training.outputs import METRICS_FILE, remove_earlier_outputs
from classifier.training.parallel.processes import Group, join_group
from classifier.training.profiling.job_time import LABELS
from classifier.training.profiling.profiler import make_profiler
from classifier.training.progress import job_bar
from classifier.training.results import write_results
from classifier.training.step import Step
from classifier.training.tensorboard import TensorBoard
from classifier.training.trainer import Trainer
from classifier.words import plural

logger = logging.getLogger(__name__)


def run(contract: Contract, interrupt: Interrupt, inputs: Inputs | None = None) -> None:
    """Train, validate, test, and write artifact, outputs and report; the inputs are read unless they are given.

    Raises UserError for what the user can correct.
    """
    with join_group(contract) as group:
        if not group.is_first:
            logging.getLogger().setLevel(logging.WARNING)
        try:
            run_process(contract, interrupt, inputs, group)
        except Interrupted as interrupted:
            logger.warning(BEFORE_THE_FIRST_STEP, interrupted)


def run_process(contract: Contract, interrupt: Interrupt, inputs: Inputs | None, group: Group) -> None:
    """Do the share of this process of the `group` in the job."""
    inputs = inputs or read_inputs(contract, interrupt)
    log_dataset(inputs.dataset)
    checks = Checking(inputs.dataset) if group.is_first else contextlib.nullcontext()
    with checks as checking, explained_memory(inputs.hp):
        train_and_report(contract, inputs, checking, interrupt, group)


def train_and_report(
    contract: Contract, inputs: Inputs, checking: Checking | None, interrupt: Interrupt, group: Group
) -> None:
    """Train on the images, whose check is under way, and have the first process of the `group` write everything."""
    hp, dataset, weights = inputs
    torch.manual_seed(hp.seed)
    compute = make_compute(hp, group)
    start = model.starting_point(weights)
    origin = start.origin if start else "a random start"
    trainer = make_trainer(contract, hp, dataset, start, compute, interrupt)
    try:
        trainer.resume()
        if group.is_first:
            remove_earlier_outputs(contract)
        with job_bar(*trainer.count_steps()):
            outcome = trainer.run()
            trainer.best_artifact.log_metrics()
            with trainer.profiler.span(LABELS):
                labels = check_labels(trainer, outcome)
        if group.is_first:
            write_results(contract, dataset, origin, trainer, outcome, labels, checking)
        if outcome.failure:
            raise outcome.failure
    finally:
        trainer.close()
    artifact = f"artifact in {contract.model}; " if trainer.history.steps else ""
    logger.info("%soutputs and report.html in %s", artifact, contract.output_data)


def make_compute(hp: Hyperparameters, group: Group) -> Compute:
    where = device.choose_device()
    if where.type == "cpu":
        memory.keep_all()
    compute = Compute(where, device.compute_dtype(hp.precision, where), group)
    what = "device: %s; matrix products in %s; processes: %d"
    logger.info(what, device.describe(where), compute.dtype, group.size)
    return compute


def make_trainer(
    contract: Contract,
    hp: Hyperparameters,
    dataset: Dataset,
    start: model.StartingPoint | None,
    compute: Compute,
    interrupt: Interrupt,
) -> Trainer:
    """Make the parts of a training, in the order in which they need each other."""
    group, writes = compute.group, compute.group.is_first
    largest = Order(max(map(len, dataset.phases)), hp.batch_size, group)
    check_memory(hp, largest.share, group.on_this_host)
    made = model.make_model(dataset.classes, hp, start)
    with interrupt.waiting():
        run_identity = identity(hp, dataset, made, compute.dtype)
    check_processes(hp, run_identity, group)
    made = made.to(compute.device)
    backbone, network = model.split(made, hp.trainable)
    train, validation = (
        open_batches(phase, hp, backbone, compute, interrupt) for phase in (dataset.train, dataset.validation)
    )
    test = open_batches(dataset.test, hp, backbone, compute, interrupt) if dataset.test else None
    loss = make_loss(hp, dataset, compute.device)
    optimizer = make_optimizer(made, hp)
    steps = {"train": hp.epochs * len(train), "eval": hp.epochs * len(validation) + (len(test) if test else 0)}
    profiler = make_profiler(
        hp.profile if writes else "off", contract.output_data, compute.device, steps["train"], len(train)
    )
    guessing_loss = math.log(len(dataset.classes))
    debugger = make_debugger(contract, hp, network, loss, optimizer, steps, guessing_loss, profiler.timed, group)
    history = History()
    return Trainer(
        hp=hp,
        model=made,
        compute=compute,
        train=train,
        validation=validation,
        test=test,
        step=Step(network, loss, optimizer, compute, profiler),
        history=history,
        best_artifact=BestArtifact(contract.model if writes else None, hp, dataset.classes, made, history),
        checkpoints=Checkpoints(contract.checkpoints, run_identity, group),
        metrics_log=open_metrics_log(contract, hp) if writes else MetricsLog(Path(os.devnull)),
        debugger=debugger,
        profiler=profiler,
        skipped=SkippedImages(),
        interrupt=interrupt,
    )


def open_metrics_log(contract: Contract, hp: Hyperparameters) -> MetricsLog:
    tensorboard = TensorBoard(contract.tensorboard) if hp.tensorboard else None
    return MetricsLog(contract.output_data / METRICS_FILE, tensorboard)


def check_processes(hp: Hyperparameters, run_identity: str, group: Group) -> None:
    """Raises UserError if the processes of a group cannot train together."""
    if group.size > 1 and hp.batch_size < 2 * group.size:
        raise UserError(
            f"batch_size is {hp.batch_size}, for {plural(group.size, 'process')} (GPUs or hosts); "
            f"accepted: {2 * group.size} or more, two images for each"
        )
    if len(set(group.gather(run_identity))) > 1:
        raise UserError(
            "the hosts see different images; accepted: channels with S3DataDistributionType FullyReplicated"
        )


def log_dataset(dataset: Dataset) -> None:
    for note in dataset.notes:
        logger.info("%s", note)
    for phase in dataset.phases:
        passed = ", ".join(f"{count} {kind}" for kind, count in sorted(phase.passed_over.items()))
        logger.info(
            "%s: %s in %s%s",
            phase.name,
            plural(len(phase), "image"),
            phase.folder,
            passed and f"; passed over: {passed}",
        )
    if dataset.split_from_train:
        aside = len(dataset.validation)
        every = plural(aside + len(dataset.train), "image")
        logger.info("no validation channel: %d of %s of train set aside, %s", aside, every, SET_ASIDE)
    logger.info("%s: %s", plural(len(dataset.classes), "class"), ", ".join(dataset.classes))
