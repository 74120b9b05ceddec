"""Arguments that several benchmarks take: types for argparse, which prints their sentences."""

import argparse
from pathlib import Path

NETWORKS = ("model.onnx", "model.int8.onnx")


def photos(text: str) -> Path:
    folder = Path(text)
    if next(folder.rglob("*.jpg"), None) is None:
        raise argparse.ArgumentTypeError(f"no photos in {text}; accepted: a folder with .jpg files, in it or below")
    return folder


def prepared_model(text: str) -> Path:
    folder = Path(text)
    for name in NETWORKS:
        if not (folder / name).is_file():
            accepted = f"an artifact with {' and '.join(NETWORKS)}, which training writes if int8 loses little accuracy"
            raise argparse.ArgumentTypeError(f"{text} has no {name}; accepted: {accepted}")
    return folder
