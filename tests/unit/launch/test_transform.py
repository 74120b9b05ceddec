"""A transform job that is interrupted, and its CSV."""

from launch.aws import Aws
from local import places

pytest_plugins = ["aws_account"]


def test_after_ctrl_c_resume_writes_the_csv(account, monkeypatch):
    account.trained()
    images = f"s3://{account.bucket}/resnet18/data/dogs/"
    until_ended = Aws.until_ended

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Aws, "until_ended", interrupt)
    assert account.run(f"transform.py {images} --role sm --yes")[0] == "interrupted"
    monkeypatch.setattr(Aws, "until_ended", until_ended)
    name = account.aws.sent("CreateTransformJob")[0]["TransformJobName"]
    assert f"--resume {name} writes its CSV" in account.err

    assert "1 image in " in account.does(f"transform.py --resume {name}")
    assert (places.RUNS / name / "predictions.csv").read_text().splitlines()[1].startswith("pug/1.jpg,")
    assert "there is no absent in this account" in account.refuses("transform.py --resume absent")
    assert "accepted: an S3 URI, or --resume NAME" in account.refuses("transform.py")
