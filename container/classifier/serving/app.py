"""SageMaker's serving contract over HTTP: /ping, /invocations and /execution-parameters. Knows no torch."""

import json
import logging
import threading
from concurrent.futures import Future

from flask import Flask, Response, request
from werkzeug.exceptions import BadRequest, HTTPException, ServiceUnavailable

from classifier import images
from classifier.serving import answers, inputs

log = logging.getLogger(__name__)

RETRY_AFTER_S = 2
# CreateTransformJob refuses more than this many MB in flight.
TRANSFORM_MB = 100
DRAINED_BYTES = 128 << 20


def create_app(predictor: Future, max_payload_mb: int, cores: int) -> Flask:
    """The WSGI application.

    `predictor` holds a Predictor once that has answered a warm-up; a body may have `max_payload_mb` MiB;
    `cores` images are decoded at once.
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = max_payload_mb << 20
    # An image may take 200 MB while it is decoded: as many at once as there are cores for, no more.
    decoding = threading.Semaphore(cores)

    @app.get("/ping")
    def ping() -> Response:
        return Response(status=200 if predictor.done() else 503, mimetype="text/plain")

    @app.get("/execution-parameters")
    def execution_parameters() -> Response:
        parameters = {
            "MaxConcurrentTransforms": max(1, min(2 * cores, TRANSFORM_MB // max_payload_mb)),
            "BatchStrategy": "SINGLE_RECORD",
            "MaxPayloadInMB": max_payload_mb,
        }
        return Response(json.dumps(parameters), mimetype="application/json")

    @app.post("/invocations")
    def invocations() -> Response:
        if not predictor.done():
            raise ServiceUnavailable(
                "the model is still loading; GET /ping answers 200 once it is ready", retry_after=RETRY_AFTER_S
            )
        media_type = answers.choose_type(request.accept_mimetypes)
        query = inputs.read(request)
        results = _classify(query, predictor.result(), decoding)
        return Response(answers.write(media_type, results, query.many), mimetype=media_type)

    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected_error)
    app.after_request(_drain)
    return app


def _classify(query: inputs.Query, predictor, decoding: threading.Semaphore) -> list[dict]:
    """One result for each image: its classes, or why it could not be read. Raises BadRequest where none could be."""
    size, classes = predictor.artifact.image_size, predictor.artifact.classes
    results: list[dict] = [{} for _ in query.images]
    readable, pixels = [], []
    for result, data in zip(results, query.images, strict=True):
        try:
            with decoding:
                pixels.append(images.evaluation_pixels(data, size))
            readable.append(result)
        except images.ImageError as error:
            result["error"] = str(error)
    if not readable:
        raise BadRequest("; ".join(_named_errors(results)) if query.many else results[0]["error"])
    for result, row in zip(readable, predictor.probabilities(pixels), strict=True):
        result["predictions"] = answers.top(row, classes, query.k)
    return results


def _named_errors(results: list[dict]) -> list[str]:
    return [f"images[{i}]: {result['error']}" for i, result in enumerate(results)]


def _http_error(error: HTTPException) -> Response:
    response = error.get_response()  # with its headers, such as Allow and Retry-After
    sentences = {
        404: f"no such path: {request.path}; accepted: POST /invocations, GET /ping, GET /execution-parameters",
        405: f"{request.path} does not take {request.method}; accepted: {response.headers.get('Allow')}",
        413: f"the request body is larger than {(request.max_content_length or 0) >> 20} MB, the most that is accepted",
    }
    response.data = _error_body(sentences.get(error.code) or error.description)
    response.mimetype = "application/json"
    return response


def _unexpected_error(error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return Response(
        _error_body("the server failed on this request; its log says why"), 500, mimetype="application/json"
    )


def _error_body(sentence: str) -> str:
    return json.dumps({"error": sentence}) + "\n"


def _drain(response: Response) -> Response:
    """Discard what a refused client is still sending.

    gunicorn discards 64 KB, then resets the connection, and the client might never read why it was refused.
    """
    if response.status_code >= 400:
        left = DRAINED_BYTES
        try:
            while left > 0 and (chunk := request.environ["wsgi.input"].read(1 << 16)):
                left -= len(chunk)
        except Exception as error:  # the client broke off
            log.debug("not drained: %s", error)
    return response
