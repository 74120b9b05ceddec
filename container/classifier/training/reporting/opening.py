"""The report's first sentences: how good the network is, what it gets wrong most, and what to do next."""

from collections.abc import Iterable

from classifier.training import shares
from classifier.training.debugging.rules.verdicts import Verdict
from classifier.training.evaluate import Evaluation
from classifier.words import plural

RANDOM_START = "a random start"
# Below this accuracy ImageNet's weights are likely to gain more than anything else.
FAR_FROM_GOOD = 0.9


def opening(
    evaluation: Evaluation, origin: str, rules: Iterable[Verdict], confused: list[tuple[str, str, int, float]]
) -> list[str]:
    """Return the sentences; `confused` has the most confused classes first, as of most_confused()."""
    guessing = 1 / len(evaluation.confusion)
    share = shares.words(evaluation.accuracy, len(evaluation.labels))
    first = f"The network is right on {share} of {evaluation.phase}; guessing would be right on {guessing:.1%}."
    wrong = "No image was misclassified."
    if confused:
        label, predicted, count, part = confused[0]
        wrong = f"Most often wrong: {label} is taken for {predicted}, {count} of {plural(round(count / part), 'time')}."
    return [first, wrong, f"Next: {advice(evaluation, origin, rules)}"]


def advice(evaluation: Evaluation, origin: str, rules: Iterable[Verdict]) -> str:
    """Return the one thing to do next."""
    causes = [verdict for verdict in rules if verdict["status"] == "found" and not verdict["cause"]]
    if causes:
        return f"{causes[0]['rule']} was found, see below. {causes[0]['advice']}"
    if origin == RANDOM_START and evaluation.accuracy < FAR_FROM_GOOD:
        return (
            "start from ImageNet's weights: make weights fetches them (45 MB). Without them expect far less accuracy "
            "on photos."
        )
    if evaluation.mistakes:
        return "look for wrong labels among the worst mistakes, then add images of the weakest classes."
    return "deploy it."
