import bz2
import gzip
import io
import lzma
import os
import tarfile

import pytest

from classifier.training.hyperparameters import Hyperparameters
from starting_points import FIVE, refusal, starting_point, write_artifact


@pytest.fixture
def artifact_channel(tmp_path):
    return write_artifact(tmp_path / "model")


def archive(path, members):
    """Write a model.tar.gz: names to bytes, files, or members that have no data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=0) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            else:
                member.type, member.linkname = content
                tar.addfile(member)
    return {"model": path.parent}


@pytest.fixture
def contents(artifact_channel):
    return {path.name: path.read_bytes() for path in artifact_channel.iterdir()}


@pytest.mark.parametrize("prefix", ["", "./", "model/", "./model/", "model/../"])
def test_an_earlier_artifact_may_be_sagemakers_archive(contents, tmp_path, prefix):
    others = {"report.html": b"a", "code/inference.py": b"b", "a/b/model.json": b"c", "._model.json": b"d"}
    packed = others | {f"{prefix}{name}": data for name, data in contents.items()}
    channels = archive(tmp_path / "channel/model.tar.gz", packed)
    assert starting_point(Hyperparameters(), channels).classes == FIVE


@pytest.mark.parametrize(
    "prefix", ["a/b/", "/", "../", "/abs/", "a/../../"], ids=["deep", "root", "outside", "absolute", "around"]
)
def test_an_artifact_elsewhere_in_the_archive_names_the_archive(contents, tmp_path, prefix):
    path = tmp_path / "channel/model.tar.gz"
    sentence = refusal(Hyperparameters(), archive(path, {f"{prefix}{name}": data for name, data in contents.items()}))
    expected = "expected model.json and model.safetensors, at its top or in one folder; found "
    assert sentence.startswith(f"no model artifact in {path}: {expected}'{prefix}model.")


def test_two_artifacts_in_the_archive(contents, tmp_path):
    path = tmp_path / "channel/model.tar.gz"
    both = {f"{folder}/{name}": data for folder in "ab" for name, data in contents.items()}
    assert f"no model artifact in {path}: " in refusal(Hyperparameters(), archive(path, both))


@pytest.mark.parametrize(("name", "fault"), [("model.json", "not valid JSON"), ("model.safetensors", "damaged")])
def test_a_fault_of_a_file_in_the_archive_is_named_with_the_archive(contents, tmp_path, name, fault):
    path = tmp_path / "channel/model.tar.gz"
    sentence = refusal(Hyperparameters(), archive(path, contents | {name: b"{"}))
    assert sentence.startswith(f"{path}/{name} is {fault}")


def test_an_archive_in_a_folder_of_the_channel(contents, tmp_path):
    """As in a job's output in S3."""
    archive(tmp_path / "channel/output/model.tar.gz", contents)
    (tmp_path / "channel/debug-output").mkdir()
    channels = {"model": tmp_path / "channel"}
    assert starting_point(Hyperparameters(), channels).classes == FIVE
    archive(tmp_path / "channel/other/model.tar.gz", contents)
    assert refusal(Hyperparameters(), channels) == (
        "channel 'model' has 'other/model.tar.gz', 'output/model.tar.gz'; "
        "accepted: one archive, under the name model.tar.gz"
    )


@pytest.mark.parametrize("name", ["my.tar.gz", "Model.tar.gz", "model.tgz", "model.tar", "model (1).tar.gz"])
def test_an_archive_of_another_name(contents, tmp_path, name):
    sentence = refusal(Hyperparameters(), archive(tmp_path / "channel" / name, contents))
    assert sentence == f"channel 'model' has '{name}'; accepted: one archive, under the name model.tar.gz"


@pytest.mark.parametrize("link", [(tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, "x"), (tarfile.FIFOTYPE, "")])
def test_links_and_pipes_in_the_archive_are_not_unpacked(contents, tmp_path, link):
    path = tmp_path / "channel/model.tar.gz"
    sentence = refusal(Hyperparameters(), archive(path, contents | {"model.safetensors": link}))
    assert sentence == f"{path}/model.safetensors is missing"


def test_an_archive_that_is_too_large_unpacked(contents, tmp_path, monkeypatch):
    monkeypatch.setattr("classifier.training.archive.MOST_BYTES", 50_000_000)
    path = tmp_path / "channel/model.tar.gz"
    sentence = refusal(Hyperparameters(), archive(path, contents | {"zeros": bytes(9_000_000)}))
    assert sentence == f"{path} has more than 50,000,000 bytes unpacked; accepted: up to that many"
    starting_point(Hyperparameters(), archive(path, contents))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"not an archive",
        lambda data: b"",
        lambda data: data[:-10],
        lambda data: data[:1000],
        lambda data: data[:1000] + bytes(1000) + data[2000:],
        lambda data: data[:-8] + bytes(8),
        lambda data: gzip.compress(b"x" * 5000),
        lambda data: gzip.compress(gzip.decompress(data)[:100]),
    ],
)
def test_a_damaged_archive(contents, tmp_path, damage):
    path = tmp_path / "channel/model.tar.gz"
    channels = archive(path, contents)
    path.write_bytes(damage(path.read_bytes()))
    sentence = refusal(Hyperparameters(), channels)
    assert sentence.startswith(f"{path} cannot be unpacked: ")
    assert sentence.endswith("; accepted: a tar file, packed with gzip or not at all")


@pytest.mark.parametrize(("module", "how"), [(bz2, "bzip2"), (lzma, "xz")])
def test_an_archive_packed_otherwise_than_its_name_says(contents, tmp_path, module, how):
    path = tmp_path / "channel/model.tar.gz"
    channels = archive(path, contents)
    path.write_bytes(module.compress(b"a tar file"))
    sentence = f"{path} is packed with {how}; accepted: a tar file, packed with gzip or not at all"
    assert refusal(Hyperparameters(), channels) == sentence


def test_a_pipe_in_place_of_the_archive_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "model.tar.gz")
    assert refusal(Hyperparameters(), {"model": tmp_path}) == f"{tmp_path}/model.tar.gz is not a regular file"


def test_a_plain_tar_file_under_that_name(contents, tmp_path):
    path = tmp_path / "channel/model.tar.gz"
    channels = archive(path, contents)
    path.write_bytes(gzip.decompress(path.read_bytes()))
    assert starting_point(Hyperparameters(), channels).classes == FIVE
