"""The server's interface as OpenAPI 3.1, for GET /openapi.json; a test holds docs/serving.md's tables against these."""

from typing import Any

from classifier.serving import answers, inputs
from classifier.serving.query import ATTRIBUTES

REQUESTS = {
    "GET /ping": "200 and nothing else once the model has answered an image, 503 before",
    "POST /invocations": f"the classes of one image, or of up to {inputs.MAX_IMAGES}",
    "GET /": "a page to drop a picture on",
    "GET /execution-parameters": "what a batch transform job may send",
    "GET /openapi.json": "these tables as OpenAPI 3.1",
}
ERRORS = {
    "400": "no readable image, one that takes too much to decode, or JSON that is not as above or has a key twice; "
    "bytes that are not valid HTTP, such as no Host; more than 50,000 chunks",
    "404": "another path",
    "405": "another method",
    "406": "an Accept that is none of the above",
    "408": "not whole 60 s after its first byte",
    "413": "a body above 25 MB, or above SAGEMAKER_MAX_PAYLOAD_IN_MB",
    "414": "a request line above 4 kB",
    "415": "a Content-Type that is none of the above, a Content-Encoding such as gzip, or a "
    "Transfer-Encoding such as gzip, chunked",
    "431": "a head above 64 kB, one of its fields above 8 kB, or more than 100 fields",
    "501": "a Transfer-Encoding that HTTP does not know",
    "503": "the model is still loading; 512 requests wait already, or 256 MB of them; or no turn came within 60 s, and "
    "within 0.75 s to decode an image of more than 8 million pixels. With Retry-After",
}
TEXT, NUMBER = {"type": "string"}, {"type": "number", "minimum": 0, "maximum": 1}
COUNT = {"type": "integer", "minimum": 1}
PNG = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}
PREDICTION = {
    "type": "object",
    "required": ["class", "index", "probability"],
    "properties": {"class": TEXT, "index": {"type": "integer", "minimum": 0}, "probability": NUMBER, "map": PNG},
}
PREDICTIONS = {"type": "array", "items": {"$ref": "#/components/schemas/prediction"}}
ERROR = {"type": "object", "required": ["error"], "properties": {"error": TEXT}}
BASE64 = TEXT | {"contentEncoding": "base64"}
IMAGES = {"type": "array", "minItems": 1, "maxItems": inputs.MAX_IMAGES, "items": BASE64}


def document(max_payload_mb: int) -> dict[str, Any]:
    """Return the OpenAPI document of a server that takes bodies of up to so many MB."""
    paths: dict[str, dict[str, Any]] = {}
    for request, answer in REQUESTS.items():
        method, path = request.split()
        paths.setdefault(path, {})[method.lower()] = {"summary": answer, "responses": {"200": {"description": answer}}}
    paths["/ping"]["get"]["responses"]["503"] = {"description": "the model is not loaded yet"}
    paths["/invocations"]["post"] |= _invocations()
    info = {"title": "ResNet18 for SageMaker", "version": "1", "description": f"Bodies of up to {max_payload_mb} MB."}
    schemas = {"prediction": PREDICTION, "error": ERROR}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _invocations() -> dict[str, Any]:
    many = {
        "type": "object",
        "required": ["images"],
        "additionalProperties": False,
        "properties": {"images": IMAGES, "k": COUNT, "explain": {"type": "boolean"}},
    }
    one_image, lines = dict.fromkeys(inputs.IMAGE_TYPES, {}), dict.fromkeys(answers.LINES_TYPES, {})
    bodies = one_image | {answers.JSON: {"schema": {"anyOf": [many, BASE64]}}} | lines
    answered = {"predictions": PREDICTIONS, "known": {"type": "boolean"}, "model_sha256": TEXT, "answers_key": TEXT}
    one = {"type": "object", "properties": answered}
    result = {"type": "object", "properties": answered | {"error": TEXT}}
    several = {"type": "object", "properties": {"results": {"type": "array", "items": result}}}
    types = {name: {"schema": TEXT} for name in answers.FORMATTERS} | {
        answers.JSON: {"schema": {"anyOf": [one, several]}}
    }
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/error"}}}
    failures = {status: {"description": when, "content": error} for status, when in ERRORS.items()}
    attributes = {"name": ATTRIBUTES, "in": "header", "schema": TEXT, "example": "k=3;explain=true"}
    return {
        "parameters": [attributes],
        "requestBody": {"required": True, "content": bodies},
        "responses": {"200": {"description": "the most probable classes", "content": types}} | failures,
    }
