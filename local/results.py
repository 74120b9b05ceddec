"""Answers to pictures as a table on the terminal."""

import os
from contextlib import suppress
from pathlib import PurePath

from classifier.words import plural
from local import tables


def show(answers: list[dict]) -> None:
    """Print a line for each picture, without the folder that all are in, and how many are right, if that is known."""
    folder = common_folder([answer["file"] for answer in answers])
    rows = []
    for answer in answers:
        best, second, *_ = [*answer.get("predictions", ()), {}, {}]
        probability = f"{best['probability']:.3f}" if best else ""
        then = f"{second['class']} {second['probability']:.3f}" if second else ""
        name = answer["file"].removeprefix(folder)
        known = {True: "yes", False: "no", None: ""}[answer.get("known")]
        rows.append((name, best.get("class") or answer["error"], probability, known, then, answer["milliseconds"]))
    head = ("file", "class", "probability", "known", "then", "ms")
    title = f"{folder}: {plural(len(answers), 'picture')}" if folder else None
    tables.terminal().print(tables.table(head, rows, ("probability", "ms"), title))
    classified = sum("predictions" in answer for answer in answers)
    if classified < len(answers):
        print(f"{len(answers) - classified:,} of {len(answers):,} without a class")
    unknown = sum(answer.get("known") is False for answer in answers)
    if unknown:
        why = "unlike what the model was validated on, so that their classes mean nothing"
        print(f"{unknown:,} of {classified:,} unknown: {why}")
    right = count_right(answers)
    if right is not None:
        print(f"{right:,} of {classified:,} right")


def exit_code(answers: list[dict]) -> int:
    """Return the exit code of a script that sent pictures: 1 if one has no class."""
    return int(any("error" in answer for answer in answers))


def common_folder(files: list[str]) -> str:
    """Return the folder, with its slash, that several files have in common; "" if there is none but the root."""
    parents = {PurePath(file).parent for file in files}
    with suppress(ValueError):  # absolute and relative paths
        common = os.path.commonpath(parents) if len(files) > 1 else ""
        return f"{common}/" if common not in ("", ".", "/") else ""
    return ""


def count_right(answers: list[dict]) -> int | None:
    """Return how many pictures were classified as their folder is named; None unless all folders are classes."""
    classes = {one["class"] for answer in answers for one in answer.get("predictions", ())}
    truths = [PurePath(answer["file"]).parent.name for answer in answers]
    if len(answers) < 2 or not classes.issuperset(truths):
        return None
    best = [answer["predictions"][0]["class"] if "predictions" in answer else None for answer in answers]
    return sum(one == truth for one, truth in zip(best, truths, strict=True))
