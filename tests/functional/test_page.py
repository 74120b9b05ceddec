"""The page at / in a real Chromium, if it is installed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from chromium import AXE, BROWSER, Chromium
from conftest import CLASSES
from helpers import Server, photo, serve

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
PHONE = (360, 640)


@pytest.fixture(scope="module")
def server(artifact_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(artifact_folder.parent, tmp_path_factory.mktemp("log") / "log") as running:
        running.wait_for_ping(200)
        yield running


@pytest.fixture(scope="module")
def browser(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("profile"), PHONE) as running:
        yield running


@pytest.fixture
def page(browser: Chromium, server: Server) -> Chromium:
    browser.open(f"http://127.0.0.1:{server.port}/")
    return browser


def test_a_picture_is_answered_with_bars(page, tmp_path):
    photo(300, 200).save(tmp_path / "photo.jpg")
    page.choose_file("#file", tmp_path / "photo.jpg")
    page.wait_for("document.querySelectorAll('#bars li').length")
    names = page.evaluate("[...document.querySelectorAll('#bars li span:first-child')].map(e => e.textContent)")
    assert len(names) == 5
    assert set(names) <= set(CLASSES)
    widths = page.evaluate(
        "[...document.querySelectorAll('#bars i')].map(e => parseFloat(getComputedStyle(e, '::before').width))"
    )
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > widths[4] > 0
    said = page.evaluate("document.querySelector('#said').textContent")
    assert said.startswith("Answered in ")
    assert "model " in said
    assert page.evaluate("document.querySelector('#picture').naturalWidth") == 300
    page.screenshot(tmp_path / "page.png")


def test_a_class_is_explained_over_the_square_that_is_looked_at(page, tmp_path):
    photo(300, 200).save(tmp_path / "photo.jpg")
    page.choose_file("#file", tmp_path / "photo.jpg")
    page.wait_for("document.querySelectorAll('#bars button').length")
    assert page.evaluate("document.querySelector('#map').hidden")
    page.evaluate("document.querySelector('#bars button').click()")
    page.wait_for("document.querySelector('#map').naturalWidth")
    box = "(e => [e.left, e.top, e.right, e.bottom])(document.querySelector('{}').getBoundingClientRect())"
    picture, over = (np.array(page.evaluate(box.format(selector))) for selector in ("#picture", "#map"))
    height = picture[3] - picture[1]
    assert over[2] - over[0] == pytest.approx(0.875 * height, abs=0.1)
    assert over[3] - over[1] == pytest.approx(0.875 * height, abs=0.1)
    assert over[:2] + over[2:] == pytest.approx(picture[:2] + picture[2:], abs=0.1)  # the same centre
    page.evaluate("document.querySelector('#bars button').click()")
    assert page.evaluate("document.querySelector('#map').hidden")


def test_a_file_that_is_not_a_picture_is_refused(page, tmp_path):
    (tmp_path / "text.jpg").write_text("hello")
    page.choose_file("#file", tmp_path / "text.jpg")
    page.wait_for("document.querySelector('#said').textContent.startsWith(`the request body is the text 'hello', not`)")
    assert page.evaluate("document.querySelector('#said').className") == "bad"
    assert page.evaluate("document.querySelectorAll('#bars li').length") == 0


def test_a_picture_is_dropped(page):
    script = """
        const canvas = new OffscreenCanvas(20, 20); canvas.getContext("2d").fillRect(0, 0, 9, 9);
        canvas.convertToBlob().then(blob => {
            const data = new DataTransfer(); data.items.add(new File([blob], "a.png", {type: "image/png"}));
            document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
        });
    """
    page.evaluate(f"{{ {script} }}")
    page.wait_for("document.querySelectorAll('#bars li').length === 5")


def test_without_a_picture_the_answer_to_a_drawn_one_is_shown(page):
    page.evaluate("document.querySelector('#draw').click()")
    page.wait_for("document.querySelectorAll('#bars li').length === 5")
    assert page.evaluate("document.querySelector('#picture').naturalWidth") == 320


def test_the_commands_have_the_servers_address(page, server):
    commands = page.evaluate("[...document.querySelectorAll('.command')].map(one => one.textContent)")
    assert len(commands) == 4
    assert all(one.endswith(f" http://127.0.0.1:{server.port}/invocations") for one in commands)


def test_the_keyboard_reaches_the_file_chooser(page):
    page.press("Tab", 9)
    assert page.evaluate("document.activeElement.id") == "file"
    outline = page.evaluate("getComputedStyle(document.querySelector('label')).outlineStyle")
    assert outline == "solid"


@pytest.mark.parametrize("width", [320, 360])
def test_it_fits_a_phone(page, tmp_path, width):
    page.resize(width, 640)
    page.evaluate("document.querySelector('details').open = true")
    page.evaluate("document.querySelector('#draw').click()")
    page.wait_for("document.querySelectorAll('#bars li').length === 5")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.skipif(AXE is None, reason="needs axe-playwright-python")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(page, scheme):
    page.prefer(scheme)
    page.evaluate("document.querySelector('details').open = true")
    page.evaluate("document.querySelector('#draw').click()")
    page.wait_for("document.querySelectorAll('#bars li').length === 5")
    assert page.violations(AXE) == []
    page.call("Emulation.setEmulatedMedia", features=[])


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "IMG_1.jpg"])
def test_a_photo_in_heic_is_named(page, tmp_path, name):
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic" + bytes(50))
    page.choose_file("#file", tmp_path / name)
    page.wait_for(
        "document.querySelector('#said').textContent.includes('a HEIC, which iPhones write: export it as JPEG')"
    )
    assert page.evaluate("document.querySelector('#picture').hidden")
