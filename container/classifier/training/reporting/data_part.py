"""The report's part "Your data", which is also the page of launch/check.py: the faults, with pictures side by side."""

from collections.abc import Iterable

from classifier.training.checking.counts import count_classes
from classifier.training.checking.finding import Finding
from classifier.training.checking.survey import Survey
from classifier.training.reporting.pictures import Album

MOST_GROUPS, MOST_OF_GROUP = 8, 4


def data_part(survey: Survey, findings: Iterable[Finding], album: Album) -> dict[str, object]:
    """Return the values for report_data.html, with as many photos as there is room for in `album`."""
    return {
        "n": len(survey),
        "looked_at": survey.looked_at,
        "findings": [_shown(survey, finding, album) for finding in findings],
        "splits": [phase.name for phase in survey.dataset.phases],
        "classes": count_classes(survey),
    }


def _shown(survey: Survey, finding: Finding, album: Album) -> dict[str, object]:
    groups = [
        [
            {
                "name": survey.shown(one),
                "left_out": one in finding.leave_out,
                "why": survey.unreadable.get(one, ""),
                "source": None if one in survey.unreadable else album.put_whole(survey.paths[one]),
            }
            for one in group[:MOST_OF_GROUP]
        ]
        for group in finding.groups[:MOST_GROUPS]
    ]
    more = len(finding.groups) - len(groups)
    return {"kind": finding.kind, "what": finding.what, "advice": finding.advice, "groups": groups, "more": more}
