"""Whether an endpoint answers as training did: a sample of the job's images is sent to it, also while it is updated."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from classifier.images import SUFFIXES
from classifier.training.answers.sample import Sample
from launch import hosting
from launch.aws import Aws
from launch.following import fetch_output
from local import proving, results

# Pictures that are sent each time that an update is looked at.
AT_A_TIME = 10
Picture = tuple[str, bytes]


def fetch_sample(aws: Aws, job: str) -> Sample | None:
    """Return the sample of a training job, from runs/ or else from S3; None if it has none. Raises UserError."""
    taken = proving.sample_of(job)
    if taken is None and fetch_output(aws, aws.call("Describe", "TrainingJob", job)):
        taken = proving.sample_of(job)
    return taken


def training_picture(aws: Aws, trained: dict) -> tuple[str, bytes] | None:
    """Return name and bytes of an image that the job was trained on, and any endpoint takes; None if there is none."""
    objects = aws.objects_below(trained["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"])
    found = (item for item in objects if item.key.lower().endswith(SUFFIXES))
    item = next((item for item in found if item.size <= hosting.SERVERLESS_BYTES), None)
    return item and (item.key, item.get()["Body"].read())


def show_answers(
    ask: Callable[..., Iterable[dict]], endpoint: str, sent: Picture | None, taken: Sample | None, job: str
) -> None:
    """Print an endpoint's answer to a picture, and how it answers to the sample of a job; None is not sent.

    Raises UserError if it does not answer as training did.
    """
    if sent:
        results.show(list(ask([sent])))
    if taken:
        answers = list(ask(proving.asked(taken), attributes=proving.ATTRIBUTES))
        proving.prove(taken, answers, f"{endpoint}, which is in service,")
    else:
        print(proving.not_compared(job))


class Meanwhile:
    """Sends pictures while an endpoint is updated; `ask` returns the answers to some.

    Meanwhile the model before answers too, so that only answers that name the sample's model are compared with it.
    """

    def __init__(
        self, ask: Callable[[Sequence[Picture]], Iterable[dict]], taken: Sample | None, picture: Picture | None
    ):
        self.ask, self.taken = ask, taken
        self.pictures = list(proving.asked(taken)) if taken else [picture] if picture else []
        self.next = 0
        self.answers: dict[int, dict] = {}  # of the sample's model, by their pictures' positions

    def fault(self) -> str:
        """Send the next pictures, and return what is wrong with the answers; "" if nothing is."""
        count = len(self.pictures)
        positions = [(self.next + number) % count for number in range(min(AT_A_TIME, count))]
        self.next += len(positions)
        results = list(self.ask([self.pictures[position] for position in positions]))
        for position, result in zip(positions, results, strict=True):
            if "error" in result:
                return result["error"]
            if self.taken and "model_sha256" in result and not proving.foreign_in(self.taken, result):
                self.answers[position] = result
        if not self.taken or not self.answers:
            return ""
        answered = replace(self.taken, images=[self.taken.images[position] for position in self.answers])
        found = proving.compare(answered, list(self.answers.values()))
        return "" if found.differing <= proving.most_differing(count) else str(found)
