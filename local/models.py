"""Train a model and classify pictures with it, from Python."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from classifier import artifact, images
from local import given, pictures, places, programs, proving
from local.search import as_texts

PREFIX = "resnet18"
# OpenVINO's first call must be over before a second thread makes one: see Engine.
_LOADING = threading.Lock()


class Model:
    """A trained model, loaded on this machine's GPU or its processor. Any thread may call it."""

    def __init__(self, folder: str | Path):
        """Open an artifact: a folder with model.json, such as `model` of a job's folder.

        Raises UserError if there is none, if it is damaged, or if the serving packages are not installed.
        """
        given_folder = given.path(folder, "the path of a folder with model.json")
        places.need("openvino", pictures.INSTALL)
        from classifier.serving.model import open_maps
        from classifier.serving.predictor import load_predictor

        self.folder = artifact.locate(given_folder)
        self.about = artifact.read(self.folder)
        self.classes, self.metrics = self.about.classes, self.about.metrics
        with _LOADING:
            predictor = load_predictor(self.folder, self.about)
        self._forward = predictor.in_lane(predictor.lanes[0])
        # A forward function has one set of buffers. It uses all cores, so a second one would not be faster.
        self._forward_lock = threading.Lock()
        self._maps = open_maps(self.folder, self.about, "fp32", predictor.lanes[0])

    @property
    def report(self) -> Path | None:
        """The page of the job whose own model this is; None for a copy elsewhere, or if the job wrote none."""
        folder = self.folder.resolve()
        page = folder.parent / "output/data/report.html"
        is_of_job = folder.name == "model" and proving.may_be_of(folder.parent, self.about)
        return page if is_of_job and page.is_file() else None

    def predict(self, picture: str | Path | bytes, k: int = 5) -> list[dict[str, object]]:
        """Return the `k` most probable classes of a file, or of the bytes of one, with index and probability.

        They are those that the server answers. Raises ImageError if it is not a readable picture, OSError if the file
        cannot be read, and UserError for a `picture` or `k` of another kind.
        """
        return self._result(picture, k)["predictions"]

    def knows(self, picture: str | Path | bytes) -> bool | None:
        """Return whether a picture is like those that the model was validated on; errors as predict().

        Of one that is not, the classes mean nothing. None is of a model that does not say.
        """
        return self._result(picture, 1).get("known")

    def explain(self, picture: str | Path | bytes, k: int = 1) -> list[dict[str, Any]]:
        """Return predict()'s answer, each class with a "map": how much each place speaks for it.

        A map is float32 (rows, columns) over the square in the middle of the picture that the network sees.
        """
        found: list[dict[str, Any]] = self.predict(picture, k)
        maps = self._maps.maps(self._pixels(picture), [one["index"] for one in found])
        return [one | {"map": values} for one, values in zip(found, maps, strict=True)]

    def _result(self, picture: str | Path | bytes, k: int) -> dict[str, Any]:
        from classifier.serving.answers import result_of

        count, pixels = given.count(k), self._pixels(picture)  # decoded in the caller's thread, beside the others'
        with self._forward_lock:
            (row,) = self._forward(pixels[None])
        return result_of(row, self.classes, count)

    def _pixels(self, picture: str | Path | bytes) -> np.ndarray:
        return images.evaluation_pixels(given.file_bytes(picture), self.about.image_size)


def train(data: str | Path | None = None, **hyperparameters: object) -> Model:
    """Train on a folder of pictures, one folder per class, and return the model; by default on handwritten digits.

    The log is printed. `hyperparameters` are those of container/train. Raises UserError for data or hyperparameters
    that it rejects, and with the cause if training fails.
    """
    folder = "" if data is None else str(given.path(data, "the path of a folder of pictures, or no data at all"))
    name = begin_job(PREFIX, folder, hyperparameters)
    run_job(name)
    return Model(places.RUNS / name / "model")


def begin_job(prefix: str, data: str, hyperparameters: Mapping[str, object], image: str = "") -> str:
    """Check the pictures, make the folder of a new job in runs/, and return its name; errors as train().

    It is the latest from now on, so that it can be continued however it ends.
    """
    folder, defaults = pictures.data_and_defaults(data, image)
    texts = as_texts(defaults | dict(hyperparameters))
    pictures.check_weights(texts, image)
    pictures.check_here(folder)
    images = pictures.identity(folder)
    name = places.new_run(prefix)
    programs.prepare_job(places.RUNS / name, folder, texts, images)
    places.note(local_job=name)
    return name


def begun_job(name: str) -> str:
    """Return the name of a job that began before. Raises UserError if its images are no longer those it began with.

    No checkpoint is of others: it would train anew, and replace the model and report in its folder.
    """
    folder, images = programs.images_of(places.run_folder(name))
    pictures.check_identity(folder, images, name, "the same images, or a new job, without --resume")
    return name


def run_job(name: str, image: str = "") -> None:
    """Train in the job's folder, from its checkpoints if it has some. Raises UserError with the cause if that fails."""
    with programs.training(places.RUNS / name, image):
        pass  # its log goes where ours goes
