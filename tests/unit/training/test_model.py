import bz2
import gzip
import hashlib
import io
import lzma
import math
import os
import pickle
import re
import tarfile
import zipfile
from argparse import Namespace
from collections import OrderedDict

import numpy as np
import pytest
import safetensors.torch
import torch

from classifier import network
from classifier.artifact import Artifact
from classifier.errors import UserError
from classifier.layers import PARTS
from classifier.training.artifact_files import save_artifact
from classifier.training.given_weights import find_weights
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.model import frozen_parts, make_model, set_training_mode
from classifier.training.model import starting_point as read_weights

FIVE = ("a", "b", "c", "d", "e")


def build(seed, classes=5):
    torch.manual_seed(seed)
    return network.build(classes, eps=1e-5)


def starting_point(hp, channels, *imagenet_folder):
    return read_weights(find_weights(hp, channels, *imagenet_folder))


def refusal(hp, channels, folder=None):
    with pytest.raises(UserError) as refused:
        starting_point(hp, channels, *([folder] if folder else []))
    return str(refused.value)


@pytest.fixture
def artifact_channel(tmp_path):
    save_artifact(tmp_path / "model", Artifact(classes=FIVE, image_size=32, eps=1e-5), build(1).state_dict())
    return tmp_path / "model"


def test_weights_none_is_a_random_start():
    assert starting_point(Hyperparameters(weights="none"), {}) is None


def test_the_seed_decides_a_random_start():
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        models.append(make_model(FIVE, Hyperparameters(), None).conv1.weight)
    assert torch.equal(models[0], models[1])
    assert not torch.equal(models[0], models[2])


def test_eps_reaches_every_batch_normalisation_layer():
    layers = [m for m in make_model(FIVE, Hyperparameters(eps=3e-9), None).modules() if "BatchNorm" in type(m).__name__]
    assert len(layers) == 20
    assert {layer.eps for layer in layers} == {3e-9}


def test_without_the_file_of_imagenet_weights_there_is_no_silent_random_start(tmp_path):
    sentence = refusal(Hyperparameters(), {}, tmp_path)
    assert sentence.startswith(f"weights=imagenet, but there is no resnet18.pth with its checksum in {tmp_path}; ")
    assert sentence.endswith("a channel 'pretrained' with a torchvision ResNet18 file, or weights=none")


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_a_pretrained_channel_gives_all_but_the_head(tmp_path, suffix):
    source = build(1, classes=1000)
    weights = {name: t for name, t in source.state_dict().items() if not name.endswith("num_batches_tracked")}
    save = safetensors.torch.save_file if suffix == ".safetensors" else torch.save
    save(weights, tmp_path / f"resnet18{suffix}")
    start = starting_point(Hyperparameters(), {"pretrained": tmp_path})
    made = make_model(FIVE, Hyperparameters(), start)
    assert torch.equal(made.layer4[1].bn2.running_var, source.layer4[1].bn2.running_var)
    assert torch.equal(made.conv1.weight, source.conv1.weight)
    assert made.fc.weight.shape == (5, 512)
    assert start.origin == f"channel pretrained (resnet18{suffix})"


def test_an_earlier_artifact_with_the_same_classes_continues_with_its_head(artifact_channel):
    start = starting_point(Hyperparameters(), {"model": artifact_channel})
    assert torch.equal(make_model(FIVE, Hyperparameters(), start).fc.weight, build(1).fc.weight)


def test_an_earlier_artifact_with_other_classes_gets_a_new_head(artifact_channel):
    start = starting_point(Hyperparameters(), {"model": artifact_channel})
    made = make_model(("a", "b", "c"), Hyperparameters(), start)
    assert made.fc.weight.shape == (3, 512)
    assert torch.equal(made.conv1.weight, build(1).conv1.weight)
    # As many classes, but others: the old head would be wrong without a shape to show it.
    assert not torch.equal(make_model(tuple("vwxyz"), Hyperparameters(), start).fc.weight, build(1).fc.weight)


def archive(path, members):
    """Write a model.tar.gz: names to bytes, files, or members that have no data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
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


def pretrained(folder, weights, name="w.pth", save=torch.save):
    save(weights, folder / name)
    return refusal(Hyperparameters(), {"pretrained": folder})


@pytest.mark.parametrize(
    ("names", "found"),
    [((), "no file"), (("one.pth", "two.pth"), "'one.pth', 'two.pth'"), (("readme.txt",), "'readme.txt'")]
    + [((name,), f"'{name}'") for name in ("model.bin", "model_best.pth.tar", "last.ckpt", "pth", "model.tar.gz")]
    + [((".pth", "._r.pth"), "no file"), (("a.PTH", "b.SafeTensors"), "'a.PTH', 'b.SafeTensors'")],
)
def test_a_pretrained_channel_with_no_or_many_files(tmp_path, names, found):
    for name in names:
        (tmp_path / name).touch()
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


def test_weights_too_large_to_start_from(tmp_path, artifact_channel):
    huge = {name: tensor * 1e30 for name, tensor in build(1).state_dict().items() if tensor.is_floating_point()}
    assert re.fullmatch(
        r"channel pretrained \(w.pth\): 'conv1.weight' has values up to \d.\de\+\d\d; accepted: up to 1e\+10",
        pretrained(tmp_path, huge),
    )
    weights = build(1).state_dict() | {"fc.bias": torch.full((5,), 1e30)}
    save_artifact(artifact_channel, Artifact(FIVE, 32, 1e-5), weights)
    sentence = refusal(Hyperparameters(), {"model": artifact_channel})
    assert sentence == "channel model: 'fc.bias' has values up to 1.0e+30; accepted: up to 1e+10"


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


@pytest.mark.parametrize(("value", "kind"), [([1, 2], "list"), (torch.ones(2), "Tensor"), (3, "int")])
def test_a_file_without_a_state_dict(tmp_path, value, kind):
    assert f"(w.pth) is not a state dict but a {kind}; accepted: the weights" in pretrained(tmp_path, value)


def other_resnet(extra):
    """The names of a network with more blocks: ResNet34's, or more layers in each: ResNet50's."""
    return build(1).state_dict() | {extra: torch.zeros(3)}


def renamed(prefix):
    return {f"{prefix}{name}": tensor for name, tensor in build(1).state_dict().items()}


def without(name):
    return {key: value for key, value in build(1).state_dict().items() if key != name}


@pytest.mark.parametrize(
    ("weights", "fault"),
    [
        (lambda: without("layer4.0.conv1.weight"), "lacks 'layer4.0.conv1.weight'; accepted: the weights of resnet18"),
        (lambda: {}, "lacks 'conv1.weight'"),
        (lambda: other_resnet("layer1.2.conv1.weight"), "has 'layer1.2.conv1.weight', which is not a part of resnet18"),
        (lambda: other_resnet("layer1.0.conv3.weight"), "has 'layer1.0.conv3.weight', which is not a part"),
        (lambda: other_resnet("layer3.0.se.num_batches_tracked"), "has 'layer3.0.se.num_batches_tracked', which"),
        (lambda: other_resnet("fcx.weight"), "has 'fcx.weight', which is not a part of resnet18"),
        (lambda: other_resnet("conv1.bias"), "has 'conv1.bias', which is not a part of resnet18"),
        (lambda: build(1).state_dict() | {"epoch": 3}, "has 'epoch', which is not a part of resnet18"),
        (lambda: build(1).state_dict() | {3: torch.ones(1)}, "has 3, which is not a part of resnet18"),
        (lambda: other_resnet("a\n\x1b[31mb"), "has 'a\\n\\x1b[31mb', which is not a part of resnet18"),
        (lambda: {"state_dict": build(1).state_dict(), "epoch": 3}, "has its weights under 'state_dict'"),
        (lambda: {"epoch": 3, "model": renamed("module.")}, "has its weights under 'model'; accepted: the weights "),
        (lambda: renamed("module."), "has names that begin with 'module.'; accepted: "),
        (lambda: renamed("backbone.0."), "has names that begin with 'backbone.0.'"),
        (lambda: renamed("_orig_mod."), "has names that begin with '_orig_mod.'"),
    ],
)
def test_names_of_another_network_or_wrapped_ones(tmp_path, weights, fault):
    assert f"channel pretrained (w.pth) {fault}" in pretrained(tmp_path, weights())


def changed(change, name="layer2.0.conv1.weight"):
    weights = build(1).state_dict()
    return weights | {name: change(weights[name])}


def with_value(value):
    def change(tensor):
        tensor = tensor.clone()
        tensor.view(-1)[11] = value
        return tensor

    return change


@pytest.mark.parametrize(
    ("weights", "fault"),
    [
        (lambda: changed(lambda t: t.to(torch.int8)), "of type int8"),
        (lambda: changed(lambda t: t.to(torch.complex64)), "of type complex64"),
        (lambda: changed(lambda t: t > 0), "of type bool"),
        (lambda: changed(lambda t: t.to(torch.float8_e4m3fn)), "of type float8_e4m3fn"),
        (lambda: changed(lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8)), "of type qint8"),
        (lambda: changed(lambda t: t.to_sparse()), "in layout sparse_coo"),
        pytest.param(
            lambda: changed(lambda t: torch.nested.nested_tensor([t, t[:1]])),
            "a nested tensor",
            marks=pytest.mark.filterwarnings("ignore"),  # it is a prototype
        ),
        (lambda: changed(lambda t: t.to("meta")), "without values (on device meta)"),
        (lambda: changed(lambda t: t.flatten()), "of shape (73728,)"),
        (lambda: changed(lambda t: t.tolist()), "a list"),
        (lambda: changed(lambda t: torch.zeros(1).expand(10**12)), "of shape (1000000000000,)"),
    ],
)
def test_a_tensor_that_is_not_plain_floating_point_of_its_shape(tmp_path, weights, fault):
    sentence = pretrained(tmp_path, weights())
    assert f"channel pretrained (w.pth): 'layer2.0.conv1.weight' is {fault}; accepted: a dense tensor" in sentence
    assert sentence.endswith("of shape (128, 64, 3, 3), in float32, float64, float16, bfloat16")


@pytest.mark.parametrize(
    ("weights", "fault"),
    [
        (lambda: changed(with_value(math.nan)), "'layer2.0.conv1.weight' has values that are not finite"),
        (lambda: changed(with_value(-math.inf)), "'layer2.0.conv1.weight' has values that are not finite"),
        (lambda: changed(lambda t: with_value(1e300)(t.double())), "'layer2.0.conv1.weight' has values that are not"),
        (lambda: changed(lambda t: with_value(math.nan)(t.half())), "'layer2.0.conv1.weight' has values that are not"),
        (lambda: changed(with_value(math.inf), "bn1.running_mean"), "'bn1.running_mean' has values that are not"),
        (lambda: changed(with_value(-1.0), "bn1.running_var"), "'bn1.running_var' has negative values"),
        (lambda: changed(torch.zeros_like, "bn1.running_var"), "'bn1.running_var' is 0 everywhere; accepted: the var"),
        (lambda: changed(torch.zeros_like), "'layer2.0.conv1.weight' is 0 everywhere"),
        (lambda: changed(lambda t: torch.full_like(t, -0.5)), "'layer2.0.conv1.weight' is -0.5 everywhere"),
        (lambda: {name: torch.zeros_like(t) for name, t in build(1).state_dict().items()}, "'conv1.weight' is 0"),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_values_that_cannot_be_weights(tmp_path, weights, fault, suffix):
    save = torch.save if suffix == ".pth" else safetensors.torch.save_file
    assert f"channel pretrained (w{suffix}): {fault}" in pretrained(tmp_path, weights(), f"w{suffix}", save)


@pytest.mark.parametrize("head", ["fc.0.weight", "fc.bias", "fc.1.running_var"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_head_and_other_floating_point_types_are_taken(tmp_path, head, dtype):
    weights = {name: tensor.to(dtype) for name, tensor in build(1).state_dict().items()}
    torch.save(OrderedDict(weights | {head: torch.full((9,), math.nan)}), tmp_path / "w.pth")
    start = starting_point(Hyperparameters(), {"pretrained": tmp_path})
    made = make_model(FIVE, Hyperparameters(), start)
    assert torch.equal(made.layer4[0].conv1.weight, build(1).layer4[0].conv1.weight.to(dtype).float())


def test_imagenets_file_is_checked_too(tmp_path):
    torch.save(changed(with_value(math.nan)), tmp_path / "resnet18.pth")
    sha256 = hashlib.sha256((tmp_path / "resnet18.pth").read_bytes()).hexdigest()
    (tmp_path / "resnet18.pth.sha256").write_text(f"{sha256}  resnet18.pth\n")
    sentence = refusal(Hyperparameters(), {}, tmp_path)
    assert sentence.startswith("ImageNet (resnet18.pth): 'layer2.0.conv1.weight' has values that are not finite")


@pytest.mark.parametrize(
    ("trainable", "learning"),
    [("all", PARTS), ("layer1", PARTS[2:]), ("layer3", PARTS[4:]), ("layer4", PARTS[5:]), ("head", ("fc",))],
)
def test_trainable_names_what_learns(trainable, learning):
    made = make_model(FIVE, Hyperparameters(trainable=trainable), None)
    assert {name.split(".")[0] for name, p in made.named_parameters() if p.requires_grad} == set(learning)


def test_frozen_parts_keep_their_statistics():
    made = make_model(FIVE, Hyperparameters(trainable="layer4"), None)
    before = {name: buffer.clone() for name, buffer in made.named_buffers()}
    set_training_mode(made, "layer4")
    made(torch.randn(4, 3, 32, 32))
    changed = {name.split(".")[0] for name, b in made.named_buffers() if not torch.equal(b, before[name])}
    assert changed == {"layer4"}
    assert len(frozen_parts(made, "layer4")) == 5


def test_every_part_of_the_network_is_listed():
    children = [name for name, child in network.build(2, 1e-5).named_children() if list(child.parameters())]
    assert tuple(children) == PARTS
