import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from test_checks import edited

from classifier.errors import UserError
from launch import settings

LAUNCH = Path(settings.__file__).parent
ORIGINAL = settings.FILE.read_text()
SECTIONS = tomllib.loads(ORIGINAL)
SCRIPTS = ("upload", "tune", "train", "deploy", "predict", "transform", "register", "captured", "status", "cleanup")


def parse(*flags):
    return settings.make_parser("", "aws", "cost", "training", "tuning").parse_args(flags)


def test_every_setting_has_a_comment():
    comments = settings.comments(settings.FILE.read_text())
    assert {section: values.keys() for section, values in SECTIONS.items()} == {
        section: found.keys() for section, found in comments.items()
    }


def test_a_flag_overrides_the_file():
    given = parse()
    for section in ("aws", "cost", "training", "tuning"):
        assert vars(given).items() >= SECTIONS[section].items()
    given = parse("--max-jobs", "3", "--no-spot", "--subnets", "a", "b", "--security-groups", "c")
    assert (given.max_jobs, given.spot, given.subnets, given.security_groups) == (3, False, ["a", "b"], ["c"])


def test_bare_pairs_are_hyperparameters_wherever_they_stand():
    given = parse("epochs=3", "--max-jobs", "2", "lr=0.1", "--hyperparameters", "seed=1")
    assert given.hyperparameters == {"epochs": 3, "lr": 0.1, "seed": 1}
    with pytest.raises(UserError, match="--hyperparameters has lr twice, as 0.2 and as 0.1"):
        parse("lr=0.1", "--hyperparameters", "lr=0.2")


@pytest.mark.parametrize("flags", [("--batch-size", "3"), ("--batch_size=3",), ("--spot", "--batch-size", "3")])
def test_a_hyperparameter_as_a_flag_is_named(flags):
    with pytest.raises(UserError, match="--batch.size is no flag but a hyperparameter; accepted: batch_size=VALUE"):
        parse(*flags)


def test_data_that_is_empty_is_not_the_default():
    assert parse().data == ""
    with pytest.raises(UserError, match="--data is empty; accepted: images, or no --data at all"):
        parse("--data", "")


def test_images_in_s3_are_no_path():
    with pytest.raises(argparse.ArgumentTypeError, match="s3://b/x is in S3; accepted: a file or folder"):
        settings.path("s3://b/x")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("learning_rate", "lr"), ("epoch", "epochs"), ("batchsize", "batch_size"), ("random_seed", "seed")]
    + [("patience", "early_stopping_patience"), ("size", ""), ("xyz", "")],
)
def test_what_was_meant_is_named(name, meant):
    sentence = f"unknown hyperparameter '{name}'{f', did you mean {meant}' if meant else ''}; accepted: epochs"
    for flags in ((f"{name}=1",), ("--ranges", f"{name}=[1, 2]")):
        with pytest.raises(UserError, match=sentence):
            parse(*flags)


def test_help_begins_with_what_this_computer_needs():
    text = settings.make_parser("about", "aws", "cost", "training", "tuning").format_help()
    order = ["their names: epochs, batch_size,", "--data", "--max-jobs", "settings of AWS", "--spot", "--role"]
    places = [" ".join(text.split()).index(part) for part in order]
    assert places == sorted(places)


def test_pairs_are_added_to_the_files(tmp_path, monkeypatch):
    edited(monkeypatch, tmp_path, ("tags = {}", 'tags = { rate = 0.1, name = "b" }'))
    given = parse("--tags", "rate=1e-3", "word=adamw", "on=true", "--ranges", "lr=[0.1, 0.2]")
    assert given.tags == {"rate": 0.001, "name": "b", "word": "adamw", "on": True}
    assert given.ranges == {"lr": [0.1, 0.2]}
    with pytest.raises(argparse.ArgumentTypeError, match="'lr' is not NAME=VALUE"):
        settings.pair("lr")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", "1"),
        ("1\nseed = 5", None),
        ("1 # most", None),
        ("1, seed = 5", None),
        ("1 }\nseed = { value = 5", None),
        ("9" * 5000, None),
        ("[" * 5000, None),
        ("", None),
    ],
)
def test_a_value_is_all_of_its_text(text, expected):
    assert settings.pair(f"epochs={text}") == ("epochs", int(expected) if expected else text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = ", "is not valid TOML"),
        ("[b]", "has 'b', which is not known; accepted: aws, cost, training, tuning, hosting, transform"),
        ("[awss]", "has 'awss', which is not known; did you mean aws"),
        ("[aws]", r"section \[aws\]: region is missing; accepted: text"),
        ("aws = 1", r"has a setting, not a section \[aws\]"),
        ("", r"has no section \[aws\]"),
        (f"[aws]\nregion = {'9' * 5000}", "is not valid TOML: it has a number of more than 4,000 digits"),
        (f"[aws]\nregion = {'[' * 5000}", "is not valid TOML: it is nested too deeply"),
    ],
)
def test_an_invalid_file_is_one_sentence(tmp_path, monkeypatch, text, expected):
    monkeypatch.setattr(settings, "FILE", tmp_path / "settings.toml")
    settings.FILE.write_text(text)
    with pytest.raises(UserError, match=expected):
        settings.make_parser("", "a")


def damaged_files():
    """Yield settings.toml with each line replaced by each bad value, dropped or twice, and cut off at each tenth."""
    huge, deep = f"0x{'f' * 5000}", "[" * 400 + "]" * 400
    bad = ["true", "0", "-1", "0.5", "nan", "1e999", "9" * 5000, huge, '""', '"a"', '"\\u0000"', f'"{"a" * 300}"', "[]"]
    bad += ["{}", "[[]]", '[""]', "{ a = [] }", "{ lr = nan }", "{ lr = 0.1 }", "1979-05-27", deep, "[" * 5000, ""]
    lines = ORIGINAL.splitlines()
    for number, line in enumerate(lines):
        name, equals, _ = line.partition("=")
        new = [f"{name}= {value}" for value in bad] if equals and line[0] != "#" else [f"{line[1:-1]} = 1", "[x]"]
        for changed in [*new, "", f"{line}\n{line}", f"another = 1\n{line}"]:
            yield "\n".join([*lines[:number], changed, *lines[number + 1 :]])
    yield from (ORIGINAL[: len(ORIGINAL) * tenth // 10] for tenth in range(10))
    yield "\0" * 100


def test_no_damage_of_the_file_is_a_traceback(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "FILE", tmp_path / "settings.toml")
    refused = 0
    for text in damaged_files():
        settings.FILE.write_text(text)
        try:
            parser = settings.make_parser("", "aws", "cost", "training", "tuning")
            assert parser.format_help()
            parser.parse_args([])
        except UserError as error:
            refused += 1
            assert len(str(error)) < 2000
            assert not re.search(r"set_int_max|\b(True|False|None)\b", str(error))
    assert refused > 500
    settings.FILE.unlink()
    with pytest.raises(UserError, match="settings.toml is missing"):
        settings.make_parser("", "aws")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("head", ["[cost]", "[cost]  # mine", "[ cost ]"])
def test_a_file_as_editors_write_it(tmp_path, monkeypatch, encoding, head):
    monkeypatch.setattr(settings, "FILE", tmp_path / "settings.toml")
    text = ORIGINAL.replace("[cost]", head).replace('"USD" ', '"Käse"').replace("\n", "\r\n")
    settings.FILE.write_bytes(text.encode(encoding))
    parser = settings.make_parser("", "cost")
    assert parser.parse_args([]).currency == "Käse"
    assert "currency of the prices" in parser.format_help()


def test_a_file_in_another_encoding_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "FILE", tmp_path / "settings.toml")
    settings.FILE.write_bytes('[a]\nname = "Käse"\n'.encode("latin-1"))
    with pytest.raises(UserError, match="settings.toml is not text in UTF-8 or UTF-16: "):
        settings.make_parser("", "a")


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_quick(script):
    """The script does not import slow packages for --help."""
    command = [sys.executable, "-X", "importtime", LAUNCH / f"{script}.py", "--help"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0
    assert result.stdout.startswith(f"usage: {script}.py")
    assert '(default: "resnet18")' in " ".join(result.stdout.split())
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert not imported & {"sagemaker", "boto3", "botocore", "torch", "optuna", "matplotlib"}


def test_every_script_is_small():
    lengths = {path.name: len(path.read_text().splitlines()) for path in LAUNCH.glob("*.py")}
    assert {f"{script}.py" for script in SCRIPTS} <= lengths.keys()
    assert all(lengths[f"{script}.py"] < 120 for script in SCRIPTS)


def test_what_stands_behind_two_dashes_is_no_flag():
    parser = settings.make_parser("", "aws")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--local", action="store_true")
    behind = ["--", "-dash.jpg", "--local"]
    for flags in (["one.jpg", "--local", *behind], ["--local", "one.jpg", *behind]):
        found = parser.parse_args(flags)
        assert (found.files, found.local) == (["one.jpg", "-dash.jpg", "--local"], True)
