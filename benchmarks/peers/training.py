"""Train like torchvision's reference scripts, or like timm's: the loops that ours is compared with.

Usage: python benchmarks/peers/training.py NAME FOLDER [--epochs N] [--image-size N] [--batch-size N] [--our-precision]

NAME is torchvision or timm; FOLDER holds train/ and validation/ with a folder per class. As in ours, only crops and
flips are random. --our-precision gives the loop our dtype and memory format.
"""

import argparse
from pathlib import Path

import timm.data
import timm.optim
import torch
import torchvision
from torchvision.transforms import v2

from classifier import device, network
from classifier.training.data.augment import SMALLEST_CROP

SCALE = (SMALLEST_CROP, 1.0)
EVALUATION_SIDE = 1 / 0.875


def torchvision_loader(folder: Path, size: int, batch_size: int, workers: int) -> torch.utils.data.DataLoader:
    """Return a loader like that of torchvision's references/classification, with v2 transforms on PIL images."""
    training = folder.name == "train"
    crops = [v2.RandomResizedCrop(size, SCALE, antialias=True), v2.RandomHorizontalFlip()]
    centre = [v2.Resize(round(size * EVALUATION_SIDE), antialias=True), v2.CenterCrop(size)]
    to_input = [v2.PILToTensor(), v2.ToDtype(torch.float, scale=True), v2.Normalize(network.MEAN, network.STD)]
    transform = v2.Compose([*(crops if training else centre), *to_input, v2.ToPureTensor()])
    dataset = torchvision.datasets.ImageFolder(folder, transform)
    options = {"num_workers": workers, "persistent_workers": workers > 0, "shuffle": training, "drop_last": training}
    return torch.utils.data.DataLoader(dataset, batch_size, **options)


def timm_loader(folder: Path, size: int, batch_size: int, workers: int) -> timm.data.loader.PrefetchLoader:
    """Return a loader like that of timm's train.py: images are uint8 until the batch is on the device."""
    dataset = timm.data.ImageDataset(str(folder))
    options = {"is_training": folder.name == "train", "scale": SCALE, "color_jitter": 0.0, "num_workers": workers}
    return timm.data.create_loader(dataset, (3, size, size), batch_size, device=torch.device("cpu"), **options)


LOADERS = {"torchvision": torchvision_loader, "timm": timm_loader}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=LOADERS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--our-precision", action="store_true")
    arguments = parser.parse_args()
    shape = arguments.image_size, arguments.batch_size, device.usable_cores()
    train, validation = (LOADERS[arguments.name](arguments.folder / part, *shape) for part in ("train", "validation"))
    classes = len(list((arguments.folder / "train").iterdir()))
    if arguments.name == "timm":
        model = timm.create_model("resnet18", num_classes=classes)
        optimizer = timm.optim.create_optimizer_v2(model, opt="adamw", lr=0.001, weight_decay=0.05)
    else:
        model = torchvision.models.resnet18(num_classes=classes)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    dtype, memory_format = torch.float32, torch.contiguous_format
    if arguments.our_precision:
        dtype, memory_format = device.compute_dtype("auto", torch.device("cpu")), torch.channels_last
    model = model.to(memory_format=memory_format)
    loss_of = torch.nn.CrossEntropyLoss()

    def forward(inputs: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
            return model(inputs.contiguous(memory_format=memory_format)).float()

    for epoch in range(arguments.epochs):
        model.train()
        for step, (inputs, labels) in enumerate(train):
            loss = loss_of(forward(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if epoch == step == 0:
                print("first step", flush=True)
        model.eval()
        with torch.inference_mode():
            right = sum((forward(inputs).argmax(1) == labels).sum().item() for inputs, labels in validation)
        print(f"epoch {epoch + 1}: {right} of {len(validation.dataset)} right", flush=True)
    torch.save(model.state_dict(), arguments.folder / "model.pth")


if __name__ == "__main__":
    main()
