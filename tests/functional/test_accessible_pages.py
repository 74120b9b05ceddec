"""All pages but the server's in a real Chromium, if it is installed: accessible, and fit for a phone."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from chromium import AXE, BROWSER, Chromium
from classifier.activation_maps import png_text
from classifier.training.reporting.report import write_report
from datasets import digit_jpegs, write_channel
from helpers import photo
from local import explained, places
from local.checking import Check
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
    """Pages by name: reports of 3 and 133 classes, tunings of 2 and 12 trials, a check's and one that explains."""
    paths = {name: module_path / f"{name}.html" for name in ("report", "large report", "tuning", "large tuning")}
    write_report(paths["report"], make_summary(module_path / "few"))
    write_report(paths["large report"], make_large_summary(module_path / "many", classes=133))
    write_page(tuning_of(2), paths["tuning"])
    write_page(tuning_of(12), paths["large tuning"])
    folder = faulty_folder(module_path)
    paths["check"] = module_path / "check.html"
    Check(folder).write_page(paths["check"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "RUNS", module_path / "runs")
        paths["explained"] = explained.write_page([answer(file) for file in sorted(folder.rglob("*.jpg"))[:3]])
    return paths


def faulty_folder(root: Path) -> Path:
    """Return a folder of images with a copy, an unreadable one and a long name."""
    folder = write_channel(root, "train", digit_jpegs((0, 1), 0, 6))
    name = f"a_class_with_a_long_name/{'a_picture_of_the_summer_' * 4}"
    write_channel(root, "train", [(*f"{name}.jpg".split("/"), photo(60, 60))])
    shutil.copy(next((folder / "digit-0").iterdir()), folder / "digit-1/copy.jpg")
    (folder / "digit-1/broken.jpg").write_bytes(b"GIF89a")
    return folder


def answer(file: Path) -> dict:
    """Return an answer with a map, and one of a picture that is not known; of an unreadable one the error."""
    if "broken" in file.name:
        return {"file": str(file), "error": "not a JPEG, PNG or WebP image"}
    prediction = {"class": file.parent.name, "probability": 0.9, "map": png_text(np.eye(7))}
    return {"file": str(file), "predictions": [prediction] * 3, "known": False}


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
        browser.prefer(scheme)
        for name, path in pages.items():
            browser.open(path.as_uri())
            assert browser.violations(AXE) == [], name
            assert browser.evaluate("document.documentElement.scrollWidth") <= size[0], name
            assert browser.evaluate("getComputedStyle(document.body).backgroundColor") != "rgba(0, 0, 0, 0)"


def test_a_printed_report_has_two_columns_and_cuts_no_chart(module_path, pages, tmp_path):
    many = module_path / "printed.html"
    write_report(many, make_large_summary(module_path / "forty", classes=40))
    with Chromium(tmp_path, (720, 1000)) as browser:  # the width of A4 within its margins
        browser.call("Emulation.setEmulatedMedia", media="print")
        for path in (pages["report"], pages["large tuning"], many):
            browser.open(path.as_uri())
            columns = "one => getComputedStyle(one).gridTemplateColumns.split(' ').length"
            assert set(browser.evaluate(f"[...document.querySelectorAll('.pair')].map({columns})")) == {2}
            broken = "[...document.querySelectorAll('svg, figure, tr')].map(one => getComputedStyle(one).breakInside)"
            assert set(browser.evaluate(broken)) == {"avoid"}
            boxes = "one => (box => [box.right, box.height])(one.getBoundingClientRect())"
            right, height = np.transpose(browser.evaluate(f"[...document.querySelectorAll('svg')].map({boxes})"))
            assert right.max() <= 720
            assert height.max() < 1000


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
