"""Find the images that labels.csv names, also one of an earlier version, which did not tell a line break from "\\n"."""

from collections import defaultdict
from collections.abc import Mapping

from classifier.errors import UserError
from classifier.json_text import shown
from classifier.training.data.folders import Dataset, Phase
from classifier.training.data.names import printable
from classifier.words import plural


class Listed:
    """The images of a data set, by phase and name."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset
        self.now: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.earlier: dict[tuple[str, str], list[int]] = defaultdict(list)
        for phase in dataset.phases:
            for at, file in enumerate(phase.files):
                self.now[phase.name, phase.shown(at)].append(at)
                self.earlier[phase.name, printable(file)].append(at)

    def find(self, row: Mapping[str, str], where: str) -> tuple[Phase, int]:
        """Return phase and position of a row's image: validation may be set aside from train, and by another seed.

        Raises UserError if there is none, or if it may be several, since an earlier version gave them one name.
        """
        aside = self.dataset.split_from_train and row["phase"] != "test"
        phases = ("train", "validation") if aside else (row["phase"],)
        keys = [(phase, row["file"]) for phase in phases]
        found = {(key[0], at) for key in keys for known in (self.now, self.earlier) for at in known.get(key, ())}
        if len(found) > 1:
            raise UserError(
                f"{where}: {shown(row['file'])} may be any of {plural(len(found), 'image')}; "
                "accepted: no mark, the file moved by hand"
            )
        for phase, at in found:
            return self.dataset.phase(phase), at
        raise UserError(
            f"{where}: {shown(row['file'])} is not among the {row['phase']} images; "
            "accepted: the job's own folder, and images in it that leave_out.txt does not name"
        )
