from dataclasses import replace

import pytest

from classifier import artifact, onnx_network
from classifier.artifact import Artifact
from classifier.artifact_fields import NETWORK_FILE, WEIGHTS_FILE
from classifier.errors import UserError
from classifier.training.artifact_files import save_artifact
from classifier.training.export_onnx import add_onnx
from networks import trained

ABOUT = Artifact(tuple("abcdefghij"), 64, 1e-5, temperature=2.0)


def test_the_network_is_added(tmp_path):
    save_artifact(tmp_path, ABOUT, trained().state_dict())
    before = artifact.read(tmp_path)
    assert before.sha256.keys() == {WEIGHTS_FILE}
    add_onnx(tmp_path)
    about = artifact.read(tmp_path)
    assert about.sha256.keys() == {WEIGHTS_FILE, NETWORK_FILE}
    assert about.networks_key == about.key
    assert replace(about, sha256=before.sha256, networks_key=before.networks_key) == before


def test_a_network_that_answers_otherwise_is_not_added(tmp_path, monkeypatch):
    save_artifact(tmp_path, ABOUT, trained().state_dict())
    build = onnx_network.build
    monkeypatch.setattr(
        onnx_network, "build", lambda about, *rest, **more: build(replace(about, temperature=1.0), *rest, **more)
    )
    with pytest.raises(UserError, match=r"model.onnx: an answer differs by 0\.\d+ from the network's; accepted: "):
        add_onnx(tmp_path)
    assert artifact.read(tmp_path).sha256.keys() == {WEIGHTS_FILE}
