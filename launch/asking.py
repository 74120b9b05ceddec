"""Send pictures to an endpoint of any kind, and return its answers."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from classifier import streams
from classifier.errors import UserError
from launch import asynchronous, endpoints, multimodel
from launch.aws import Aws
from local import sending


def ask_endpoint(
    aws: Aws, name: str, sent: Iterable[tuple[str, bytes]], model: str = "", attributes: str = ""
) -> Iterator[dict]:
    """Yield the answers of the endpoint, or of one of its models, for named pictures, until one is refused."""
    if endpoints.is_asynchronous(aws, name):
        if model:
            raise UserError(f"--model has no effect: {name} is asynchronous, and has one model")
        submitted, refusal = [], None
        try:
            for file, data in sent:
                submitted.append((file, data, asynchronous.submit(aws, name, data, attributes)))
        except Exception as error:  # told once those before have their answers
            refusal = error
        yield from collect(submitted)
        if refusal:
            raise refusal
        return
    send = endpoint_sender(aws, name, model, attributes)
    yield from (sending.classify(file, data, send) for file, data in sent)


def collect(submitted: Sequence[tuple[str, bytes, asynchronous.Answer]]) -> Iterator[dict]:
    """Yield the answers to submitted pictures; if one does not come, say where those after it will be."""
    for number, (file, data, answer) in enumerate(submitted, 1):
        try:
            found = sending.classify(file, data, answer)
        except BaseException:
            for later, _, left in submitted[number:]:
                streams.tell(f"{left.output} will be the answer to {later}")
            raise
        yield found


def endpoint_sender(aws: Aws, name: str, model: str = "", attributes: str = "") -> Callable[[bytes], bytes]:
    """Return a function that sends bytes to the endpoint and returns its answer, an error's too."""
    runtime = aws.session.client("sagemaker-runtime")
    given = {"EndpointName": name, "ContentType": sending.IMAGE_TYPE} | multimodel.target(model)
    given |= {"CustomAttributes": attributes} if attributes else {}

    def send(data: bytes) -> bytes:
        try:
            return runtime.invoke_endpoint(**given, Body=data)["Body"].read()
        except runtime.exceptions.ModelError as error:
            return error.response.get("OriginalMessage", str(error)).encode()

    return send
