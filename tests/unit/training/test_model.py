import tarfile

import pytest
import safetensors.torch
import torch

from classifier import network
from classifier.artifact import Artifact
from classifier.errors import UserError
from classifier.layers import PARTS
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.model import frozen_parts, make_model, set_training_mode, starting_point

FIVE = ("a", "b", "c", "d", "e")


def build(seed, classes=5):
    torch.manual_seed(seed)
    return network.build(classes, eps=1e-5)


def refusal(hp, channels, folder=None):
    with pytest.raises(UserError) as refused:
        starting_point(hp, channels, *([folder] if folder else []))
    return str(refused.value)


@pytest.fixture
def artifact_channel(tmp_path):
    Artifact(classes=FIVE, image_size=32, eps=1e-5).save(tmp_path / "model", build(1).state_dict())
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


def test_an_earlier_artifact_may_be_sagemakers_archive(artifact_channel, tmp_path):
    channel = tmp_path / "channel"
    channel.mkdir()
    with tarfile.open(channel / "model.tar.gz", "w:gz") as archive:
        for file in artifact_channel.iterdir():
            archive.add(file, file.name)
    assert starting_point(Hyperparameters(), {"model": channel}).classes == FIVE
    (channel / "model.tar.gz").write_bytes(b"not an archive")
    assert "model.tar.gz cannot be unpacked: " in refusal(Hyperparameters(), {"model": channel})


def test_a_damaged_earlier_artifact_is_refused(artifact_channel):
    weights = artifact_channel / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert f"{weights} is damaged or truncated" in refusal(Hyperparameters(), {"model": artifact_channel})


def test_two_sources_are_refused(artifact_channel):
    channels = {"model": artifact_channel, "pretrained": artifact_channel}
    assert refusal(Hyperparameters(), channels).endswith("accepted: one of them")
    sentence = refusal(Hyperparameters(weights="none"), {"pretrained": artifact_channel})
    assert sentence == "weights=none asks for a random start, but there is a channel 'pretrained'; remove one"


@pytest.mark.parametrize("names", [(), ("one.pth", "two.pth"), ("readme.txt",)])
def test_a_pretrained_channel_with_no_or_many_files(tmp_path, names):
    for name in names:
        (tmp_path / name).touch()
    assert refusal(Hyperparameters(), {"pretrained": tmp_path}).endswith("accepted: one .pth, .pt or .safetensors file")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_damaged_file_of_weights(tmp_path, suffix):
    (tmp_path / f"w{suffix}").write_bytes(b"damaged")
    assert f"w{suffix} is not a readable file of weights: " in refusal(Hyperparameters(), {"pretrained": tmp_path})


def test_a_file_that_would_run_code_is_refused(tmp_path):
    torch.save({"conv1.weight": print}, tmp_path / "w.pth")
    assert "w.pth is not a readable file of weights: " in refusal(Hyperparameters(), {"pretrained": tmp_path})


def test_a_file_without_a_state_dict(tmp_path):
    torch.save([1, 2], tmp_path / "w.pth")
    assert "w.pth is not a state dict; accepted: tensors by name" in refusal(
        Hyperparameters(), {"pretrained": tmp_path}
    )


def test_weights_of_another_architecture(tmp_path):
    weights = build(1).state_dict()
    del weights["layer4.0.conv1.weight"]
    torch.save(weights, tmp_path / "w.pth")
    start = starting_point(Hyperparameters(), {"pretrained": tmp_path})
    with pytest.raises(UserError, match=r"lacks layer4\.0\.conv1\.weight; accepted: the weights of resnet18"):
        make_model(FIVE, Hyperparameters(), start)
    torch.save(weights | {"layer4.0.conv1.weight": torch.zeros(7)}, tmp_path / "w.pth")
    start = starting_point(Hyperparameters(), {"pretrained": tmp_path})
    with pytest.raises(UserError, match=r"has layer4\.0\.conv1\.weight of shape \(7,\); accepted: \(512, 256, 3, 3\)"):
        make_model(FIVE, Hyperparameters(), start)


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
