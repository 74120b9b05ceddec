"""Many models in one server on this computer: what SageMaker does for a multi-model endpoint, without AWS."""

import filecmp
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

from classifier.artifact import METADATA_FILE
from classifier.errors import UserError
from local import places, server

SECONDS = 60
SWITCH = {"SAGEMAKER_MULTI_MODEL": "true"}


def invoke_path(model: str) -> str:
    """Return the path to which pictures for the model are sent; that of the one model for ""."""
    return f"/models/{quote(model, safe='')}/invoke" if model else "/invocations"


def home() -> Path:
    """Return the folder of the server of many models."""
    return places.RUNS / "multi-model"


def add(job: str, source: Path, model: str, image: str) -> str:
    """Copy a job's artifact in the folder `source`, load it as `model` into the server of many, and return its URL.

    Starts the server if it does not run, and then loads what it had before. Raises UserError if it refuses `model`.
    """
    url, place = running(), home() / "models" / model
    print(
        f"loading {job}'s model as {model} into the server at {url}" if url else server.STARTING.format(job), flush=True
    )
    new = place / "new"
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(source, new)  # before the name has no model for a while
    if url:
        ask("DELETE", f"{url}/models/{model}")  # an earlier one of this name
    if had := exchange(place, job):
        print(f"{model} had {had}, and has {job}'s now", flush=True)
    url = url or server.start(home(), image, SWITCH)
    load(url, model, image)
    others = {path.parent.name for path in (home() / "models").glob("*/model")}
    for name in sorted(others - {one["modelName"] for one in ask("GET", f"{url}/models")["models"]}):
        try:
            load(url, name, image)
        except UserError as error:
            print(error)
    return url


def exchange(place: Path, job: str) -> str:
    """Put the job's model, which is `new` in a name's folder, in its place; return in words which other one it had.

    That is "" if there was none, or the same one.
    """
    model, new, whose = place / "model", place / "new", place / "job"
    earlier, had = model / METADATA_FILE, ""
    if earlier.exists() and not filecmp.cmp(earlier, new / METADATA_FILE, shallow=False):
        before = whose.read_text() if whose.exists() else job  # earlier versions did not note it
        had = "another model" if before == job else f"{before}'s model"
    shutil.rmtree(model, ignore_errors=True)
    new.rename(model)
    whose.write_text(job)
    return had


def load(url: str, model: str, image: str) -> None:
    """Let the server load a model from its folder. Raises UserError if it refuses."""
    place = Path("/opt/ml") if image else home()
    asked = {"model_name": model, "url": str(place / "models" / model / "model")}
    answer = ask("POST", f"{url}/models", asked)
    if "error" in answer:
        raise UserError(f"the server refused {model}: {answer['error']}")


def running() -> str:
    """Return the URL of the server of many models; "" if none runs here."""
    if not server.running():
        return ""
    url = server.url()
    return url if "models" in ask("GET", f"{url}/models") else ""


def ask(method: str, url: str, body: Any = None) -> dict[str, Any]:
    """Return the server's answer, an error's too. Raises UserError if it does not answer."""
    import requests

    try:
        return requests.request(method, url, json=body, timeout=SECONDS).json()
    except (OSError, ValueError) as error:
        raise UserError(f"the server at {url} does not answer: {error}") from error
