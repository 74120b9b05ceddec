"""The report's debugging and profiling parts."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from classifier.training.debugging.debugger import Debugging
from classifier.training.history import History
from classifier.training.profiling.profiler import Profile
from classifier.training.profiling.system import Sample
from classifier.training.reporting import report
from classifier.training.reporting.summary import Observed
from summaries import make_summary

LAYERS = [f"layer{stage}.{block}.conv1" for stage in (1, 2, 3, 4) for block in (0, 1)]
STEPS = list(range(0, 300, 5))


def verdict(rule, status="not found", cause=None):
    found = status == "found"
    evidence = f"the <numbers> of {rule}" if found else ""
    return {
        "rule": rule,
        "status": status,
        "step": 45 if found else None,
        "evidence": evidence,
        "advice": f"Fix {rule}." if found else "",
        "cause": cause,
        "parameters": {},
    }


def debugging(**changes):
    values = {
        "rules": [verdict("Overfit"), verdict("DeadRelu", "found", "VeryBad"), verdict("VeryBad", "found")],
        "series": {
            "steps": STEPS,
            "saved": {"train": 60, "validation and test": 30},
            "gradient": {name: np.geomspace(1, 0.01, len(STEPS)).tolist() for name in LAYERS},
            "update": {name: [None] + [1e-3] * (len(STEPS) - 1) for name in LAYERS},
            "dead": {f"layer{stage}.0.relu_0": [3.0] * len(STEPS) for stage in (1, 2, 3, 4)},
        },
    }
    return Debugging(**values | changes)


def profile(**changes):
    values = {
        "steps": [{"data wait": 5.0, "forward": 30.0, "backward": 60.0, "other": 1.0}] * 20,
        "spans": {"steps": 100.0, "validation": 25.0},
        "samples": [Sample(second / 2, 0.9, 0.3) for second in range(100)],
        "operators": [{"operator": "aten::conv2d", "milliseconds": 50.0, "share": 0.4, "calls": 20.0}],
        "trace": "trace.json.gz",
    }
    return Profile(**values | changes)


def page(tmp_path, debugging, profile, findings=(), **changes):
    observed = Observed(debugging, profile, list(findings))
    report.write_report(tmp_path / "report.html", make_summary(tmp_path, observed=observed, **changes))
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def text_of(html):
    words = []
    parser = HTMLParser()
    parser.handle_data = words.append
    parser.feed(html)
    return " ".join(" ".join(words).split())


def test_the_page_has_every_chart_and_sentence(tmp_path):
    html = page(tmp_path, debugging(), profile(), ["62 % of a step waits for images: raise workers."])
    text = text_of(html)
    for part in (
        "Single steps scatter by",
        "Within an epoch, steps scatter by",
        "Based on 60 saved training steps (60 of them with gradients, weights and activations) and 30 saved steps of "
        "validation and test",
        "The <numbers> of VeryBad. Fix VeryBad.",
        "62 % of a step waits for images: raise workers.",
        "20 steps after the warm-up took 96 ms on average.",
        "steps training steps 100.0 80.0 % validation validation of each epoch 25.0 20.0 %",
        "aten::conv2d 20 50.0 40.0 %",
    ):
        assert part in text, part
    for title in ("Training", "Validation", "Gradient norm", "Update-to-weight", "Dead units", "Time of each step"):
        assert re.search(rf"<text[^>]*>{title}", html), title
    assert len(html) < 3_000_000


def test_the_top_names_a_cause_and_not_its_consequences(tmp_path):
    text = text_of(page(tmp_path, debugging(), profile()))
    top, _, below = text.partition("Your data phase")
    assert "VeryBad" in top
    assert "DeadRelu" not in top
    assert below.index("VeryBad") < below.index("DeadRelu") < below.index("Overfit not found")


def test_the_page_says_that_nothing_was_found(tmp_path):
    text = text_of(page(tmp_path, debugging(rules=[verdict("Overfit")]), profile()))
    assert "Nothing stands out" in text
    assert "✓ Overfit not found" in text


def test_the_page_says_what_was_off_and_why(tmp_path):
    text = text_of(page(tmp_path, Debugging(why="<b> broke"), Profile(why="profile=off")))
    assert "The hook was off: <b> broke" in text
    assert "Profiling was off: profile=off" in text
    assert "Single steps scatter" in text
    text = text_of(page(tmp_path, debugging(rules_error="no answer"), profile(trace=None, operators=[], why="no disk")))
    assert "Not all rules were evaluated: no answer" in text
    assert "The trace is missing: no disk" in text


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), None, 0.0])
def test_a_diverged_run_is_drawn_too(tmp_path, broken):
    series = debugging().series
    for kind in ("gradient", "update", "dead"):
        series[kind] = {name: column[:20] + [broken] * 40 for name, column in series[kind].items()}
    history = History(train_losses=[2.0, 50.0, 1e9] + [broken or float("nan")] * 9)
    html = page(tmp_path, debugging(series=series), profile(), history=history, evaluation=None)
    assert "could not be drawn" not in html
    assert "Gradient norm of each layer" in html


def test_long_runs_stay_small(tmp_path):
    steps = list(range(0, 100_000, 500))
    series = {
        "steps": steps,
        "saved": {"train": 200},
        "gradient": {name: [0.1] * 200 for name in LAYERS},
        "update": {name: [0.001] * 200 for name in LAYERS},
        "dead": {"relu_0": [1.0] * 200},
    }
    history = make_summary(tmp_path).history
    history.train_losses = np.random.default_rng(0).random(100_000).tolist()
    history.validation_losses = np.random.default_rng(0).random((100, 300)).tolist()
    history.validation_means = np.random.default_rng(0).random(100).tolist()
    samples = [Sample(second / 2, 0.9, 0.3, 0.5, 0.5) for second in range(20_000)]
    html = page(tmp_path, debugging(series=series), profile(samples=samples), history=history)
    assert len(html) < 1_500_000


def test_a_part_that_cannot_be_drawn_leaves_the_report_alone(tmp_path, caplog):
    series = debugging().series | {"gradient": "nonsense"}
    text = text_of(page(tmp_path, debugging(series=series), profile(samples=["nonsense"] * 3)))
    assert text.count("This part could not be drawn: ") == 2
    assert "the report lacks its debugging part: " in caplog.text
    assert "Confusion" in text
