"""Without a region for AWS: only the scripts that have --local say what it does."""

from pathlib import Path

import pytest

from local import places

pytest_plugins = ["aws_account"]
LAUNCH = Path(__file__).parents[3] / "launch"
ARGUMENTS = {
    "captured": "{folder} --endpoint dogs",
    "predict": "{picture} --endpoint dogs",
    "register": "--job dogs",
    "transform": "s3://bucket/dogs",
    "upload": "{folder}",
}
SCRIPTS = sorted(file.stem for file in LAUNCH.glob("*.py") if "from launch.aws import Aws" in file.read_text())
SCRIPTS = [name for name in SCRIPTS if "console.run(main)" in (LAUNCH / f"{name}.py").read_text()]


@pytest.mark.parametrize("name", SCRIPTS)
def test_only_a_flag_that_a_script_has_is_named(account, monkeypatch, name):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    picture = places.ROOT / "dogs/pug/1.jpg"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"a picture")
    arguments = ARGUMENTS.get(name, "").format(folder=picture.parents[1], picture=picture)
    sentence = account.refuses(f"{name}.py {arguments}")
    assert sentence.startswith("no AWS region: use --region")
    assert ("--local" in sentence) is ('"--local"' in (LAUNCH / f"{name}.py").read_text())
