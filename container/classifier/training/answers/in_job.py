"""The sample of a job's images with its answers, taken once training has ended."""

import io
import logging
import math
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from classifier import artifact, images, network
from classifier.artifact import Artifact
from classifier.artifact_fields import WEIGHTS_FILE
from classifier.training.answers.sample import CLASSES, FILE, MOST_BYTES, MOST_IMAGES, Sample, Sampled, write
from classifier.training.data.files import read_image_file
from classifier.training.data.folders import Dataset, Phase
from classifier.training.interrupt import Interrupt, Interrupted

logger = logging.getLogger(__name__)
# A larger image is scaled down, so that MOST_IMAGES of them fit.
LARGE = MOST_BYTES // MOST_IMAGES
QUALITY = 90
# 20 images of 224 px at a time.
BATCH_PIXELS = 1_000_000


def add_answers(
    folder: Path, model: Path, dataset: Dataset, wanted: int, device: torch.device, interrupt: Interrupt
) -> None:
    """Write up to `wanted` images of test, or validation, to `folder`, with the answers of the artifact `model`.

    They are those of torch's network in fp32 to the bytes that are written. After a signal there is no sample.
    Raises OSError.
    """
    phase, chosen, left = dataset.test or dataset.validation, [], MOST_BYTES
    about = artifact.read(model)
    try:
        for name, data in interrupt.watch(islice(choose(phase, about.image_size), wanted)):
            left -= len(data)
            if interrupt.signal or left < 0:
                break
            chosen.append((name, data))
    except Interrupted:
        return
    if chosen and not interrupt.signal:
        answers = answer([data for _, data in chosen], model, about, device)
        sampled = [Sampled(name, data, best) for (name, data), best in zip(chosen, answers, strict=True)]
        write(folder / FILE, Sample(about.sha256[WEIGHTS_FILE], phase.name, sampled, about.classes, about.answers_key))
        logger.info("%s has %d %s images with their answers, for deploy.py to compare", FILE, len(sampled), phase.name)


@torch.inference_mode()
def answer(encoded: list[bytes], folder: Path, about: Artifact, device: torch.device) -> Iterator[dict[str, float]]:
    """Yield for each image the probabilities of its most probable classes, the best first."""
    model = network.load(about, artifact.read_weights(folder, about)).to(device)
    normalize = network.Normalize(about.mean, about.std).to(device)
    batch = max(1, BATCH_PIXELS // about.image_size**2)
    for start in range(0, len(encoded), batch):
        pixels = [images.evaluation_pixels(data, about.image_size) for data in encoded[start : start + batch]]
        logits = model(normalize(torch.from_numpy(np.stack(pixels)).to(device)))
        best = (logits / about.temperature).softmax(1).cpu().sort(descending=True, stable=True)
        for indices, values in zip(best.indices[:, :CLASSES].tolist(), best.values.tolist(), strict=True):
            rows = zip(indices, values, strict=False)
            yield {about.classes[index]: round(probability, 6) for index, probability in rows}


def choose(phase: Phase, size: int) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of the readable images of a phase in random order.

    One of many bytes is a smaller JPEG, of which a network of `size` px sees as much.
    """
    side = math.ceil(size / images.CROP_FRACTION)
    for position in random.Random(0).sample(range(len(phase)), len(phase)):
        try:
            data = read_image_file(phase.folder / phase.files[position])
            pixels = images.whole_pixels(data, side)  # also to see that it is readable
        except (OSError, images.ImageError):
            continue
        yield phase.shown(position), data if len(data) <= LARGE else as_jpeg(Image.fromarray(pixels))


def as_jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
