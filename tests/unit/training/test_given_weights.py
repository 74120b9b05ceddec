import math
import os
import pickle
import re
import zipfile
from argparse import Namespace

import numpy as np
import pytest
import safetensors.torch
import torch

from classifier.artifact import Artifact
from classifier.training.artifact_files import save_artifact
from classifier.training.hyperparameters import Hyperparameters
from starting_points import FIVE, build, refusal, starting_point, write_artifact


@pytest.fixture
def artifact_channel(tmp_path):
    return write_artifact(tmp_path / "model")


def test_without_the_file_of_imagenet_weights_there_is_no_silent_random_start(tmp_path):
    sentence = refusal(Hyperparameters(), {}, tmp_path)
    assert sentence.startswith(f"weights=imagenet, but there is no resnet18.pth with its checksum in {tmp_path}; ")
    assert sentence.endswith("a channel 'pretrained' with a torchvision ResNet18 file, or weights=none")


def test_an_earlier_artifact_with_values_that_are_not_finite(artifact_channel):
    weights = build(1).state_dict() | {"fc.bias": torch.full((5,), math.nan)}
    save_artifact(artifact_channel, Artifact(classes=FIVE, image_size=32, eps=1e-5), weights)
    sentence = refusal(Hyperparameters(), {"model": artifact_channel})
    assert sentence.startswith(f"{artifact_channel}/model.safetensors: 'fc.bias' has values that are not finite")


def test_a_damaged_earlier_artifact_is_refused(artifact_channel):
    weights = artifact_channel / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert f"{weights} is damaged or truncated" in refusal(Hyperparameters(), {"model": artifact_channel})


def test_two_sources_are_refused(artifact_channel):
    channels = {"model": artifact_channel, "pretrained": artifact_channel}
    assert refusal(Hyperparameters(), channels).endswith("accepted: one of them")
    for channel in ("model", "pretrained"):
        sentence = refusal(Hyperparameters(weights="none"), {channel: artifact_channel})
        expected = f"weights=none asks for a random start, but there is a channel {channel!r}; accepted: one of them"
        assert sentence == expected


@pytest.mark.parametrize(
    ("names", "found"),
    [((), "no file"), (("one.pth", "two.pth"), "'one.pth', 'two.pth'"), (("readme.txt",), "'readme.txt'")]
    + [((name,), f"'{name}'") for name in ("model.bin", "model_best.pth.tar", "last.ckpt", "pth", "model.tar.gz")]
    + [
        ((".pth", "._r.pth"), "no file"),
        (("w.pth/",), "'w.pth' (a folder)"),
        (("a.PTH", "b.SafeTensors"), "'a.PTH', 'b.SafeTensors'"),
    ],
)
def test_a_pretrained_channel_with_no_or_many_files(tmp_path, names, found):
    for name in names:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    sentence = refusal(Hyperparameters(), {"pretrained": tmp_path})
    accepted = "one .pth, .pt or .safetensors file; rename a .bin, .ckpt or .pth.tar file that torch.save wrote"
    assert sentence == f"channel 'pretrained' has {found}; accepted: {accepted}"


@pytest.mark.parametrize("name", ["R.PTH", "r.Pt", "R.SAFETENSORS"])
def test_the_only_file_is_taken_whatever_systems_put_beside_it(tmp_path, name):
    save = torch.save if "P" in name else safetensors.torch.save_file
    save(build(1).state_dict(), tmp_path / name)
    for hidden in ("._R.pth", ".DS_Store"):
        (tmp_path / hidden).write_bytes(b"Mac")
    (tmp_path / "folder.pth").mkdir()
    os.mkfifo(tmp_path / "pipe.pth")
    start = starting_point(Hyperparameters(), {"pretrained": tmp_path})
    assert start.origin == f"channel pretrained ({name})"


@pytest.mark.parametrize("data", [b"damaged", b"PK\x03", b"\x80\x02", bytes(1000), pickle.dumps({"a": 1}, 4)])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_damaged_file_of_weights(tmp_path, suffix, data):
    (tmp_path / f"w{suffix}").write_bytes(data)
    sentence = refusal(Hyperparameters(), {"pretrained": tmp_path})
    if data.startswith(b"\x80\x04") and suffix == ".pth":
        assert "is not a readable file" in sentence
    assert f"w{suffix} is not a readable file of weights: it is damaged" in sentence
    assert sentence.endswith("accepted: tensors by name, as torch.save(model.state_dict(), FILE) writes them")


@pytest.mark.parametrize("method", [1, 8, 9, 12, 14, 99])
def test_a_packing_that_the_archive_does_not_have(tmp_path, method):
    """The method in a zip archive's directory and in its heads is another one, such as deflate."""
    torch.save(build(1).state_dict(), tmp_path / "w.pth")
    data = bytearray((tmp_path / "w.pth").read_bytes())
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = data.find(mark)
        while at >= 0:
            data[at + offset : at + offset + 2] = method.to_bytes(2, "little")
            at = data.find(mark, at + 4)
    (tmp_path / "w.pth").write_bytes(data)
    assert "w.pth is not a readable file of weights: it is damaged (" in refusal(
        Hyperparameters(), {"pretrained": tmp_path}
    )


def test_a_truncated_file_of_weights(tmp_path):
    torch.save(build(1).state_dict(), tmp_path / "w.pth")
    data = (tmp_path / "w.pth").read_bytes()
    for length in (3, 100, 1_000_000, -1000):
        (tmp_path / "w.pth").write_bytes(data[:length])
        assert "w.pth is not a readable file of weights: it is damaged" in refusal(
            Hyperparameters(), {"pretrained": tmp_path}
        )


def test_one_changed_bit_of_a_weight_is_noticed(tmp_path):
    weights = build(1).state_dict()
    torch.save(weights, tmp_path / "w.pth")
    data = (tmp_path / "w.pth").read_bytes()
    place = data.index(weights["layer4.1.conv2.weight"].numpy().tobytes())
    (tmp_path / "w.pth").write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    sentence = refusal(Hyperparameters(), {"pretrained": tmp_path})
    assert "w.pth is not a readable file of weights: it is damaged (w/data/" in sentence


@pytest.mark.parametrize("is_packed", [True, False])
def test_a_file_that_is_far_too_large_is_not_read(tmp_path, monkeypatch, is_packed):
    monkeypatch.setattr("classifier.training.given_weights.MOST_BYTES", 50_000_000)
    torch.save(build(1).state_dict(), tmp_path / "w.pth")
    if is_packed:
        with zipfile.ZipFile(tmp_path / "w.pth", "a", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("w/data/zeros", bytes(10_000_000))
    else:
        os.truncate(tmp_path / "w.pth", 60_000_000)
    assert re.fullmatch(
        r".*/w.pth has [56]\d,\d{3},\d{3} bytes; accepted: up to 50,000,000, and resnet18 has 47 million",
        refusal(Hyperparameters(), {"pretrained": tmp_path}),
    )


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("weights", "holds"),
    [
        (lambda: build(1), "classifier.network.ResNet18"),
        (lambda: {"conv1.weight": print}, "print"),
        (lambda: {"state_dict": build(1).state_dict(), "best": np.float64(1)}, "scalar"),
        (lambda: build(1).state_dict() | {"arguments": Namespace(lr=1)}, "argparse.Namespace"),
    ],
)
def test_a_file_that_would_run_code_is_refused_in_our_words(tmp_path, weights, holds, zipped):
    torch.save(weights(), tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    sentence = refusal(Hyperparameters(), {"pretrained": tmp_path})
    assert re.search(
        rf"w.pth is not a readable file of weights: it holds [\w.]*{holds}, such as a whole model", sentence
    )
    assert sentence.endswith("accepted: tensors by name, as torch.save(model.state_dict(), FILE) writes them")
    assert "weights_only" not in sentence
    assert sentence.isprintable()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_was_fetched_instead_of_weights_is_named(tmp_path, suffix):
    (tmp_path / f"w{suffix}").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 45\n")
    sentence = refusal(Hyperparameters(), {"pretrained": tmp_path})
    assert f"w{suffix} is not a readable file of weights: it is a pointer of Git LFS: git lfs pull" in sentence


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_program_is_refused_in_our_words(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "w.pt"))
    sentence = refusal(Hyperparameters(), {"pretrained": tmp_path})
    assert "w.pt is not a readable file of weights: it is a TorchScript program; accepted: tensors by name" in sentence
