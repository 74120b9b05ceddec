"""A page that shows what in each picture speaks for its most probable classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from classifier.files import write_file
from classifier.training.reporting import pages
from classifier.training.reporting.pictures import THUMBNAIL, data_url, seen_pixels
from local import places

FILE = "explained.html"
MOST_CLASSES = 3
# About 1.5 MB of page.
MOST_PICTURES = 100


def write_page(results: Sequence[dict[str, Any]]) -> Path | None:
    """Write runs/explained.html for answers with maps, and return its path; the pictures are read from their files.

    If no answer has a map, as of a server of many models, the page of before stays, and None is returned.
    """
    if not any("map" in one for result in results for one in result.get("predictions", ())):
        return None
    rows = []
    for result in results[:MOST_PICTURES]:
        pixels = seen_pixels(Path(result["file"]), THUMBNAIL)
        source = "" if pixels is None else data_url(Image.fromarray(pixels))
        rows.append(result | {"source": source, "classes": result.get("predictions", [])[:MOST_CLASSES]})
    page = pages.fill_in(FILE, {"rows": rows, "left": len(results) - len(rows)}, Path(__file__).parent)
    places.RUNS.mkdir(exist_ok=True)
    path = places.RUNS / FILE
    write_file(path, page.encode())
    return path
