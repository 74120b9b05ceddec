"""A server like AWS's sample of a custom container: Flask, for gunicorn's sync workers."""

import io

import flask
import resnet18
import torch
from PIL import Image

app = flask.Flask(__name__)


class Service:
    model = None

    @classmethod
    def get_model(cls):
        if cls.model is None:
            cls.model = resnet18.load()
        return cls.model

    @classmethod
    def predict(cls, data: bytes) -> list[dict]:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        with torch.no_grad():
            return resnet18.top(cls.get_model()(resnet18.TRANSFORM(image)[None])[0])


@app.route("/ping")
def ping():
    return flask.Response("\n", 200 if Service.get_model() is not None else 404, mimetype="application/json")


@app.route("/invocations", methods=["POST"])
def invocations():
    return flask.jsonify(predictions=Service.predict(flask.request.data))
