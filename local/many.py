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

    Starts the server, with all models that it had, if it does not run. Raises UserError if the server refuses.
    """
    url = running()
    if url:
        ask("DELETE", f"{url}/models/{model}")  # an earlier one of this name
    folder = home() / "models" / model / "model"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    url = url or server.start(home(), image, SWITCH)
    loaded = {one["modelName"] for one in ask("GET", f"{url}/models")["models"]}
    for name in sorted({path.name for path in (home() / "models").iterdir()} - loaded):
        place = Path("/opt/ml") if image else home()
        answer = ask("POST", f"{url}/models", {"model_name": name, "url": str(place / "models" / name / "model")})
        if "error" in answer:
            raise UserError(f"the server refused {name}: {answer['error']}")
    return url


def running() -> str:
    """Return the URL of the server of many models; "" if none runs here."""
    if not server.running():
        return ""
    url = places.latest("local_url")
    return url if "models" in ask("GET", f"{url}/models") else ""


def ask(method: str, url: str, body: Any = None) -> dict[str, Any]:
    """Return the server's answer, an error's too. Raises UserError if it does not answer."""
    import requests

    try:
        return requests.request(method, url, json=body, timeout=SECONDS).json()
    except (OSError, ValueError) as error:
        raise UserError(f"the server at {url} does not answer: {error}") from error
