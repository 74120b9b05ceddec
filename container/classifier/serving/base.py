"""What the applications share: one sentence for each error, the request's trace, and its headers."""

import logging
from pathlib import Path

from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge, ServiceUnavailable
from werkzeug.wrappers import Response as BaseResponse

from classifier.serving import accesslog, answers
from classifier.words import plural

log = logging.getLogger(__name__)

RETRY_AFTER_S = 2


def new_app(max_payload_mb: int, accepted: str) -> Flask:
    """Return a WSGI application whose errors are sentences; `accepted` has the requests that it will take."""
    app = Flask(__name__, static_folder=None, template_folder=str(Path(__file__).parent))
    app.config["MAX_CONTENT_LENGTH"], app.config["ACCEPTED"] = max_payload_mb << 20, accepted
    app.url_map.merge_slashes = False  # else //ping would be redirected, to what the Host header says
    app.jinja_env.filters["plural"] = plural
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected_error)
    app.before_request(_begin_trace)
    app.after_request(_add_headers)
    return app


def unavailable(sentence: str) -> ServiceUnavailable:
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


def _http_error(error: HTTPException) -> BaseResponse:
    response = error.get_response()  # with its headers, such as Allow and Retry-After
    most_mb = (request.max_content_length or 0) >> 20
    sentences: dict[type[HTTPException], str] = {
        NotFound: f"no such path: {request.path}; accepted: {current_app.config['ACCEPTED']}",
        MethodNotAllowed: f"{request.path} does not take {request.method}; accepted: {response.headers.get('Allow')}",
        RequestEntityTooLarge: f"the request body is larger than {most_mb} MB, the most that is accepted",
    }
    response.data = answers.error_body(sentences.get(type(error)) or error.description or error.name)
    response.mimetype = "application/json"
    return response


def _unexpected_error(error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return Response(
        answers.error_body("the server failed on this request; its log says why"), 500, mimetype="application/json"
    )
