"""Whether a server or an endpoint gives training's own answers to a sample of the job's images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifier.artifact import Artifact
from classifier.artifact_fields import WEIGHTS_FILE
from classifier.errors import UserError
from classifier.training.answers import sample
from classifier.training.answers.sample import Sample, Sampled
from classifier.training.data.names import quoted
from classifier.words import is_are, plural
from local import places

# The server names the model that answered.
ATTRIBUTES = "model_sha256=true"
FILE = f"output/data/{sample.FILE}"
# By which a probability may be another than training's where that is sure of its best class, and which share of that
# class's probability elsewhere: benchmarks/diary.md has what int8 and bf16 make of it.
MOST_DIFFERENCE = 0.1
MOST_SHARE = 0.2
# Answers of a hundred that may differ: int8 computes some images otherwise.
MOST_PERCENT = 5


@dataclass(frozen=True)
class Compared:
    """How answers to a sample compare with training's: `differing` of `images`, and by how much at most and on average.

    `worst` is the image whose answer differs most; of one that was answered by an error it has that. None may be: an
    error is not a probability that the engine rounds.
    """

    images: int
    differing: int
    most: float
    mean: float
    worst: str
    strangers: int  # answers of another model, or another version of it
    foreign: str  # what is another one's in the first of them
    errors: int

    @property
    def is_fine(self) -> bool:
        return not self.strangers and not self.errors and self.differing <= most_differing(self.images)

    def __str__(self) -> str:
        if self.strangers:
            those = f"{self.strangers} of {plural(self.images, 'answer')} {is_are(self.strangers)} another model's"
            return f"{those}: {self.foreign}"
        if self.errors:
            those = f"{self.errors} of {plural(self.images, 'answer')}"
            return f"{those} {'is an error' if self.errors == 1 else 'are errors'} ({self.worst})"
        by = f"probabilities differ by {self.mean:.3f} on average and {self.most:.3f} at most ({self.worst})"
        return f"{self.differing} of {plural(self.images, 'answer')} differ from training's, and {by}"


def most_differing(images: int) -> int:
    """Return how many of so many answers may differ from training's."""
    return MOST_PERCENT * images // 100


def sample_of(job: str) -> Sample | None:
    """Return the sample in the folder that a job has in runs/; None if there is none. Raises UserError if damaged."""
    return sample.read(places.run_folder(job) / FILE)


def may_be_of(root: Path, about: Artifact) -> bool:
    """Return whether the job in `root` may have made this model: its sample, if it has one, names the weights."""
    try:
        taken = sample.read(root / FILE)
    except UserError:  # damaged, so that it names none
        taken = None
    return taken is None or taken.model_sha256 == about.sha256.get(WEIGHTS_FILE, taken.model_sha256)


def not_compared(job: str) -> str:
    """Return what is to be said of the deployment of a job without a sample."""
    return f"NOT COMPARED with training's answers: {job} has no sample of them, or answers_sample was 0"


def asked(taken: Sample) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each image, as they are sent."""
    yield from ((one.file, one.data) for one in taken.images)


def compare(taken: Sample, results: Sequence[dict[str, Any]]) -> Compared:
    """Compare the results, in the order of the sample's images, with training's answers.

    An answer differs if a probability is off by more than most_difference(); a class that changes with less was a tie.
    """
    pairs = list(zip(taken.images, results, strict=True))
    gaps = [gap(*pair) for pair in pairs]
    worst = max(range(len(gaps)), key=gaps.__getitem__)
    error = results[worst].get("error")
    foreign = [words for words in (foreign_in(taken, result) for result in results) if words]
    return Compared(
        images=len(gaps),
        differing=sum(gap > most_difference(one) for (one, _), gap in zip(pairs, gaps, strict=True)),
        most=max(gaps),
        mean=sum(gaps) / len(gaps),
        worst=f"{taken.images[worst].file}: {error}" if error else taken.images[worst].file,
        errors=sum("predictions" not in result for result in results),
        strangers=len(foreign),
        foreign=foreign[0] if foreign else "",
    )


def foreign_in(taken: Sample, result: dict[str, Any]) -> str:
    """Return what in an answer is not of the sample's model, in words; "" if nothing is.

    Probabilities do not tell: of many classes they are small, and of two that changed places they may be equal.
    """
    if result.get("model_sha256", taken.model_sha256) != taken.model_sha256:
        return "its weights are not the job's"
    trained = dict(enumerate(taken.classes))
    for item in result.get("predictions", ()):
        index, served = item.get("index"), item["class"]
        if isinstance(index, int) and trained.get(index, served) != served:
            return f"class {index} is {quoted(served)} there, and {quoted(trained[index])} in training"
    if taken.answers_key and result.get("answers_key", taken.answers_key) != taken.answers_key:
        return "its model.json has not the job's classes, temperature, image size or other values that decide answers"
    return ""


def most_difference(one: Sampled) -> float:
    """Return by how much a probability may be another than training's: less where many classes share them."""
    return min(MOST_DIFFERENCE, MOST_SHARE * max(one.probabilities.values()))


def gap(one: Sampled, result: dict[str, Any]) -> float:
    """Return by how much a probability of the answer differs from training's at most; 1 for an error.

    A class that only one of them has counts as 0 in the other.
    """
    if "predictions" not in result:
        return 1.0
    answered = {item["class"]: item["probability"] for item in result["predictions"]}
    best = next(iter(one.probabilities))
    return max(abs(answered.get(name, 0) - one.probabilities.get(name, 0)) for name in (*answered, best))


def prove(taken: Sample, results: Sequence[dict[str, Any]], what: str) -> None:
    """Print how the results compare with training's answers. Raises UserError if they are not the same model's."""
    found = compare(taken, results)
    if not found.is_fine:
        most = plural(most_differing(found.images), "differing answer")
        raise UserError(
            f"{what} does not answer as training did: {found}; accepted: {most}, no error, all of the job's model"
        )
    print(f"{what} answers as training did: {found}")
