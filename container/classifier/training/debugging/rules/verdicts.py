"""The verdicts of the rules, and which findings are consequences of others."""

from typing import Literal, TypedDict

from classifier.training.debugging.names import RuleName

# Each cause with what it often leads to. The first cause found is named.
CONSEQUENCES = {
    RuleName.LEARNING_RATE_TOO_HIGH: (
        RuleName.EXPLODING_TENSOR,
        RuleName.DEAD_RELU,
        RuleName.VANISHING_GRADIENT,
        RuleName.LOSS_NOT_DECREASING,
        RuleName.OVERFIT,
        RuleName.OVERTRAINING,
    ),
    RuleName.POOR_WEIGHT_INITIALIZATION: (
        RuleName.VANISHING_GRADIENT,
        RuleName.DEAD_RELU,
        RuleName.LOSS_NOT_DECREASING,
    ),
    RuleName.DEAD_RELU: (RuleName.VANISHING_GRADIENT,),
}


# A fault that is "gone" was found, and later was there no more.
Status = Literal["found", "gone", "not found", "too early to say", "not evaluated"]


class Verdict(TypedDict):
    """A rule's verdict; evidence, advice and the training step are those of a rule that found something."""

    rule: str
    status: Status
    step: int | None
    gone_at: int | None  # the training step at which the fault was there no more
    evidence: str
    advice: str
    cause: str | None  # another rule, whose finding likely caused this one
    parameters: dict[str, object]


def sentence(verdict: Verdict) -> str:
    """Return a rule's finding in one line, or that its finding no longer holds."""
    if verdict.get("status") == "gone":
        return f"rule {verdict['rule']} at training step {verdict['gone_at']}: its finding no longer holds"
    return f"rule {verdict['rule']} at training step {verdict['step']}: {verdict['evidence']}. {verdict['advice']}"


def explain(verdicts: list[Verdict]) -> list[Verdict]:
    """Name the likely cause of each finding that another one explains, in place of its advice."""
    found = {verdict["rule"] for verdict in verdicts if verdict["status"] == "found"}
    for verdict in verdicts:
        causes = [cause for cause, effects in CONSEQUENCES.items() if cause in found and verdict["rule"] in effects]
        verdict["cause"] = causes[0] if causes and verdict["rule"] in found else None
        if verdict["cause"]:
            verdict["advice"] = f"Likely a consequence of {verdict['cause']}: fix that first."
    return verdicts
