"""What the report is given: the whole of a job."""

from dataclasses import dataclass

from classifier.activation_maps import ActivationMaps
from classifier.training.checking.in_job import DataCheck
from classifier.training.data.folders import Dataset
from classifier.training.data.skipped import SkippedImages
from classifier.training.debugging.debugger import Debugging
from classifier.training.evaluate import Evaluation
from classifier.training.history import History
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.labels.in_job import LabelCheck
from classifier.training.profiling.profiler import Profile


@dataclass(frozen=True)
class Observed:
    """The results of debugging and profiling."""

    debugging: Debugging
    profile: Profile
    findings: list[str]


@dataclass(frozen=True)
class Summary:
    """The job that the report describes.

    `evaluation` is that of the test phase, or else that of the best epoch's validation; `ending` says why the job ended
    early, if it did. Without `photos` the images' files are not read. `data` and `labels` are what their checks found,
    `job` is the job's name, and `maps` explain the network's mistakes.
    """

    hp: Hyperparameters
    dataset: Dataset
    history: History
    evaluation: Evaluation | None
    skipped: SkippedImages
    origin: str
    device: str
    ending: str | None
    observed: Observed
    data: DataCheck | None = None
    labels: LabelCheck | None = None
    photos: bool = True
    job: str = ""
    maps: ActivationMaps | None = None

    @property
    def shows_photos(self) -> bool:
        return self.hp.report_images and self.photos
