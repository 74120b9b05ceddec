"""What an endpoint captures becomes folders to label."""

import base64
import json

import pytest

from helpers import encode, photo
from launch import capture

pytest_plugins = ["aws_account"]

DEPLOY = "deploy.py --role sm --yes"
JPEG, ANSWER = encode(photo(8, 8)), {"predictions": [{"class": "dog", "index": 0, "probability": 0.9}]}


def line(data=JPEG, answer=None, **changes):
    captured = {"endpointInput": {"data": base64.b64encode(data).decode(), "encoding": "BASE64"}}
    captured["endpointOutput"] = {"data": json.dumps(answer or ANSWER), "encoding": "JSON"}
    return json.dumps({"captureData": captured | changes}).encode()


def test_captured_pictures_become_folders(account, tmp_path):
    account.trained()
    account.does(f"{DEPLOY} --capture-percent 100")  # which sends what is no picture
    pictures = [tmp_path / f"{seed}.jpg" for seed in range(3)]
    for seed, picture in enumerate(pictures):
        picture.write_bytes(encode(photo(8, 8, seed)))
    account.does(f"predict.py {' '.join(map(str, pictures))} {pictures[0]}")
    folder = tmp_path / "to-label"
    out = account.does(f"captured.py {folder}")
    assert "3 new pictures, 1 that were there already, 0 more certain than asked for, 1 request without" in out
    written = sorted(folder.rglob("*.jpg"))
    assert [path.parent for path in written] == 3 * [folder / "dog"]
    assert {path.read_bytes() for path in written} == {path.read_bytes() for path in pictures}
    (folder / "cat").mkdir()
    written[0].rename(folder / "cat" / written[0].name)
    assert "0 new pictures, 4 that were there already" in account.does(f"captured.py {folder}")
    assert "0 new pictures, 0 that were there already, 4 more certain" in account.does(
        f"captured.py {tmp_path / 'less'} --below 0.5"
    )
    account.does("cleanup.py --yes --data")
    assert account.aws.client("s3").list_objects_v2(Bucket=account.bucket, Prefix="resnet18/captured/")["KeyCount"] == 0


def test_only_endpoints_of_instances_capture(account):
    for kind in ("serverless", "async"):
        assert "--capture-percent has no effect with" in account.refuses(f"{DEPLOY} --capture-percent 5 --{kind}")


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"[]",
        b"{}",
        line(b"no picture"),
        line(answer={"error": "broken"}),
        line(answer={"predictions": [{"class": "../..", "probability": 0.9}]}),
        line(answer={"predictions": []}),
        line(endpointInput={"data": "***"}),
        line(endpointInput={"data": None}),
        line(endpointOutput={}),
        line(endpointOutput={"data": None, "encoding": "JSON"}),
    ],
)
def test_a_line_without_a_picture_and_its_answer_is_left_out(damaged):
    assert capture.read_event(damaged) is None
    data, suffix, best = capture.read_event(line())
    assert (data, suffix, best["class"]) == (JPEG, ".jpg", "dog")
