"""The documents' tables, commands and links against the code."""

import base64
import json
import re
from concurrent.futures import Future
from pathlib import Path

import pytest

from classifier import artifact
from classifier.contract import Contract
from classifier.device import PRECISIONS
from classifier.errors import UserError
from classifier.serving import answers, inputs, openapi, query
from classifier.serving.app import create_app
from classifier.serving.model import model_of
from classifier.serving.predictor import load_predictor
from classifier.serving.share import Share
from classifier.training import hyperparameters
from classifier.training.metrics import METRICS
from helpers import encode, photo

ROOT = Path(__file__).parents[2]
PATHS = sorted(path for folder in (".", "docs", "benchmarks") for path in (ROOT / folder).glob("*.md"))
DOCUMENTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PATHS}
ALL = "\n\n".join(DOCUMENTS.values())
COMMANDS = "".join(re.findall(r"^```sh\n(.*?)^```", ALL, re.MULTILINE | re.DOTALL))


def table(*head):
    """Return the rows of the one table with these columns in any document."""
    (start,) = (match.end() for match in re.finditer(re.escape(f"| {' | '.join(head)} |\n"), ALL))
    lines = ALL[start:].split("\n\n")[0].strip().splitlines()[1:]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


def anchors(text):
    """Return the anchors that GitHub gives the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture(scope="module")
def client(artifact_folder):
    ready = Future()
    ready.set_result(model_of(load_predictor(artifact_folder, artifact.read(artifact_folder))))
    return create_app(ready, max_payload_mb=1, share=Share(1)).test_client()


def test_hyperparameters():
    assert table("name", "default", "accepted", "meaning") == hyperparameters.rows()


def test_hyperparameters_that_the_readme_names():
    known = {(name, default, meaning) for name, default, _, meaning in hyperparameters.rows()}
    assert set(table("hyperparameter", "default", "meaning")) <= known


def test_metrics():
    expected = [(m.name, f"{m.objective.lower()} it" if m.objective else "") for m in METRICS.values()]
    assert table("metric", "a tuning job can") == expected


def test_search_space():
    expected = [(name, str(searched)) for name, searched in hyperparameters.SEARCH_SPACE.items()]
    assert table("hyperparameter", "searched") == expected


def test_launch_scripts():
    scripts = {row[0] for row in table("script", "does")}
    assert scripts == {
        path.name for path in (ROOT / "launch").glob("*.py") if "make_parser(__doc__" in path.read_text()
    }
    commands = re.findall(r"^\.venv/bin/python launch/(\w+\.py)", COMMANDS, re.MULTILINE)
    assert commands
    assert set(commands) <= scripts


@pytest.mark.parametrize(("sample", "template"), [("report", "report*.html"), ("tuning", "tuning.html")])
def test_sample_pages_are_of_this_version_and_name_no_path_of_a_machine(sample, template):
    page = (ROOT / f"docs/sample-{sample}.html").read_text().replace("<wbr/>", "")
    assert not re.search("/(tmp|home|root|work|Users)/", page)
    folder = ROOT / ("local" if sample == "tuning" else "container/classifier/training/reporting")
    headings = {found for path in folder.glob(template) for found in re.findall(">([^<{]+)</h[23]>", path.read_text())}
    assert len(headings) > 3
    assert not {found for found in headings if f">{found}</h" not in page}, "make samples"
    assert sample == "tuning" or "Answers call an image known" in page


def test_rules():
    accepted = hyperparameters.FIELDS["stop_on_rule"].metadata["accepted"]
    assert {row[0] for row in table("rule", "finds")} == set(accepted.options)


def test_requests(client):
    rows = [row[0].split() for row in table("request", "answer")]
    routes = {(method, rule.rule) for rule in client.application.url_map.iter_rules() for method in rule.methods}
    assert {tuple(row) for row in rows} == {route for route in routes if route[0] in ("GET", "POST")}
    assert table("request", "answer") == list(openapi.REQUESTS.items())


def fits(value: object, schema: dict) -> bool:
    """Return whether the value's type and keys are those of an object's or a string's schema."""
    if schema["type"] == "string" or not isinstance(value, dict):
        return schema["type"] == "string" and isinstance(value, str)
    more = value.keys() - schema["properties"].keys()
    return value.keys() >= set(schema["required"]) and (not more or schema["additionalProperties"])


def test_the_interface_as_openapi(client):
    found = client.get("/openapi.json").json
    content = found["paths"]["/invocations"]["post"]["requestBody"]["content"]
    assert list(content) == [*inputs.IMAGE_TYPES, answers.JSON, *answers.LINES_TYPES]
    many, one = content[answers.JSON]["schema"]["anyOf"]
    assert list(many["properties"]) == list(inputs.KEYS)
    text = base64.b64encode(JPEG).decode()
    for value, status in (
        (text, 200),
        ({"images": [text]}, 200),
        ({"images": [text], "x": 1}, 400),
        ({}, 400),
        (1, 400),
    ):
        assert client.post("/invocations", json=value).status_code == status
        assert any(fits(value, schema) for schema in (many, one)) == (status == 200)
    assert list(found["paths"]["/ping"]["get"]["responses"]) == ["200", "503"]
    described = found["components"]["schemas"]["prediction"]
    answer = client.post("/invocations", data=JPEG).json["predictions"][0]
    assert list(answer) == described["required"]
    assert set(described["properties"]) == {*answer, "map"}


def test_content_types():
    (images, body), (json_type, example), (lines_types, _) = table("Content-Type", "body")
    assert images.split(", ") == list(inputs.IMAGE_TYPES)
    assert (json_type, *lines_types.split(", ")) == (answers.JSON, *answers.LINES_TYPES)
    assert f"1 to {inputs.MAX_IMAGES} images" in example
    assert set(json.loads(example[: example.index("}") + 1].replace(", ...", ""))) == set(inputs.KEYS)
    assert f"The {query.DEFAULT_K} most probable classes" in ALL


def test_answers():
    rows = dict(table("Accept", "answer"))
    assert [name for names in rows for name in names.split(", ")] == list(answers.FORMATTERS)
    assert rows["text/csv"].startswith(", ".join(answers.CSV_HEADER))


JPEG = encode(photo(40, 40))
REFUSED = {
    "400": ("POST", "/invocations", b"no image", {"Content-Type": "image/jpeg"}),
    "404": ("GET", "/x", None, {}),
    "405": ("GET", "/invocations", None, {}),
    "406": ("POST", "/invocations", JPEG, {"Content-Type": "image/jpeg", "Accept": "text/html"}),
    "413": ("POST", "/invocations", bytes(2 << 20), {"Content-Type": "image/jpeg"}),
    "415": ("POST", "/invocations", JPEG, {"Content-Type": "text/html"}),
}


def test_errors(client):
    rows = dict(table("status", "when"))
    assert rows == openapi.ERRORS
    assert set(rows) == set(REFUSED) | {"408", "414", "431", "501", "503"}  # of which functional tests reach all
    for status, (method, path, data, headers) in REFUSED.items():
        response = client.open(path, method=method, data=data, headers=headers)
        assert response.status_code == int(status)
        assert list(response.json) == ["error"]
    loading = create_app(Future(), max_payload_mb=1, share=Share(1)).test_client()
    response = loading.post("/invocations", data=JPEG, headers={"Content-Type": "image/jpeg"})
    assert response.status_code == 503
    assert list(response.json) == ["error"]


def test_variables():
    rows = {name: accepted for name, accepted, _ in table("variable", "accepted", "meaning")}
    assert rows["SERVE_PRECISION"] == ", ".join((*PRECISIONS, "int8"))
    for name, accepted in rows.items():
        with pytest.raises(UserError, match=f"{name} is 'x'; accepted: {accepted}$"):
            contract = Contract(environ={name: "x"})
            _ = contract.precision, contract.access_log, contract.fronts, contract.multi_model, contract.models_mb
            _ = contract.port, contract.max_payload_mb


def test_every_make_target_that_is_named_exists():
    named = {*re.findall(r"^make ([a-z-]+)", COMMANDS, re.MULTILINE), *re.findall(r"`make ([a-z-]+)", ALL)}
    assert named
    assert named <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_program_that_is_named_exists():
    named = set(re.findall(r"[\w./-]*\w\.(?:py|toml)\b", re.sub(r"\(https:[^)]*\)", "", ALL)))
    folders = ("benchmarks", "container", "demo", "launch", "local", "requirements", "tests")
    paths = [ROOT / "pyproject.toml", *(path for folder in folders for path in (ROOT / folder).rglob("*.*"))]
    assert named
    assert [
        name for name in named if not any(path.as_posix().endswith(f"/{name.lstrip('./')}") for path in paths)
    ] == []


def test_every_test_that_is_named_exists():
    named = set(re.findall(r"\btest_\w+\b(?!\.py)", ALL))
    tests = set(
        re.findall(r"def (test_\w+)", "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py")))
    )
    assert named
    assert named <= tests


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_relative_link_leads_to_a_file_and_a_heading(document):
    for link in re.findall(r"\]\((?!https:)([^)]+)\)", DOCUMENTS[document]):
        path, _, anchor = link.partition("#")
        target = (ROOT / document).parent / path if path else ROOT / document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_readmes_docker_lines_are_those_that_the_container_tests_run():
    lines = {line for line in DOCUMENTS["README.md"].splitlines() if line.startswith("docker ")}
    assert lines
    assert lines <= set(DOCUMENTS["docs/image.md"].splitlines())
