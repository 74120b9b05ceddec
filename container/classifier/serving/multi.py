"""SageMaker's contract for many models over HTTP: it loads, lists, unloads and invokes them by their names.

docs.aws.amazon.com/sagemaker/latest/dg/mms-container-apis.html
"""

import json
import logging
import os
import re
import threading
import time
from bisect import bisect_right
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import BadRequest, HTTPException

from classifier.contract import Contract
from classifier.errors import UserError
from classifier.json_text import parse_json, shown
from classifier.serving.app import answer_images, new_app, unavailable
from classifier.serving.decoding import Decoder
from classifier.serving.models import AlreadyLoaded, Models, NoMemory, NotLoaded, NotYetLoaded
from classifier.serving.share import Share
from classifier.words import plural

log = logging.getLogger(__name__)

ACCEPTED = "GET /ping, GET or POST /models, GET or DELETE /models/NAME, POST /models/NAME/invoke"
# As other servers of many models have it.
NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,255}")
NAMED = "up to 256 letters, digits and . _ -, of which the first is a letter or digit"
KEYS = {"model_name", "url"}
# A load's request is short.
MOST_BYTES = 8192
# Models on a page of the list, and what the next page's token has before the last one's name, as no name has it.
PAGE = 100
AFTER = "after:"


class Problem(HTTPException):
    """An answer of the contract's own: 404, 409 or 507, with a sentence."""

    def __init__(self, code: int, sentence: str):
        super().__init__(sentence)
        self.code = code


def create_app(models: Models, is_ready: threading.Event, contract: Contract, share: Share) -> Flask:
    """Return the WSGI application, which answers 503 until `is_ready`."""
    app = new_app(contract.max_payload_mb, ACCEPTED)
    decoder = Decoder(share, reserved=models.most_bytes)

    @app.before_request
    def refuse() -> None:
        if request.path != "/ping" and not is_ready.is_set():
            raise unavailable("the server is still starting; GET /ping answers 200 once it is ready")

    @app.get("/ping")
    def ping() -> Response:
        return Response(status=200 if is_ready.is_set() else 503, mimetype="text/plain")

    @app.get("/models")
    def list_models() -> Response:
        urls, after = models.urls(), _read_token(request.args.get("next_page_token", ""))
        names = list(urls)
        start = bisect_right(names, after)
        page = names[start : start + PAGE]
        more = {"nextPageToken": AFTER + page[-1]} if start + PAGE < len(names) else {}
        return _json({"models": [_described(name, urls[name]) for name in page]} | more)

    @app.post("/models")
    def load() -> Response:
        name, url = _read_load(contract.models)
        start = time.monotonic()
        try:
            model = models.load(name, url)
        except AlreadyLoaded as error:
            raise Problem(409, f"the model {name} is loaded already, or is being loaded") from error
        except NoMemory as error:
            raise Problem(507, f"there is no memory for the model {name}: {error}; unload another first") from error
        except UserError as error:
            raise BadRequest(f"the model {name} cannot be loaded: {error}") from error
        log.info("loaded %s in %.1f s: %s", name, time.monotonic() - start, model.about)
        return _json(_described(name, url))

    @app.get("/models/<name>")
    def describe(name: str) -> Response:
        urls = models.urls()
        if name not in urls:
            raise _unknown(name)
        return _json(_described(name, urls[name]))

    @app.delete("/models/<name>")
    def unload(name: str) -> Response:
        try:
            models.unload(name)
        except NotLoaded as error:
            raise _unknown(name) from error
        log.info("unloaded %s", name)
        return _json({})

    @app.post("/models/<name>/invoke")
    def invoke(name: str) -> Response:
        try:
            with models.lend(name) as model:
                return answer_images(model, decoder)
        except NotYetLoaded as error:
            raise unavailable(f"the model {name} is being loaded; GET /models lists it once it is there") from error
        except NotLoaded as error:
            raise _unknown(name) from error

    return app


def _read_token(token: str) -> str:
    """Return after which name the page begins, which may have been unloaded since; "" for the first one."""
    name = token.removeprefix(AFTER)
    if token and (name == token or not NAME.fullmatch(name)):
        raise BadRequest(f"next_page_token is {shown(token)}; accepted: the nextPageToken of the page before")
    return name


def _read_load(home: Path) -> tuple[str, str]:
    """Return name and folder of the model that the current request wants loaded; it must be below `home`."""
    body = request.get_data(cache=False)
    if len(body) > MOST_BYTES:
        raise BadRequest(f"the request body has {plural(len(body), 'byte')}; accepted: up to {MOST_BYTES:,}")
    try:
        value: Any = parse_json(body.decode())
    except ValueError as error:
        raise BadRequest(f"the request body is not valid JSON: {error}") from error
    if not isinstance(value, dict) or not value.keys() >= KEYS:
        form = '{"model_name": "NAME", "url": "' + f'{home}/NAME/model"' + "}"
        raise BadRequest(f"the request body is {shown(value)}; accepted: {form}")
    name, url = value["model_name"], value["url"]
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadRequest(f"model_name is {shown(name)}; accepted: {NAMED}")
    if not isinstance(url, str) or not _is_below(url, home):
        raise BadRequest(f"url is {shown(url)}; accepted: a folder below {home}")
    if not os.path.isdir(url):  # noqa: PTH112 (pathlib's raises if the name is too long, or may not be looked at)
        raise BadRequest(f"url is {shown(url)}, where no folder is; accepted: a folder below {home}")
    return name, url


def _is_below(url: str, home: Path) -> bool:
    """Return whether `url` is below `home`, wherever links lead."""
    try:
        home, path = home.resolve(), Path(url).resolve()
        return Path(url).is_absolute() and home in path.parents
    except (OSError, ValueError, RuntimeError):  # a name that is too long or has a zero byte, or links in a circle
        return False


def _described(name: str, url: str) -> dict[str, str]:
    return {"modelName": name, "modelUrl": url}


def _unknown(name: str) -> Problem:
    return Problem(404, f"the model {shown(name)} is not loaded")


def _json(value: object) -> Response:
    return Response(json.dumps(value) + "\n", mimetype="application/json")
