import hashlib
from dataclasses import replace

import pytest

from classifier import artifact
from classifier.artifact import Artifact
from classifier.artifact_fields import NETWORK_FILE
from classifier.serving.renamed import warn_of_renamed
from conftest import CLASSES


@pytest.fixture
def about(artifact_folder) -> Artifact:
    return artifact.read(artifact_folder)


def test_names_that_are_those_of_the_network(artifact_folder, about, caplog, monkeypatch):
    monkeypatch.setattr(artifact, "read_file", None)  # the whole file is not read for that
    warn_of_renamed(artifact_folder, about)
    assert not caplog.records


@pytest.mark.parametrize(
    ("classes", "renamed"),
    [
        (("pug", *CLASSES[1:]), "'pug' is 'mops' there"),
        ((CLASSES[1], CLASSES[0], *CLASSES[2:]), "'Käse, alt' is 'mops' there, 'mops' is 'Käse, alt' there"),
        (CLASSES[::-1], "'g' is 'mops' there, 'f' is 'Käse, alt' there, 'e' is 'a \"b\"' there and 3 more"),
    ],
    ids=["one", "swapped", "many"],
)
def test_the_log_names_what_differs(artifact_folder, about, caplog, classes, renamed):
    warn_of_renamed(artifact_folder, replace(about, classes=classes))
    (record,) = caplog.records
    assert (
        record.getMessage()
        == ("answers have the class names of model.json, and model.onnx still has others, which other tools show: ")
        + renamed
    )


@pytest.mark.parametrize("network", [b"", b"no network"])
def test_a_network_without_names(tmp_path, about, caplog, network):
    (tmp_path / NETWORK_FILE).write_bytes(network)
    warn_of_renamed(tmp_path, replace(about, sha256={}))
    warn_of_renamed(tmp_path, replace(about, sha256={NETWORK_FILE: hashlib.sha256(network).hexdigest()}))
    assert not caplog.records
