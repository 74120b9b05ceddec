"""A server like AWS's sample of a custom container, with OpenVINO: Flask, for gunicorn's sync workers, one per core.

Environment: MODEL; FILE, its ONNX file. github.com/aws/amazon-sagemaker-examples: scikit_bring_your_own.
"""

import decoders
import engines
import flask
from shared import FILE, SIZE, answer

app = flask.Flask(__name__)


class Service:
    model = None

    @classmethod
    def get_model(cls):
        if cls.model is None:
            cls.model = engines.openvino(FILE, threads=1, batch=1)
        return cls.model

    @classmethod
    def predict(cls, data: bytes) -> dict:
        return answer(cls.get_model()(decoders.by_pillow(data, SIZE)[None])[0])


@app.route("/ping")
def ping():
    return flask.Response("\n", 200 if Service.get_model() is not None else 404, mimetype="application/json")


@app.route("/invocations", methods=["POST"])
def invocations():
    return flask.jsonify(Service.predict(flask.request.data))
