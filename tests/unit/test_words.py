import ast
import re
from pathlib import Path

import pytest

from classifier.words import decimal, is_are, percent, plural

REPOSITORY = Path(__file__).parents[2]
FOLDERS = [REPOSITORY / name for name in ("container", "launch", "local", "demo")]
BENCHMARKS = REPOSITORY / "benchmarks"
PROGRAMS = {"train", "serve", "self_test", "fetch_weights"}
# What may stand between a number and its noun: an adjective, but no preposition or verb.
ADJECTIVE = r"(?:(?!of |in |with |into |no |have )[\w-]*[a-rt-z] )?"
# Values that are text; constants, which are 2 and more; and those that a format or decimal() shows with decimals.
NO_COUNT = re.compile(
    r"'|.*phase|self\.endpoint$|what$|name\b|names\b|sides$|quoted|shown|printable|plural\(|decimal\(|[\w.]*[A-Z_]{3,}$"
)


def programs(*others: Path) -> dict[Path, ast.Module]:
    files = [path for folder in (*FOLDERS, *others) for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path: ast.parse(path.read_text()) for path in files if path.suffix == ".py" or path.name in PROGRAMS}


def templates() -> dict[Path, str]:
    return {path: path.read_text() for folder in FOLDERS for path in folder.rglob("*.html")}


def counted_nouns() -> set[str]:
    """Return the plurals of the nouns that are counted anywhere, so that the list keeps itself."""
    named = [noun for page in templates().values() for noun in re.findall(r"""\|\s?plural\("([^"]+)"\)""", page)]
    for tree in programs().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "plural" and len(node.args) == 2:
                noun = node.args[1]
                ends = noun.values[-1] if isinstance(noun, ast.JoinedStr) else noun
                named += [str(ends.value)] if isinstance(ends, ast.Constant) else []
    return {plural(2, noun.split()[-1]).removeprefix("2 ") for noun in named}


def fixed_plurals(tree: ast.Module, nouns: str) -> list[str]:
    """Return where a number is followed by a noun that is in the plural whatever the number is."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            for value, text in zip(node.values, node.values[1:], strict=False):
                if isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant):
                    shown, spec = ast.unparse(value.value), value.format_spec and ast.unparse(value.format_spec)
                    is_count = not NO_COUNT.match(shown) and not re.search("[gf%]", (spec or "")[1:])
                    if is_count and re.match(rf" {ADJECTIVE}({nouns})\b", str(text.value)):
                        found.append(f"{node.lineno}: {{{shown}}}{text.value}")
        elif isinstance(node, ast.Constant) and re.search(rf"(%d|\{{\}}) {ADJECTIVE}({nouns})\b", str(node.value)):
            found.append(f"{node.lineno}: {node.value}")
    return found


def other_percents(tree: ast.Module) -> list[str]:
    """Return where a share is shown otherwise than by percent(): Python's own format has no space before the sign."""
    specs = [node.format_spec for node in ast.walk(tree) if isinstance(node, ast.FormattedValue) and node.format_spec]
    found = [f"{spec.lineno}: {ast.unparse(spec)}" for spec in specs if re.search(r"\d%", ast.unparse(spec))]
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return found + [
        f"{text.lineno}: {text.value}" for text in texts if re.search(r"\{[^{}]*%\}|\d%($|[ .,;:)])", text.value)
    ]


@pytest.mark.parametrize(
    ("count", "noun", "expected"),
    [
        (0, ("image",), "0 images"),
        (1, ("image",), "1 image"),
        (1234, ("skipped image",), "1,234 skipped images"),
        (2, ("class",), "2 classes"),
        (2, ("batch",), "2 batches"),
        (2, ("epoch",), "2 epochs"),
        (2, ("copy",), "2 copies"),
        (2, ("day",), "2 days"),
        (1, ("copy of it", "copies of it"), "1 copy of it"),
        (3, ("copy of it", "copies of it"), "3 copies of it"),
        (1.0, ("hour",), "1 hour"),
        (0.25, ("hour",), "0.25 hours"),
    ],
)
def test_a_number_with_its_noun(count, noun, expected):
    assert plural(count, *noun) == expected


def test_a_number_with_its_verb():
    assert [is_are(count) for count in (0, 1, 2)] == ["are", "is", "are"]


def test_no_number_is_followed_by_a_fixed_plural():
    nouns = "|".join(sorted(counted_nouns()))
    assert nouns.count("|") > 20
    wrong = [f"{path}:{one}" for path, tree in programs().items() for one in fixed_plurals(tree, nouns)]
    for path, text in templates().items():
        wrong += [f"{path}: {one.group()}" for one in re.finditer(rf"\}}\}} {ADJECTIVE}({nouns})\b", text)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("code", ['f"{n} images"', 'f"{len(x):,} new images of"', 'log("%d images", n)', '"{} images"'])
def test_a_fixed_plural_is_found(code):
    assert fixed_plurals(ast.parse(code), "files|images")


@pytest.mark.parametrize(
    "code", ['f"{MOST} images"', 'f"{x:.2f} images"', 'f"{n} px of images"', 'f"{phase.name} images"']
)
def test_what_is_no_count_is_left(code):
    assert not fixed_plurals(ast.parse(code), "files|images")


@pytest.mark.parametrize(("share", "decimals", "expected"), [(0.18, 0, "18 %"), (0.1, 1, "10.0 %"), (1.95, 0, "195 %")])
def test_a_share(share, decimals, expected):
    assert percent(share, decimals) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.5, "0.50"), (2.6, "2.60"), (1234.5678, "1,234.57"), (0.1, "0.10"), (0.0456, "0.046"), (0.0012, "0.0012")],
)
def test_a_number_with_decimals(value, expected):
    assert decimal(value) == expected


def test_all_shares_are_written_in_one_way():
    wrong = [f"{path}:{one}" for path, tree in programs(BENCHMARKS).items() for one in other_percents(tree)]
    for path, text in templates().items():
        wrong += [f"{path}: {one.group()}" for one in re.finditer(r".*(\}\}%|\}\} %|\.\d%).*", text)]
    manuals = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("benchmarks/*.md")]
    assert len(manuals) > 10
    for path in manuals:
        wrong += [f"{path}: {one.group()}" for one in re.finditer(r".*\d%.*", path.read_text())]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("code", ['f"{share:.1%} of"', '"{:.0%}".format(x)', '"10% of it"', 'f"{n}: 5%"'])
def test_a_share_written_otherwise_is_found(code):
    assert other_percents(ast.parse(code))


@pytest.mark.parametrize("code", ['f"{x % 10}"', '"%d%%"', 'f"{now:%H:%M}"', '"%04d.jpg"', 'f"{percent(x)} of"'])
def test_what_is_no_share_is_left(code):
    assert not other_percents(ast.parse(code))
