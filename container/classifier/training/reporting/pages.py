"""Fills in our pages, the report and those of local/: each is one file that needs no other and no network."""

import re
from collections.abc import Mapping
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from classifier.words import percent, plural


def fill_in(template: str, values: Mapping[str, object], *folders: Path) -> str:
    """Return the page that `template`, a file in this folder or in `folders`, becomes with `values`.

    Bytes that are not UTF-8, which files' and folders' names may have, are escaped, so that it can be written.
    """
    loader = jinja2.FileSystemLoader([*folders, Path(__file__).parent])
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["percent"] = lambda share: percent(share, 1)
    environment.filters["sentence"] = lambda text: f"{text[:1].upper()}{text[1:]}."
    environment.filters["plural"], environment.filters["breakable"] = plural, breakable
    page = environment.get_template(template).render(values).encode(errors="backslashreplace").decode()
    return re.sub(r"(?<=\d) %", "\u00a0%", page)  # no line ends between a number and its sign


def breakable(name: object) -> Markup:
    """Return a name as HTML that may break after its separators, of which browsers know only the hyphen."""
    return Markup(re.sub(r"([_/=:]|\.(?=[A-Za-z]))", r"\1<wbr/>", str(escape(name))))
