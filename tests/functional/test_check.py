"""launch/check.py on data made bad on purpose, and its list, which the job and the demo's split heed."""

import json
import re
import shutil
from pathlib import Path

import pytest

from checkout import Checkout
from datasets import QUICK, digit_jpegs, train, write_channel, write_hyperparameters
from helpers import photo


@pytest.fixture(scope="module")
def checkout(module_path):
    return Checkout(module_path)


@pytest.fixture
def pictures(checkout):
    """Train and test with one image in both, and an unreadable one."""
    shutil.rmtree(checkout.folder / "input", ignore_errors=True)
    write_channel(checkout.folder, "all/train", digit_jpegs((0, 1), 0, 25))
    folder = write_channel(checkout.folder, "all/test", digit_jpegs((0, 1), 25, 32)).parent
    shutil.copy(sorted((folder / "test/digit-0").iterdir())[0], folder / "train/digit-0/stray.jpg")
    (folder / "train/digit-1/broken.jpg").write_bytes(b"GIF89a")
    return folder


def test_a_leak_is_found_listed_and_left_out(checkout, pictures):
    out = checkout.does(f"check.py {pictures}")
    assert "1 of the 14 test images is also in train or validation" in out
    assert "1 image cannot be read: not a JPEG, PNG or WebP image; it is a GIF" in out
    page = Path(re.search("^page: (.+)$", out, re.MULTILINE)[1])
    assert page.parent == checkout.folder / "runs/check"
    assert re.fullmatch("data-all-[0-9a-f]{6}.html", page.name)
    assert page.read_text().count("data:image/jpeg;base64,") >= 2
    listed = pictures / "leave_out.txt"
    assert f"{listed} lists what is better left out" in out
    lines = listed.read_text().splitlines()
    assert "train/digit-0/stray.jpg" in lines
    assert "train/digit-1/broken.jpg" in lines
    again = checkout.does(f"check.py {pictures}")
    assert f"images left out, as {listed} says" in again
    assert "also in train" not in again
    assert listed.read_text().splitlines() == lines
    assert "is there already" not in again
    another = pictures / "train/digit-1/another.jpg"
    shutil.copy(sorted((pictures / "test/digit-1").iterdir())[0], another)
    assert f"{listed} is there already, and lacks 1 image: remove it" in checkout.does(f"check.py {pictures}")
    assert listed.read_text().splitlines() == lines
    another.unlink()

    root = checkout.folder
    (root / "input/data/all").rename(root / "input/data/train")
    write_hyperparameters(root, **QUICK)
    done = train(root)
    assert done.returncode == 0, done.stderr
    log = done.stdout + done.stderr
    assert "images left out, as " in log
    assert "skipped" not in log
    assert "stray" not in (root / "output/data/skipped_images.csv").read_text()


def test_json_and_strict(checkout, pictures):
    code, out, error = checkout.run(f"check.py --json --strict --no-list {pictures}")
    assert (code, error) == (1, "")
    found = json.loads(out)
    assert [finding["kind"] for finding in found["findings"]][0] == "leak"
    assert found["classes"][0]["images"] == {"train": 21, "validation": 5, "test": 7}
    assert f"{pictures}/train/digit-1/broken.jpg" in found["unreadable"]
    assert found["leave_out"][f"{pictures}/train/digit-0/stray.jpg"] == "leak"
    assert not (pictures / "leave_out.txt").exists()


@pytest.mark.parametrize("flags", ["", "--strict", "--json"])
def test_where_the_list_cannot_be_written_everything_is_said_all_the_same(checkout, pictures, flags):
    """Data is often on a disk that can only be read."""
    (pictures / ".leave_out.txt.partial").mkdir()  # root may write to any folder
    code, out, error = checkout.run(f"check.py {flags} {pictures}")
    assert code == (flags == "--strict")
    assert "broken.jpg" in (str(json.loads(out)) if flags == "--json" else out)
    assert re.fullmatch(
        f"check: {pictures}/leave_out.txt cannot be written: .*; --no-list checks a folder without writing to it\n",
        error,
    )


def test_a_good_folder_passes_strictly(checkout):
    for split, first in (("train", 0), ("validation", 100), ("test", 200)):
        for name, more in (("cat", 0), ("dog", 30)):
            folder = checkout.folder / "good" / split / name
            folder.mkdir(parents=True)
            for number in range(25):
                photo(90, 80, seed=first + more + number + 1000 * (name == "dog")).save(folder / f"{number}.png")
    code, out, error = checkout.run("check.py --strict good")
    assert (code, error) == (0, ""), out
    assert "no fault was found" in out
    assert not (checkout.folder / "good/leave_out.txt").exists()


def test_images_in_no_class_folder_are_a_fault_and_pages_have_names_of_their_own(checkout, tmp_path):
    pages = []
    for project in ("p1", "p2", "p1"):
        folder = write_channel(tmp_path / project, "pics", digit_jpegs((0, 1), 0, 25))
        photo(90, 80).save(folder / "s1.png")
        code, out, _ = checkout.run(f"check.py --strict {folder}")
        assert code == 1
        assert f"1 image lies in no class folder, such as {folder}/s1.png" in " ".join(out.split())
        pages.append(re.search("^page: (.+)$", out, re.MULTILINE)[1])
    assert pages[0] == pages[2] != pages[1]


def test_what_is_no_data_set_is_one_sentence(checkout):
    assert "absent is not a folder" in checkout.refuses("check.py absent")
    assert "holds neither class folders nor images" in checkout.refuses("check.py demo")


def test_a_leak_is_said_before_training_here_and_in_the_jobs_log_and_report(checkout, pictures):
    pairs = " ".join(f"{name}={value}" for name, value in QUICK.items())
    out = checkout.does(f"train.py --local --tuning none --data {pictures} --hyperparameters {pairs}")
    leak = "1 of the 14 test images is also in train or validation"
    before, log = out.split("device: cpu")
    assert f"A LEAK: {leak}, so the test score is then too good: leave the copies out of train or validation." in before
    assert f"launch/check.py {pictures} shows them" in before
    assert f"data: {leak}; the test score is then too good" in before + log
    report = Path(re.search("^report: (.+)$", log, re.MULTILINE)[1]).read_text()
    assert f"{leak}." in report


def test_a_list_of_comments_alone_is_not_said_to_leave_anything_out(checkout, tmp_path):
    """A very dark picture is for a person to decide about."""
    images = [(f"pet-{seed % 2}", f"{seed}.jpg", photo(64, 64, seed)) for seed in range(40)]
    images[0] = ("pet-0", "0.jpg", images[0][2].point(lambda value: value // 8))
    pets = write_channel(tmp_path, "pets", images)
    out = checkout.does(f"check.py {pets}")
    assert f"{pets / 'leave_out.txt'} lists, as comments, what you decide about" in out
    lines = (pets / "leave_out.txt").read_text().split("\n")
    assert all(line.startswith("#") for line in lines if line)
    assert "# pet-0/0.jpg" in lines
