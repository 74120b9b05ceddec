"""What a job leaves behind once training has ended: a complete artifact, tables and figures, and the report."""

import contextlib
import logging
import time
from dataclasses import replace
from pathlib import Path

from classifier import device, machine
from classifier.activation_maps import ActivationMaps
from classifier.artifact import METADATA_FILE
from classifier.artifact_fields import NETWORK_FILE
from classifier.contract import Contract
from classifier.errors import UserError
from classifier.training.answers.in_job import add_answers
from classifier.training.checking.in_job import Checking
from classifier.training.data.folders import Dataset
from classifier.training.data.order import Order
from classifier.training.data.readers import count_workers
from classifier.training.debugging.debugger import Debugger, Debugging
from classifier.training.debugging.rules.verdicts import sentence
from classifier.training.export_onnx import add_onnx
from classifier.training.interrupt import Interrupt, Interrupted
from classifier.training.labels.in_job import LabelCheck
from classifier.training.measure_int8 import add_int8
from classifier.training.outputs import DEBUG_FILE, PROFILE_FILE, REPORT_FILE
from classifier.training.profiling.findings import Setting, list_findings
from classifier.training.profiling.job_time import END, INT8
from classifier.training.reporting.csv_files import write_csv_files, write_labels
from classifier.training.reporting.report import write_report
from classifier.training.reporting.summary import Observed, Summary
from classifier.training.trainer import Diverged, Outcome, Trainer

logger = logging.getLogger(__name__)
Failure = UserError | OSError | None


def write_results(
    contract: Contract,
    dataset: Dataset,
    origin: str,
    trainer: Trainer,
    outcome: Outcome,
    labels: LabelCheck | None,
    checking: Checking | None,
) -> None:
    """Complete the artifact and write all outputs. The outcome has a failure afterwards if part of that failed.

    `origin` says what training started from.
    """
    folder, interrupt = contract.output_data, trainer.interrupt
    trainer.debugger.end()  # what the rules and the check still have to do, they do meanwhile
    if checking:
        checking.look_no_further()
    with trainer.profiler.span(INT8):
        complete_artifact(contract, trainer, outcome, dataset)
    with trainer.profiler.span(END):
        write_csv_files(folder, dataset, outcome.evaluation, trainer.skipped)
        if labels:
            write_labels(folder, dataset, labels)
        debugging = trainer.debugger.finish()
        data = checking.finish() if checking else None
    observed = observe(trainer, outcome, debugging, folder)
    summary = Summary(
        hp=trainer.hp,
        dataset=dataset,
        history=trainer.history,
        evaluation=outcome.evaluation,
        skipped=trainer.skipped,
        origin=origin,
        device=device.describe(trainer.compute.device),
        ending=outcome.ending,
        observed=observed,
        job=contract.job,
        data=data,
        labels=labels,
        maps=open_maps(contract.model),
    )
    report_on(summary, folder / REPORT_FILE, interrupt)


def complete_artifact(contract: Contract, trainer: Trainer, outcome: Outcome, dataset: Dataset) -> None:
    """Add the ONNX networks to the artifact, if there is one, and take a sample of its answers.

    After a signal it is complete without int8 and the sample. An error fails the job, but not before its report.
    """
    folder, interrupt = contract.model, trainer.interrupt
    if outcome.failure or not (folder / METADATA_FILE).exists():
        return
    try:
        add_onnx(folder)
        if trainer.history.best and not outcome.ending:
            with contextlib.suppress(Interrupted):
                add_int8(folder, trainer.validation, trainer.history.best, interrupt)
            sampled = trainer.hp.answers_sample, trainer.compute.device, interrupt
            add_answers(contract.output_data, folder, dataset, *sampled)
    except (UserError, OSError) as error:
        outcome.failure = error


def observe(trainer: Trainer, outcome: Outcome, debugging: Debugging, folder: Path) -> Observed:
    """End profiling, and write its results and those of `debugging` to `folder`. A rule may fail the job even now."""
    profile, compute = trainer.profiler.finish(), trainer.compute
    share = Order(len(trainer.train.phase), trainer.hp.batch_size, compute.group).share
    workers = count_workers(trainer.hp, share, compute.group.on_this_host)
    findings = list_findings(profile, Setting.of(compute.device, compute.dtype, workers))
    if profile.spans:
        logger.info("time of the job: %s", profile.describe_spans())
    for finding in findings:
        logger.info("profile: %s", finding)
    debugging.write_json(folder / DEBUG_FILE)
    profile.write_json(folder / PROFILE_FILE, findings)
    outcome.failure = with_rules(outcome.failure, trainer.debugger, debugging)
    if outcome.failure:
        outcome.ending = f"the job failed: {outcome.failure}"
    return Observed(debugging, profile, findings)


def with_rules(failure: Failure, debugger: Debugger, debugging: Debugging) -> Failure:
    """Return the job's `failure`, or None, with what rules have found, the one that was to stop the job first."""
    diverged = failure if isinstance(failure, Diverged) else None
    try:
        debugger.check_rules()
    except UserError as error:  # of few steps the end comes before the rules have judged them
        return UserError(f"{error} Then {diverged}") if diverged else failure or error
    if diverged and debugging.found:
        return UserError(f"{diverged}; {sentence(debugging.found[0])}")
    return failure


def report_on(summary: Summary, path: Path, interrupt: Interrupt) -> None:
    """Write the report to `path`; after a signal without photos, for whose files it would wait."""
    started = time.monotonic()
    try:
        with interrupt.waiting():
            write_report(path, summary)
    except Interrupted:
        write_report(path, replace(summary, photos=False))
    logger.info("%s took another %.1f s", path.name, time.monotonic() - started)


def open_maps(folder: Path) -> ActivationMaps | None:
    """Return what explains the network of the artifact in `folder`; None if there is none, or without its ONNX file."""
    file = folder / NETWORK_FILE
    return ActivationMaps(file.read_bytes, folder, cores=machine.usable_cores()) if file.exists() else None
