"""The report and the page of a tuning in a real Chromium, if it is installed: accessible, and fit for a phone."""

from pathlib import Path

import numpy as np
import pytest

from chromium import AXE, BROWSER, Chromium
from classifier.training.reporting.report import write_report
from local.page import write_page
from local.trials import Trial, Tuning
from summaries import make_large_summary, make_summary

pytestmark = pytest.mark.skipif(not (BROWSER and AXE), reason="needs Chromium and axe-playwright-python")
PHONE, DESK = (320, 640), (1280, 900)

FIND = """{
    const find = document.getElementById("find");
    find.value = "class_007";
    find.dispatchEvent(new Event("input"));
}"""


@pytest.fixture(scope="module")
def pages(module_path) -> dict[str, Path]:
    """Pages by name: reports of 3 and 133 classes, and tunings of 2 and 12 trials."""
    paths = {name: module_path / f"{name}.html" for name in ("report", "large report", "tuning", "large tuning")}
    write_report(paths["report"], make_summary(module_path / "few"))
    write_report(paths["large report"], make_large_summary(module_path / "many", classes=133))
    write_page(tuning_of(2), paths["tuning"])
    write_page(tuning_of(12), paths["large tuning"])
    return paths


def tuning_of(count: int) -> Tuning:
    random = np.random.default_rng(0)
    trials = [
        Trial(
            name=f"a/trial-{number:03}",
            hyperparameters={"lr": f"{10 ** random.uniform(-4, -1):.6f}", "batch_size": str(random.choice([64, 128]))},
            status="completed",
            value=float(random.uniform(0.5, 1)),
            seconds=30.0,
            metrics={"validation:accuracy": [0.3, 0.5], "validation:loss": [2.0, 1.0]},
        )
        for number in range(1, count + 1)
    ]
    return Tuning("a", "validation:accuracy", ["lr", "batch_size"], trials)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK])
def test_pages_are_accessible_and_as_wide_as_the_screen(pages, tmp_path, size, scheme):
    with Chromium(tmp_path, size) as browser:
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        for name, path in pages.items():
            browser.open(path.as_uri())
            assert browser.violations(AXE) == [], name
            assert browser.evaluate("document.documentElement.scrollWidth") <= size[0], name
            assert browser.evaluate("getComputedStyle(document.body).backgroundColor") != "rgba(0, 0, 0, 0)"


def test_a_report_of_many_classes_is_small_and_can_be_searched(pages, tmp_path):
    assert pages["large report"].stat().st_size < 3_000_000
    with Chromium(tmp_path, PHONE) as browser:
        browser.open(pages["large report"].as_uri())
        assert browser.evaluate("document.documentElement.scrollHeight") < 20_000
        shown = "[...document.querySelectorAll('.pairs tr:has(td)')].filter(row => !row.hidden).length"
        before = browser.evaluate(shown)
        browser.evaluate(FIND)
        assert 0 < browser.evaluate(shown) < before
        browser.evaluate("document.querySelector('a[data-pair]').click()")
        pair = browser.evaluate("document.querySelector('a[data-pair]').dataset.pair")
        visible = "[...document.querySelectorAll('figure[data-pair]')].filter(one => !one.hidden)"
        assert set(browser.evaluate(f"{visible}.map(one => one.dataset.pair)")) == {pair}
        browser.evaluate("document.querySelector('#all button').click()")
        assert len(browser.evaluate(f"{visible}.map(one => 1)")) > 24
