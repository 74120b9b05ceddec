import argparse
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from classifier.errors import UserError
from launch import settings

LAUNCH = Path(settings.__file__).parent
SECTIONS = tomllib.loads(settings.FILE.read_text())
SCRIPTS = ("upload", "tune", "train", "deploy", "predict", "transform", "status", "cleanup")


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


def test_pairs_are_added_to_the_files(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "FILE", tmp_path / "settings.toml")
    settings.FILE.write_text('[a]\nvalues = { lr = 0.1, name = "b" } # what they mean\n')
    given = settings.make_parser("", "a").parse_args(["--values", "lr=1e-3", "range=[1, 2]", "word=adamw", "on=true"])
    assert given.values == {"lr": 0.001, "name": "b", "range": [1, 2], "word": "adamw", "on": True}
    with pytest.raises(argparse.ArgumentTypeError, match="'lr' is not NAME=VALUE"):
        settings.pair("lr")


@pytest.mark.parametrize(("text", "expected"), [("a = ", "is not valid TOML"), ("[b]", r"has no section \[a\]")])
def test_an_invalid_file_is_one_sentence(tmp_path, monkeypatch, text, expected):
    monkeypatch.setattr(settings, "FILE", tmp_path / "settings.toml")
    settings.FILE.write_text(text)
    with pytest.raises(UserError, match=expected):
        settings.make_parser("", "a")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("head", ["[a]", "[a]  # mine", "[ a ]"])
def test_a_file_as_editors_write_it(tmp_path, monkeypatch, encoding, head):
    monkeypatch.setattr(settings, "FILE", tmp_path / "settings.toml")
    settings.FILE.write_bytes(f'{head}\r\nname = "Käse"  # what it means\r\n'.encode(encoding))
    parser = settings.make_parser("", "a")
    assert parser.parse_args([]).name == "Käse"
    assert "what it means" in parser.format_help()


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
