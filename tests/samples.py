"""Renew the sample report, the sample tuning page and the pictures in docs/, by a job and a tuning on the digits.

Usage: python tests/samples.py     (`make samples`); it needs Chromium.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from chromium import Chromium
from classifier.training.reporting.pages import breakable
from helpers import serve
from local import places, train
from local.digits import UNSEEN, write_digits
from local.pictures import DIGITS

DOCS = places.ROOT / "docs"
REPORT, TUNING, PAGE = (1000, 800), (1000, 800), (900, 640)
# So few that ten trials take minutes.
TRIAL_DIGITS, TRIALS, TRIAL_EPOCHS = 30, 10, 3
PICTURE = "digit-3"


def main() -> None:
    digits = write_digits(places.RUNS / "digits")
    model = train(digits, **DIGITS)
    tuning = tune(some_of(digits / "train"))
    report = model.folder.parent / "output/data/report.html"
    for page, sample in ((report, "sample-report.html"), (tuning, "sample-tuning.html")):
        text = page.read_text(encoding="utf-8").replace(str(breakable(f"{places.RUNS}/")), "")
        (DOCS / sample).write_text(text, encoding="utf-8")
    picture = next((places.RUNS / "digits" / UNSEEN / PICTURE).iterdir())
    take_pictures(model.folder.parent, picture)


def some_of(folder: Path) -> Path:
    """Return a folder of links to the first TRIAL_DIGITS pictures of each class."""
    links = places.RUNS / "sample-digits"
    for kind in folder.iterdir():
        (links / kind.name).mkdir(parents=True, exist_ok=True)
        for file in sorted(kind.iterdir())[:TRIAL_DIGITS]:
            link = links / kind.name / file.name
            link.unlink(missing_ok=True)
            link.symlink_to(file)
    return links


def tune(data: Path) -> Path:
    """Tune on this computer, and return the page."""
    pairs = [f"{name}={value}" for name, value in (DIGITS | {"epochs": TRIAL_EPOCHS}).items()]
    command = [sys.executable, places.ROOT / "launch/tune.py", "--local", "--data", data, "--max-jobs", str(TRIALS)]
    subprocess.run([*command, "--hyperparameters", *pairs], check=True)
    return places.run_folder(places.latest("local_tuning")) / "tuning.html"


def take_pictures(root: Path, picture: Path) -> None:
    """Take those of the sample pages, and of the page of a server with the model in `root` that answers `picture`."""
    with tempfile.TemporaryDirectory() as name, serve(root, Path(name) / "log") as server:
        server.wait_for_ping(200)
        with Chromium(Path(name) / "profile", REPORT) as browser:
            browser.open((DOCS / "sample-report.html").as_uri())
            browser.screenshot(DOCS / "report.png")
            browser.open((DOCS / "sample-tuning.html").as_uri())
            browser.resize(TUNING[0], int(str(browser.evaluate("document.documentElement.scrollHeight"))))
            browser.screenshot(DOCS / "tuning.png")
            browser.resize(*PAGE)
            browser.open(f"http://127.0.0.1:{server.port}/")
            browser.choose_file("#file", picture)
            browser.wait_for("document.querySelectorAll('#bars li').length")
            browser.screenshot(DOCS / "page.png")


if __name__ == "__main__":
    main()
