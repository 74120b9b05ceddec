"""Check a folder of images on this computer: what is shown on the terminal, as JSON and as a page, and the list."""

from pathlib import Path
from typing import Any

from classifier.training.checking.counts import count_classes
from classifier.training.checking.finding import LEAK, Finding, list_left_out
from classifier.training.checking.findings import find_faults
from classifier.training.checking.survey import Survey, survey
from classifier.training.data.folders import read_dataset
from classifier.training.data.leave_out import NAME, write_list
from classifier.training.reporting import pages
from classifier.training.reporting.data_part import data_part
from classifier.training.reporting.pictures import Album
from classifier.words import plural
from local import tables

PROGRESS: dict[str, Any] = {"unit": "image", "leave": False, "disable": None}
# Rows of classes on the terminal; the page has all.
MOST_CLASSES = 20


class Check:
    """A folder's survey and the faults that were found, the worst first."""

    def __init__(self, folder: Path):
        """Look at all images of `folder`, with a progress bar. Raises UserError if training would refuse its layout."""
        from tqdm import tqdm

        self.folder = folder
        dataset = read_dataset({"train": folder}, seed=0)
        self.notes = dataset.notes
        self.survey: Survey = survey(dataset, progress=lambda items, **about: tqdm(items, **about, **PROGRESS))
        self.findings: list[Finding] = find_faults(self.survey)

    @property
    def leaks(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.kind == LEAK]

    @property
    def left_out(self) -> dict[int, str]:
        """The positions of the images that are better left out, and of each the kind of its fault."""
        return list_left_out(self.survey, self.findings)

    def show(self) -> None:
        """Print the faults as a table, and what was checked."""
        dataset = self.survey.dataset
        print(*self.notes, sep="\n", end="\n" if self.notes else "")
        if self.findings:
            rows = [(finding.what, finding.advice, self.example(finding)) for finding in self.findings]
            tables.terminal().print(tables.table(("found, the worst first", "what to do", "such as"), rows))
        splits = ", ".join(f"{len(phase):,} {phase.name}" for phase in dataset.phases)
        faults = "" if self.findings else ": no fault was found"
        print(f"{plural(len(self.survey), 'image')} in {plural(len(dataset.classes), 'class')} ({splits}){faults}")

    def example(self, finding: Finding) -> str:
        return " = ".join(map(self.survey.shown, finding.groups[0][:2])) if finding.groups else ""

    def show_classes(self) -> None:
        """Print a table of the classes, those with the fewest training images first."""
        rows, splits = count_classes(self.survey), [phase.name for phase in self.survey.dataset.phases]
        rows.sort(key=lambda row: row.images["train"])
        head = ("class", *splits, "unreadable", "median px", "least px")
        cells = [
            (row.name, *(row.images[split] for split in splits), row.unreadable, row.median_side, row.least_side)
            for row in rows[:MOST_CLASSES]
        ]
        tables.terminal().print(tables.table(head, cells, numbers=head[1:]))
        if len(rows) > MOST_CLASSES:
            print(f"and {plural(len(rows) - MOST_CLASSES, 'class')} with more training images")

    def as_json(self) -> dict[str, object]:
        """Return everything that was found, with the paths of all images."""
        paths = self.survey.paths
        return {
            "folder": str(self.folder),
            "images": len(self.survey),
            "notes": list(self.notes),
            "classes": [row._asdict() for row in count_classes(self.survey)],
            "unreadable": {str(paths[one]): why for one, why in sorted(self.survey.unreadable.items())},
            "findings": [
                {
                    "kind": finding.kind,
                    "images": finding.images,
                    "what": finding.what,
                    "advice": finding.advice,
                    "groups": [[str(paths[one]) for one in group] for group in finding.groups],
                }
                for finding in self.findings
            ],
            "leave_out": {str(paths[one]): kind for one, kind in self.left_out.items()},
        }

    def write_page(self, path: Path) -> None:
        """Write the page with the pictures side by side."""
        values = {"folder": self.folder, "notes": self.notes, "data": data_part(self.survey, self.findings, Album())}
        page = pages.fill_in("check.html", values, Path(__file__).parent)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")

    def write_list(self) -> Path | None:
        """Write the list of images to leave out, unless there is one or nothing to list; return its path if written."""
        if (self.folder / NAME).exists():
            return None
        paths, left_out = self.survey.paths, self.left_out
        doubtful = {
            one: finding.kind
            for finding in self.findings
            for group in finding.groups
            for one in group
            if one not in left_out and one in finding.leave_out | doubted(finding)
        }
        if not left_out and not doubtful:
            return None
        named = ({paths[one]: kind for one, kind in kinds.items()} for kinds in (left_out, doubtful))
        return write_list(self.folder, *named)


def doubted(finding: Finding) -> frozenset[int]:
    """Return the images of a finding that leaves none out: a person decides about them."""
    return frozenset() if finding.leave_out else frozenset(one for group in finding.groups for one in group)
