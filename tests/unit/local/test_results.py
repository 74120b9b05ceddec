"""What launch/predict.py prints: short lines, and how many are right where folders are classes."""

import pytest

from local import results


def answered(file, *classes, **more):
    predictions = [{"class": name, "probability": 1 / rank} for rank, name in enumerate(classes, 2)]
    answer = {"predictions": predictions} if classes else {"error": "damaged"}
    return {"file": file, "milliseconds": 5.0} | answer | more


def test_a_folder_of_classes(capsys):
    answers = [answered("/a/b/cat/1.jpg", "cat", "dog"), answered("/a/b/dog/2.jpg", "cat"), answered("/a/b/dog/3.jpg")]
    results.show(answers)
    out = capsys.readouterr().out
    assert "/a/b/: 3 pictures" in out
    assert out.count("/a/b/") == 1
    assert out.endswith("\n1 of 3 without a class\n1 of 2 right\n")
    assert [line.split()[0] for line in out.splitlines()[3:-2]] == ["cat/1.jpg", "dog/2.jpg", "dog/3.jpg"]


def test_folders_that_are_no_classes(capsys):
    results.show([answered("x/1.jpg", "cat"), answered("x/2.jpg", "cat")])
    assert "right" not in capsys.readouterr().out


def test_what_is_unknown_is_said(capsys):
    results.show([answered("a/1.jpg", "cat", known=True), answered("a/2.jpg", "cat", known=False), answered("a/3.jpg")])
    out = capsys.readouterr().out
    assert [line.split()[3] for line in out.splitlines()[3:5]] == ["yes", "no"]
    assert "1 of 2 unknown: unlike what the model was validated on" in out


def test_a_model_that_does_not_say(capsys):
    results.show([answered("a/1.jpg", "cat"), answered("a/2.jpg", "cat")])
    assert "unknown" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("files", "folder"),
    [
        (["a/b/1.jpg"], ""),
        (["1.jpg", "2.jpg"], ""),
        (["/x/1.jpg", "x/2.jpg"], ""),
        (["/1.jpg", "/x/2.jpg"], ""),
        (["/x/1.jpg", "/y/2.jpg"], ""),
        (["/x/1.jpg", "/x/y/2.jpg"], "/x/"),
        (["../a/1.jpg", "../b/2.jpg"], "../"),
        (["a/b/1.jpg", "a/bc/2.jpg"], "a/"),
    ],
)
def test_the_folder_in_common(files, folder):
    assert all(file.startswith(folder) for file in files)
    assert results.common_folder(files) == folder
