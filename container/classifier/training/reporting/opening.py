"""The report's first sentences: how good the network is, what it gets wrong most, and what to do next."""

from collections.abc import Iterable

from classifier.training import shares
from classifier.training.debugging.rules.verdicts import Verdict
from classifier.training.evaluate import Evaluation
from classifier.words import percent, plural

RANDOM_START = "a random start"
# Below this accuracy ImageNet's weights are likely to gain more than anything else.
FAR_FROM_GOOD = 0.9


def opening(
    evaluation: Evaluation, origin: str, rules: Iterable[Verdict], confused: list[tuple[str, str, int, float]]
) -> list[str]:
    """Return the sentences; `confused` has the most confused classes first, as of most_confused()."""
    guessing = 1 / len(evaluation.confusion)
    share = shares.words(evaluation.accuracy, len(evaluation.labels))
    first = f"The network is right on {share} of {evaluation.phase}; guessing would be right on {percent(guessing, 1)}."
    wrong = "No image was misclassified."
    if confused:
        label, predicted, count, part = confused[0]
        wrong = f"Most often wrong: {label} is taken for {predicted}, {count} of {plural(round(count / part), 'time')}."
    first_step, *others = next_steps(evaluation, origin, rules)
    return [first, wrong, f"Next: {first_step}", *(f"Also: {step}" for step in others)]


def next_steps(evaluation: Evaluation, origin: str, rules: Iterable[Verdict]) -> list[str]:
    """Return what to do next, the most urgent first."""
    causes = [verdict for verdict in rules if verdict["status"] == "found" and not verdict["cause"]]
    steps = [f"{cause['rule']} was found, see below. {cause['advice']}" for cause in causes[:1]]
    if origin == RANDOM_START and evaluation.accuracy < FAR_FROM_GOOD:
        steps.append(
            "start from ImageNet's weights: make weights fetches them (45 MB). Without them expect far less accuracy "
            "on photos."
        )
    if steps:
        return steps
    if evaluation.mistakes:
        return ["look for wrong labels among the worst mistakes, then add images of the weakest classes."]
    return ["deploy it."]
