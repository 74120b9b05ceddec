"""The predictor for a processor: the artifact's ONNX file, run by OpenVINO."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from classifier import artifact, engine, machine
from classifier.artifact import Artifact
from classifier.artifact_fields import INT8_FILE, NETWORK_FILE
from classifier.engine import Engine
from classifier.errors import UserError
from classifier.serving.batcher import Forward

log = logging.getLogger(__name__)
# Larger batches gain less than 2 %, and every request in them waits longer.
BATCH = 4
CHANGED = "model.json has other values than those with which training measured what int8 loses"


class OpenVinoPredictor:
    """An artifact's network on a number of cores."""

    device = "cpu"
    batch_size = BATCH

    def __init__(
        self, folder: Path, about: Artifact, precision: str = "auto", cores: int | None = None, small: bool = False
    ):
        """Load the network for `cores`, by default all; with `small` for one thread alone, which saves memory.

        Raises UserError if it is damaged, or if the processor does not support `precision`.
        """
        self.artifact = about
        self.precision = choose_precision(precision, about)
        if precision == "auto" and about.quantization and not about.is_as_measured:
            log.warning("not in int8, but in %s: %s", self.precision, CHANGED)
        network = engine.read(read_network(folder, about, self.precision == "int8"))
        cores = cores or machine.usable_cores()
        # Under load the threads with a single core compute more: cores that share an image wait for each other at every
        # layer.
        self.lanes = (cores,) if small or cores == 1 else (cores, *[1] * cores)
        ways: dict[int, dict] = {cores: {"batch": 1}, 1: {"streams": cores}} if len(self.lanes) > 1 else {cores: {}}
        with ThreadPoolExecutor() as pool:  # each compilation runs on one core
            compiling = {one: pool.submit(Engine, network, self.precision, cores, **way) for one, way in ways.items()}
        self._engines = {one: engine.result() for one, engine in compiling.items()}

    def in_lane(self, cores: int) -> Forward:
        run = self._engines[cores].open()

        def forward(pixels: np.ndarray) -> np.ndarray:
            return engine.rows(run(pixels))

        return forward


def choose_precision(wanted: str, about: Artifact) -> str:
    """Return the precision to serve in, which "auto" leaves to the processor and to what int8 loses.

    Raises UserError if the one that is wanted cannot be had.
    """
    supported, quantization = engine.list_precisions(), about.quantization
    if wanted == "auto":
        loses_little = quantization is not None and quantization.loses_little and about.is_as_measured
        return "int8" if loses_little and "int8" in supported else engine.native_precision()
    if wanted not in supported:
        accepted = ", ".join(("auto", *supported))
        raise UserError(f"precision {wanted!r} is not supported by this processor; accepted: {accepted}")
    if wanted == "int8" and not (quantization and about.is_as_measured):
        accepted = ", ".join(one for one in ("auto", *supported) if one != "int8")
        changed = f", and this {CHANGED}" if quantization else ""
        raise UserError(
            f"precision 'int8' needs an artifact for which training has measured it{changed}; accepted: {accepted}"
        )
    return wanted


def read_network(folder: Path, about: Artifact, int8: bool) -> bytes:
    """Return the ONNX file of the artifact in `folder`; made from the weights if it has none that fits its metadata.

    Raises UserError if a file is damaged.
    """
    name = INT8_FILE if int8 else NETWORK_FILE
    if name in about.sha256 and about.has_its_networks:
        return artifact.read_file(folder, about, name)
    from classifier import onnx_network  # it takes a while to import, and few artifacts need it

    why = "%s was made with other values than model.json has" if name in about.sha256 else "model.json lists no %s"
    log.info(f"{why}: the network is made from the weights", name)
    ranges = about.quantization.ranges if int8 and about.quantization else None
    weights, measure = artifact.read_weights(folder, about), artifact.read_measure(folder, about)
    return onnx_network.build(about, weights, ranges, measure)
