"""SageMaker's serving contract over HTTP: /ping, /invocations and /execution-parameters. Knows no torch."""

import json
import logging
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import numpy as np
from flask import Flask, Response, g, render_template, request
from werkzeug.exceptions import BadRequest, HTTPException, ServiceUnavailable
from werkzeug.wrappers import Response as BaseResponse

from classifier.images import ImageError
from classifier.serving import accesslog, answers, inputs, openapi
from classifier.serving.accesslog import Trace
from classifier.serving.answers import Answer
from classifier.serving.batcher import Expired
from classifier.serving.decoding import Decoder
from classifier.serving.remote import ModelGone
from classifier.serving.share import Share

log = logging.getLogger(__name__)

RETRY_AFTER_S = 2
# CreateTransformJob refuses jobs with more MB in flight.
TRANSFORM_MB = 100
# SageMaker ends an invocation after this time.
DEADLINE_S = 60


# The page is one file: its own style and script, and pictures that the user has chosen.
PAGE_POLICY = (
    "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"}


class Model(NamedTuple):
    """The loaded model: a short description, its classes, the side of its input in pixels, and a batcher's submit().

    `is_ready` says whether it can answer now.
    """

    about: str
    classes: tuple[str, ...]
    image_size: int
    submit: Callable[[np.ndarray, float], Future]
    is_ready: Callable[[], bool] = lambda: True


def create_app(model: Future, max_payload_mb: int, share: Share) -> Flask:
    """Return the WSGI application.

    `model` gets its result once the model is warmed up. A body may have up to `max_payload_mb` MiB, and up to
    `share.cores` images are decoded at a time.
    """
    app = Flask(__name__, static_folder=None, template_folder=str(Path(__file__).parent))
    app.config["MAX_CONTENT_LENGTH"] = max_payload_mb << 20
    decoder = Decoder(share)

    def is_ready() -> bool:
        return model.done() and model.result().is_ready()

    @app.get("/")
    def page() -> Response:
        nonce = secrets.token_urlsafe(16)
        text = render_template("page.html", model=model.result() if model.done() else None, nonce=nonce)
        return Response(text, headers=PAGE_HEADERS | {"Content-Security-Policy": PAGE_POLICY.format(nonce=nonce)})

    @app.get("/ping")
    def ping() -> Response:
        return Response(status=200 if is_ready() else 503, mimetype="text/plain")

    @app.get("/execution-parameters")
    def execution_parameters() -> Response:
        parameters = {
            "MaxConcurrentTransforms": max(1, min(2 * share.all_cores, TRANSFORM_MB // max_payload_mb)),
            "BatchStrategy": "SINGLE_RECORD",
            "MaxPayloadInMB": max_payload_mb,
        }
        return Response(json.dumps(parameters), mimetype="application/json")

    @app.get("/openapi.json")
    def interface() -> Response:
        return Response(json.dumps(openapi.document(max_payload_mb)), mimetype="application/json")

    @app.post("/invocations")
    def invocations() -> Response:
        if not is_ready():
            raise _unavailable("the model is still loading; GET /ping answers 200 once it is ready")
        media_type = answers.choose_type(request.accept_mimetypes)
        queries = inputs.read_queries(request)
        try:
            answered = _classify(queries, model.result(), decoder, g.trace)
        except (Expired, TimeoutError) as error:
            raise _unavailable("the server has too many requests to answer this one in time") from error
        except ModelGone as error:
            raise _unavailable("the model's process has ended, and the next one is being started") from error
        if inputs.has_lines(request):
            media_type, body = answers.format_lines(media_type, answered)
            return Response(body, mimetype=media_type)
        (answer,) = answered
        if all("error" in result for result in answer.results):
            raise BadRequest("; ".join(_named_errors(answer.results)) if answer.many else answer.results[0]["error"])
        return Response(answers.format_answer(media_type, answer), mimetype=media_type)

    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected_error)
    app.before_request(_begin_trace)
    app.after_request(_add_headers)
    return app


def _classify(queries: list[inputs.Query], model: Model, decoder: Decoder, trace: Trace) -> list[Answer]:
    """Return each query's answer: for each image its classes, or why it could not be read.

    Raises Expired or TimeoutError if the request's time is over.
    """
    deadline = trace.start + DEADLINE_S
    trace.images = sum(len(query.images) for query in queries)
    answered: list[Answer] = []
    submitted: list[tuple[dict, Future, int]] = []
    # Since the request's first byte.
    trace.queue_ms = 1000 * (time.monotonic() - trace.start)
    for query in queries:
        results: list[dict] = [{"error": query.error}] if query.error else [{} for _ in query.images]
        answered.append(Answer(results, query.many))
        for result, data in zip(results, query.images, strict=not query.error):
            try:
                pixels = decoder.pixels(data, model.image_size, deadline, trace)
                submitted.append((result, model.submit(pixels, deadline), query.k))
            except ImageError as error:
                result["error"] = str(error)
    for result, future, k in submitted:
        result["predictions"] = answers.top_classes(_wait(future, deadline, trace), model.classes, k)
    return answered


def _wait(future: Future, deadline: float, trace: Trace) -> np.ndarray:
    outcome = future.result(timeout=max(0, deadline - time.monotonic()))
    trace.queue_ms += outcome.queue_ms
    trace.model_ms += outcome.model_ms
    trace.batch_size = max(trace.batch_size, outcome.batch_size)
    return outcome.probabilities


def _unavailable(sentence: str) -> ServiceUnavailable:
    return ServiceUnavailable(sentence, retry_after=RETRY_AFTER_S)


def _begin_trace() -> None:
    ids = map(request.headers.get, accesslog.REQUEST_ID_HEADERS)
    g.trace = accesslog.name_request(f"{request.method} {request.path}", *ids)


def _add_headers(response: Response) -> Response:
    response.headers[accesslog.REQUEST_ID_HEADERS[0]] = g.trace.request_id
    if g.trace.images:
        times = {"decode": g.trace.decode_ms, "queue": g.trace.queue_ms, "model": g.trace.model_ms}
        response.headers["Server-Timing"] = ", ".join(f"{name};dur={ms:.1f}" for name, ms in times.items())
    return response


def _named_errors(results: list[dict]) -> list[str]:
    return [f"images[{i}]: {result['error']}" for i, result in enumerate(results)]


def _http_error(error: HTTPException) -> BaseResponse:
    response = error.get_response()  # with its headers, such as Allow and Retry-After
    sentences: dict[int | None, str] = {
        404: f"no such path: {request.path}; accepted: {', '.join(openapi.REQUESTS)}",
        405: f"{request.path} does not take {request.method}; accepted: {response.headers.get('Allow')}",
        413: f"the request body is larger than {(request.max_content_length or 0) >> 20} MB, the most that is accepted",
    }
    response.data = answers.error_body(sentences.get(error.code) or error.description or error.name)
    response.mimetype = "application/json"
    return response


def _unexpected_error(error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return Response(
        answers.error_body("the server failed on this request; its log says why"), 500, mimetype="application/json"
    )
