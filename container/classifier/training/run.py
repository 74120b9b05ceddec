"""A training job, from the contract's input folders to its output folders."""

import logging

import torch

from classifier import artifact, device
from classifier.contract import Contract
from classifier.errors import UserError
from classifier.training import hyperparameters, model, output, report
from classifier.training.data import SkippedImages, make_loader
from classifier.training.evaluate import Compute, Evaluation
from classifier.training.fit import Trainer
from classifier.training.folders import VALIDATION_FRACTION, Dataset, read_dataset
from classifier.training.interrupt import Interrupt, Interrupted

logger = logging.getLogger(__name__)


def run(contract: Contract, interrupt: Interrupt) -> None:
    """Train, validate, test, and write artifact, outputs and report. Raises UserError for what the user can mend."""
    hp = hyperparameters.parse(contract.hyperparameters())
    require_one_host(contract)
    channels = contract.channels()
    dataset = read_dataset(channels, hp.seed)
    log_dataset(dataset)
    torch.manual_seed(hp.seed)
    where = device.choose_device()
    compute = Compute(where, device.compute_dtype(hp.precision, where))
    logger.info("device: %s; matrix products in %s", device.describe(where), compute.dtype)
    start = model.starting_point(hp, channels)
    skipped = SkippedImages()
    trainer = Trainer(contract, hp, dataset, model.make_model(dataset.classes, hp, start), compute, skipped, interrupt)
    evaluation, ending = train_and_test(trainer)
    output.write(contract.output_data, dataset, evaluation, skipped)
    origin = start.origin if start else "a random start"
    summary = report.Summary(hp, dataset, trainer.history, evaluation, skipped, origin, device.describe(where), ending)
    report.write(contract.output_data / "report.html", summary)
    logger.info("artifact in %s; outputs and report.html in %s", contract.model, contract.output_data)


def train_and_test(trainer: Trainer) -> tuple[Evaluation | None, str | None]:
    """The evaluation to report, of the test phase or else the best validation, and why training ended early, if so."""
    try:
        trainer.fit()
        return test(trainer) or trainer.history.best, None
    except Interrupted as interrupted:
        return trainer.history.best, keep_what_there_is(trainer, interrupted)
    except torch.OutOfMemoryError as error:
        hp = trainer.hp
        raise UserError(
            f"the GPU's memory is too small for batch_size={hp.batch_size} at image_size={hp.image_size}; "
            f"lower one of them ({error})"
        ) from error


def test(trainer: Trainer) -> Evaluation | None:
    """Evaluate the test phase, if there is one, with the best epoch's weights as the artifact holds them."""
    trainer.model.load_state_dict(artifact.load_weights(trainer.contract.model))
    if trainer.dataset.test is None:
        return None
    evaluation = trainer.evaluate(make_loader(trainer.dataset.test, trainer.hp, trainer.compute.device))
    best = trainer.history.best_epoch
    trainer.metrics_log.write(f"test, weights of epoch {best}", evaluation.metrics, best_epoch=best)
    trainer.save_artifact(trainer.history.epochs[best - 1] | evaluation.metrics)
    return evaluation


def keep_what_there_is(trainer: Trainer, interrupted: Interrupted) -> str:
    """After a signal the best epoch's weights stay the artifact, or else those of the last step become it."""
    history = trainer.history
    if history.best_epoch:
        kept = f"the artifact has the weights of epoch {history.best_epoch}"
    elif history.steps:
        trainer.save_artifact({})
        kept = f"no epoch was whole, so the artifact has the weights of step {history.steps}, not validated"
    else:
        kept = "no step was done, so there is no artifact"
    ending = f"stopped by {interrupted} after {len(history.epochs)} whole epochs: {kept}"
    logger.warning("%s", ending)
    return ending


def require_one_host(contract: Contract) -> None:
    hosts = contract.resources().hosts
    if len(hosts) > 1:
        raise UserError(f"the job has {len(hosts)} hosts ({', '.join(hosts)}); accepted: an instance count of 1")


def log_dataset(dataset: Dataset) -> None:
    for phase in dataset.phases:
        passed = ", ".join(f"{count} {kind}" for kind, count in sorted(phase.passed_over.items()))
        logger.info(
            "%s: %d images in %s%s", phase.name, len(phase), phase.folder, passed and f"; passed over: {passed}"
        )
    if dataset.split_from_train:
        logger.info("no validation channel: %.0f %% of each class of train set aside", 100 * VALIDATION_FRACTION)
    logger.info("%d classes: %s", len(dataset.classes), ", ".join(dataset.classes))
