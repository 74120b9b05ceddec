"""Many models in one server on this computer: what SageMaker does for a multi-model endpoint, without AWS."""

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

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


def add(source: Path, model: str, image: str) -> str:
    """Copy the artifact in the folder `source`, load it as `model` into the server of many models, and return its URL.

    Starts the server if it does not run, and then loads what it had before. Raises UserError if it refuses `model`.
    """
    url = running()
    if url:
        ask("DELETE", f"{url}/models/{model}")  # an earlier one of this name
    folder = home() / "models" / model / "model"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    url = url or server.start(home(), image, SWITCH)
    load(url, model, image)
    others = {path.name for path in (home() / "models").iterdir()}
    for name in sorted(others - {one["modelName"] for one in ask("GET", f"{url}/models")["models"]}):
        try:
            load(url, name, image)
        except UserError as error:
            print(error)
    return url


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
