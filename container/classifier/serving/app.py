"""SageMaker's serving contract over HTTP: /ping, /invocations and /execution-parameters. Knows no torch."""

import json
import secrets
import time
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np
from flask import Flask, Response, g, render_template, request
from werkzeug.exceptions import BadRequest

from classifier.activation_maps import png_text
from classifier.images import CROP_FRACTION, ImageError
from classifier.serving import answers, inputs, openapi
from classifier.serving.accesslog import Trace
from classifier.serving.answers import Answer
from classifier.serving.base import new_app, unavailable
from classifier.serving.batcher import Expired
from classifier.serving.decoding import Decoder
from classifier.serving.examples import ADDRESS, examples
from classifier.serving.model import Model
from classifier.serving.query import ATTRIBUTES, Query
from classifier.serving.remote import ModelGone
from classifier.serving.share import Share

# CreateTransformJob refuses jobs with more MB in flight.
TRANSFORM_MB = 100
# SageMaker ends an invocation after this time.
DEADLINE_S = 60
# Of an image, the most probable classes first.
MOST_MAPS = 10


# The page is one file: its own style and script, and pictures that the user has chosen.
PAGE_POLICY = (
    "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"}


def create_app(model: Future, max_payload_mb: int, share: Share) -> Flask:
    """Return the WSGI application.

    `model` gets its result once the model is warmed up. A body may have up to `max_payload_mb` MiB, and up to
    `share.cores` images are decoded at a time.
    """
    app = new_app(max_payload_mb, ", ".join(openapi.REQUESTS))
    decoder = Decoder(share)

    def is_ready() -> bool:
        return model.done() and model.result().is_ready()

    @app.get("/")
    def page() -> Response:
        nonce = secrets.token_urlsafe(16)
        loaded = model.result() if model.done() else None
        about = {"crop": CROP_FRACTION, "attributes": ATTRIBUTES, "address": ADDRESS}
        shown = examples(loaded.classes) if loaded else []
        text = render_template("page.html", model=loaded, nonce=nonce, examples=shown, **about)
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
            raise unavailable("the model is still loading; GET /ping answers 200 once it is ready")
        return answer_images(model.result(), decoder)

    return app


def answer_images(model: Model, decoder: Decoder) -> Response:
    """Answer the current request's images by `model`. Raises HTTPException with a sentence for the client."""
    media_type = answers.choose_type(request.accept_mimetypes)
    queries = inputs.read_queries(request)
    if any(query.explain for query in queries):
        if not model.maps:
            raise BadRequest("explain is not accepted by a server of many models")
        if media_type == answers.CSV:
            raise BadRequest("explain is answered in JSON, not in CSV; accepted: another Accept header")
    try:
        answered = _classify(queries, model, decoder, g.trace)
    except (Expired, TimeoutError) as error:
        raise unavailable("the server has too many requests to answer this one in time") from error
    except ModelGone as error:
        raise unavailable("the model's process has ended, and the next one is being started") from error
    if inputs.has_lines(request):
        media_type, body = answers.format_lines(media_type, answered)
        return Response(body, mimetype=media_type)
    (answer,) = answered
    if all("error" in result for result in answer.results):
        raise BadRequest("; ".join(_named_errors(answer.results)) if answer.many else answer.results[0]["error"])
    return Response(answers.format_answer(media_type, answer), mimetype=media_type)


class _Submitted(NamedTuple):
    """An image on its way through the model, and the result that it will have."""

    result: dict
    outcome: Future
    query: Query
    pixels: np.ndarray


def _classify(queries: list[Query], model: Model, decoder: Decoder, trace: Trace) -> list[Answer]:
    """Return each query's answer: for each image its classes, or why it could not be read.

    Raises Expired or TimeoutError if the request's time is over.
    """
    deadline = trace.start + DEADLINE_S
    trace.images = sum(len(query.images) for query in queries)
    answered: list[Answer] = []
    submitted: list[_Submitted] = []
    # Since the request's first byte.
    trace.queue_ms = 1000 * (time.monotonic() - trace.start)
    for query in queries:
        results: list[dict] = [{"error": query.error}] if query.error else [{} for _ in query.images]
        answered.append(Answer(results, query.many))
        for result, data in zip(results, query.images, strict=not query.error):
            try:
                if isinstance(data, ImageError):
                    raise data
                pixels = decoder.pixels(data, model.image_size, deadline, trace)
                submitted.append(_Submitted(result, model.submit(pixels, deadline), query, pixels))
            except ImageError as error:
                result["error"] = str(error)
    for result, future, query, pixels in submitted:
        result |= answers.result_of(_wait(future, deadline, trace), model.classes, query.k)
        if query.model_sha256:
            result |= model.named
        if query.explain and model.maps:
            explained = result["predictions"][:MOST_MAPS]
            maps = model.maps.maps(pixels, [one["index"] for one in explained], max(0, deadline - time.monotonic()))
            for prediction, one in zip(explained, maps, strict=True):
                prediction["map"] = png_text(one)
    return answered


def _wait(future: Future, deadline: float, trace: Trace) -> np.ndarray:
    outcome = future.result(timeout=max(0, deadline - time.monotonic()))
    trace.queue_ms += outcome.queue_ms
    trace.model_ms += outcome.model_ms
    trace.batch_size = max(trace.batch_size, outcome.batch_size)
    return outcome.row


def _named_errors(results: list[dict]) -> list[str]:
    return [f"images[{i}]: {result['error']}" for i, result in enumerate(results)]
