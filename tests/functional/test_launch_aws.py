"""The launch scripts as a user types them, one after another, with a stand-in for AWS.

Its jobs run container/train with exactly what the requests say, so real logs and the requests' own metric definitions
decide the tuning. Its endpoint is container/serve. The tests tell one story and run in its order.
"""

import csv
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from aws_stand_in import StandIn
from checkout import ROOT, Checkout
from datasets import QUICK, digit_jpegs, write_channel
from helpers import REGION
from settings_to_refuse import REFUSED_SETTINGS

IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/sagemaker-resnet18:abc"
CONSOLE = f"https://{REGION}.console.aws.amazon.com/sagemaker/home?region={REGION}#"
# The copied scripts wait less for AWS: for a job's state, and for the last lines of its log.
QUICKER = {
    "aws.py": ("poll_seconds = 5", "poll_seconds = 0.5"),
    "logs.py": ("QUIET_SECONDS = 60, 15", "QUIET_SECONDS = 60, 2"),
}
HYPERPARAMETERS = [f"{name}={value}" for name, value in QUICK.items() if name != "lr"]


class Story(Checkout):
    """A checkout with pictures, and the stand-in for AWS."""

    def __init__(self, folder: Path):
        self.aws = StandIn(folder / "aws")
        super().__init__(folder, AWS_ENDPOINT_URL=self.aws.url, AWS_DEFAULT_REGION=REGION)
        for name, (slow, quick) in QUICKER.items():
            text = (folder / "launch" / name).read_text()
            assert slow in text
            (folder / "launch" / name).write_text(text.replace(slow, quick))
        self.aws.client("iam").create_role(RoleName="sm", Path="/service-role/", AssumeRolePolicyDocument="{}")
        (folder / ".image_uri").write_text(f"{IMAGE}\n")
        self.pictures = folder / "pictures"
        write_channel(folder, "pictures", digit_jpegs((0, 1), 0, 30)).rename(self.pictures)
        self.picture = max(self.pictures.rglob("*.jpg")).relative_to(folder)


@pytest.fixture(scope="module")
def story(module_path):
    story = Story(module_path)
    yield story
    story.aws.close()


def test_what_is_missing_is_said_in_a_sentence(story):
    no_credentials = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    sentence = story.refuses("tune.py", **no_credentials)
    assert "no AWS credentials: run aws configure" in sentence
    assert "--local" in sentence
    assert "no AWS region: use --region" in story.refuses("tune.py", AWS_DEFAULT_REGION="")
    assert "no role for SageMaker: give the name or ARN" in story.refuses("tune.py")
    assert "Role absent not found: README.md says" in story.refuses("tune.py --role absent")
    assert "no images: run launch/upload.py FOLDER" in story.refuses("tune.py --role sm")
    assert "there are no images at s3://none/" in story.refuses("tune.py --role sm --data s3://none/")
    (story.folder / ".image_uri").unlink()
    assert "no image: run ./build_and_push.sh" in story.refuses("tune.py --role sm")
    (story.folder / ".image_uri").write_text(" \n")
    assert "no image: run ./build_and_push.sh" in story.refuses("tune.py --role sm")
    (story.folder / ".image_uri").write_text(f"{IMAGE}\n{IMAGE}\n")
    assert ".image_uri has '12345" in story.refuses("tune.py --role sm")
    (story.folder / ".image_uri").write_text(f"{IMAGE}\n")
    assert "no model was trained: run launch/tune.py" in story.refuses("deploy.py --role sm")
    assert "nothing is deployed: run launch/deploy.py" in story.refuses(f"predict.py {story.picture}")


def test_upload_of_folders_as_people_have_them(story):
    odd = story.folder / "odd"
    shutil.copytree(story.pictures, odd / "photos")
    (odd / "__MACOSX").mkdir()
    next((odd / "photos/digit-1").iterdir()).rename(odd / "photos/digit-1" / os.fsdecode(b"\xf1.jpg"))
    output = story.does("upload.py odd")
    assert "odd holds no folder but 'photos', so that one's folders are taken" in output
    bucket, prefix = re.search("s3://(.*?)/(.*): 60 uploaded, 0 unchanged", output).groups()
    objects = story.aws.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    assert f"{prefix}photos/digit-1/\\udcf1.jpg" in {item["Key"] for item in objects}
    (odd / "photos/dogs").mkdir()
    (odd / "photos/digit-1").rename(odd / "photos/dogs/pug")
    assert "there are only folders in odd/photos/dogs ('pug')" in story.refuses("upload.py odd --name never")


def test_a_leak_is_asked_about_before_it_is_uploaded(story):
    leaky = story.folder / "leaky"
    shutil.copytree(story.pictures, leaky / "train")
    (leaky / "test/digit-1").mkdir(parents=True)
    copied = sorted((leaky / "train/digit-1").iterdir())[:10]
    for path in copied:
        shutil.copy(path, leaky / "test/digit-1")
    sentence = story.refuses("upload.py leaky")
    assert "10 of the 10 test images are also in train or validation, so the test score is then too good" in sentence
    assert "Upload all the same? There is no terminal to answer on" in sentence
    (leaky / "leave_out.txt").write_text("".join(f"{path.relative_to(leaky)}\n" for path in copied))
    out = story.does("upload.py leaky")
    assert "10 images left out, as leaky/leave_out.txt says" in out
    assert "leaky/: 60 uploaded" in out


def test_upload(story):
    assert "is not a folder" in story.refuses("upload.py absent")
    assert "60 uploaded, 0 unchanged" in story.does("upload.py pictures --name digits")
    assert "0 uploaded, 60 unchanged" in story.does("upload.py pictures --name digits")
    gone, changed = sorted(story.pictures.rglob("*.jpg"))[:2]
    gone.unlink()
    Image.new("RGB", (9, 9)).save(changed)
    assert "There is no terminal to answer on: repeat the command with --yes" in story.refuses(
        "upload.py pictures --name digits"
    )
    assert "1 uploaded, 58 unchanged, 1 removed" in story.does("upload.py pictures --name digits --yes")
    assert "The specified bucket does not exist" in story.refuses("upload.py pictures --bucket absent")
    empty = f"s3://sagemaker-{REGION}-123456789012/empty/"
    assert f"there are no images at {empty}" in story.refuses(f"tune.py --role sm --data {empty}")


def test_tuning_checks_and_asks_first(story):
    sentence = story.refuses("tune.py --role sm --max-jobs 3 --prices ml.g4dn.xlarge=0.5")
    assert "3 training jobs on s3://" in sentence
    assert "up to 6 instance hours of ml.g4dn.xlarge, 3.00 USD. Start? There is no terminal" in sentence
    assert not story.aws.sent("CreateHyperParameterTuningJob")
    for flags, expected in REFUSED_SETTINGS.items():
        assert expected in story.refuses(f"tune.py --role sm --yes {flags}")
    assert not story.aws.sent("CreateHyperParameterTuningJob")


def test_tuning_runs_the_requests_and_their_metrics_decide(story):
    out = story.does(f"tune.py --role sm --yes --max-jobs 2 --hyperparameters {' '.join(HYPERPARAMETERS)}")
    (request,) = story.aws.sent("CreateHyperParameterTuningJob")
    name = request["HyperParameterTuningJobName"]
    assert f"{CONSOLE}/hyper-tuning-jobs/{name}\n" in out
    tuning = json.loads((story.folder / "runs" / name / "tuning.json").read_text())
    jobs = story.aws.trials[name]
    assert [trial["name"] for trial in tuning["trials"]] == jobs
    # The requests' regexes found the values that the real training wrote.
    for job, trial in zip(jobs, tuning["trials"], strict=True):
        lines = (story.aws.folder / job / "output/data/metrics.jsonl").read_text().splitlines()
        accuracy = json.loads(lines[-1])["validation:accuracy"]
        assert trial["value"] == pytest.approx(accuracy, abs=1e-5)
        assert trial["metrics"]["validation:accuracy"] == [trial["value"]]
        used = json.loads((story.aws.folder / job / "input/config/hyperparameters.json").read_text())
        assert used.items() >= trial["hyperparameters"].items()
        assert used["_tuning_objective_metric"] == used["objective"] == "validation:accuracy"
    best = max(tuning["trials"], key=lambda trial: trial["value"])
    assert tuning["best"]["value"] == best["value"]
    assert f"best: {tuning['best']['name']}" in out
    page = (story.folder / "runs" / name / "tuning.html").read_text()
    assert all(job in page for job in jobs)
    assert "Charts follow from 5 measured training jobs on" in page
    again = story.does("tune.py --resume")
    assert f"best: {tuning['best']['name']}" in again


def test_training_takes_the_best_and_fetches_the_report(story):
    more = "--notify me@example.com --mlflow-uri sqlite:///mlflow.db"
    out = story.does(f"train.py --role sm --yes {more} --hyperparameters report_images=false")
    assert "is in MLflow's experiment resnet18 at sqlite:///mlflow.db" in out
    (request,) = story.aws.sent("CreateTrainingJob")
    assert f"{CONSOLE}/jobs/{request['TrainingJobName']}\n" in out
    (tuning,) = story.aws.trials
    best = json.loads((story.folder / "runs" / tuning / "tuning.json").read_text())["best"]
    assert request["HyperParameters"] == best["hyperparameters"] | {"report_images": "false"}
    assert re.search(r"^epoch 1/1: train:loss=", out, re.MULTILINE)
    report = Path(re.search(r"^report: (.*)$", out, re.MULTILINE)[1])
    assert "<title>Training report" in report.read_text()


def test_a_refused_debugger_says_what_to_do(story):
    story.aws.refused["CreateTrainingJob"] = ("ValidationException", "Debugger is not available to this account")
    assert "Leave --debugger out" in story.refuses("train.py --role sm --yes --debugger")
    del story.aws.refused["CreateTrainingJob"]


def test_deploy_and_predict(story, tmp_path):
    assert "730 instance hours of ml.m5.xlarge" in story.refuses("deploy.py --role sm")
    story.aws.refused["CreateEndpoint"] = ("ResourceLimitExceeded", "limit of 0 Instances")
    sentence = story.refuses("deploy.py --role sm --yes --instance-type ml.g4dn.xlarge")
    assert "limit of 0 Instances" in sentence
    assert "quota is too small; new accounts have none for GPU instances" in sentence
    del story.aws.refused["CreateEndpoint"]
    out = story.does("deploy.py --role sm --yes --max-instances 2")
    assert re.search(r"resnet18, which is in service, answers as training did: \d of 12 answers differ", out)
    assert re.search(r"digits/digit-\d/\d+\.jpg +digit-\d +\d\.\d{3}", out)
    assert f"{CONSOLE}/endpoints/resnet18\n" in out
    trial = next(iter(story.aws.trials.values()))[0]
    story.does(f"deploy.py --role sm --yes --max-instances 2 --job {trial}")
    assert len(story.aws.sent("UpdateEndpoint")) == 2  # AWS did not know the new configuration at once
    assert "cannot make it serverless: give another name" in story.refuses("deploy.py --role sm --yes --serverless")
    story.does("deploy.py --role sm --yes --serverless --endpoint idle")
    scaling = story.aws.client("application-autoscaling")
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 2)
    assert re.search(r"\.jpg +digit-\d +\d\.\d{3}", story.does(f"predict.py {story.picture}"))
    (tmp_path / "no.jpg").write_bytes(b"\xff\0 no picture")
    code, out, _ = story.run(f"predict.py --json {story.picture} {tmp_path / 'no.jpg'}")
    assert code == 1
    answered, error = map(json.loads, out.splitlines())
    assert {one["class"] for one in answered["predictions"]} == {"digit-0", "digit-1"}
    assert answered["milliseconds"] > 0
    assert error["error"] == "not a JPEG, PNG or WebP image"
    url = f"127.0.0.1:{story.aws.server.port}"
    assert story.does(f"predict.py --url {url} pictures").count(".jpg") == 59
    sentence = story.refuses(f"predict.py --url http://127.0.0.1:9 {story.picture}")
    assert "no server answers at http://127.0.0.1:9" in sentence


def test_an_asynchronous_endpoint(story, tmp_path):
    assert re.search(r"\.jpg +digit-\d +\d\.\d{3}", story.does("deploy.py --role sm --yes --async --endpoint queue"))
    (tmp_path / "no.jpg").write_bytes(b"\xff\0 no picture")
    code, out, _ = story.run(f"predict.py --json --endpoint queue {story.picture} {tmp_path / 'no.jpg'}")
    answered, error = map(json.loads, out.splitlines())
    assert code == 1
    assert {one["class"] for one in answered["predictions"]} == {"digit-0", "digit-1"}
    assert "not a JPEG, PNG or WebP image" in error["error"]


def test_an_endpoint_of_many_models(story):
    """It has room for one at a time, so that the service unloads one for the other."""
    story.aws.environ = {"SERVE_PRECISION": "fp32", "SERVE_MODELS_MB": "150"}
    deploy = "deploy.py --role sm --yes --multi-model --endpoint many"
    assert re.search(r"\.jpg +digit-\d +\d\.\d{3}", story.does(f"{deploy} --model first"))
    trial = next(iter(story.aws.trials.values()))[0]
    assert "many is there already, and its instances stay as they are" in story.does(f"{deploy} --job {trial}")
    assert re.search(r"\.jpg +digit-\d +\d\.\d{3}", story.does(f"predict.py --model first {story.picture}"))
    assert len(story.aws.many.unloaded) == 2


def test_the_registry(story):
    story.does("register.py --approve")
    (package,) = story.aws.packages["resnet18"]
    assert 0 <= float(package["CustomerMetadataProperties"]["validation:accuracy"]) <= 1
    assert re.search(r"\.jpg +digit-\d +\d\.\d{3}", story.does("deploy.py --role sm --yes --approved"))


def test_transform(story):
    images = f"s3://sagemaker-{REGION}-123456789012/resnet18/data/digits/"
    out = story.does(f"transform.py {images} --role sm --yes")
    assert f"{CONSOLE}/transform-jobs/{story.aws.sent('CreateTransformJob')[0]['TransformJobName']}\n" in out
    text = Path(re.search(r"59 images in (.*\.csv)", out)[1]).read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == 59
    assert list(rows[0]) == ["file", "class", "probability", "known"]
    assert (story.pictures / rows[0]["file"]).exists()
    assert {row["class"] for row in rows} <= {"digit-0", "digit-1"}


def test_status_and_cleanup(story):
    client = story.aws.client("sagemaker")
    client.create_model(
        ModelName="anothers", ExecutionRoleArn="arn:aws:iam::123456789012:role/sm", PrimaryContainer={"Image": IMAGE}
    )
    status = story.does("status.py --prices ml.m5.xlarge=0.25")
    assert re.search(r"Endpoint +resnet18 +InService", status)
    links = set(re.findall(rf"^{re.escape(CONSOLE)}/(\w+)/resnet18", status, re.MULTILINE))
    assert links == {"endpoints", "endpointConfig", "models"}
    assert "anothers" not in status
    sentence = story.refuses("cleanup.py")
    assert "Stop or delete all of these? There is no terminal" in sentence
    out = story.does("cleanup.py --yes --outputs --data")
    assert "objects below s3://" in out
    assert client.list_endpoints()["Endpoints"] == client.list_endpoint_configs()["EndpointConfigs"] == []
    assert [model["ModelName"] for model in client.list_models()["Models"]] == ["anothers"]
    scaling = story.aws.client("application-autoscaling")
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    bucket = f"sagemaker-{REGION}-123456789012"
    assert story.aws.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert "no running job or other resource of these scripts" in story.does("cleanup.py")
    assert "nothing is deployed" in story.refuses(f"predict.py {story.picture}")


def test_the_images_go_if_build_and_push_made_them(story):
    ecr = story.aws.client("ecr")
    tag = {"Key": "created-by", "Value": "build_and_push.sh"}
    ecr.create_repository(repositoryName="sagemaker-resnet18", tags=[tag])
    manifest = '{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"}'
    ecr.put_image(repositoryName="sagemaker-resnet18", imageManifest=manifest, imageTag="abc")
    ecr.create_repository(repositoryName="anothers")
    others = "--image 123456789012.dkr.ecr.eu-west-1.amazonaws.com/anothers:a"
    code, out, _ = story.run(f"cleanup.py --images --yes {others}")
    assert code == 1
    assert "left: the image: the ECR repository anothers is not tagged as made by build_and_push.sh" in out
    code, out, error = story.run("cleanup.py --images")
    assert (code, "the ECR repository sagemaker-resnet18 with all its images" in out) == (1, True), error
    assert len(ecr.describe_repositories()["repositories"]) == 2
    story.does("cleanup.py --images --yes")
    assert [one["repositoryName"] for one in ecr.describe_repositories()["repositories"]] == ["anothers"]


# What the user needs though no script asks for it here.
PERMITTED_FOR = {
    "sagemaker:AddTags": "tags in the requests",
    "events:TagResource": "tags in the requests",
    "sns:TagResource": "tags in the requests",
    "iam:PassRole": "the role in the requests",
    "iam:CreateServiceLinkedRole": "the first endpoint of an account that scales",
    "sagemaker:UpdateEndpointWeightsAndCapacities": "application-autoscaling, which acts for the user",
    "cloudwatch:SetAlarmState": "a watched update whose answers are wrong",
    "kms:CreateGrant": "SageMaker, with a key of the user's own",
    "kms:Decrypt": "S3, with a key of the user's own",
    "kms:DescribeKey": "SageMaker, with a key of the user's own",
    "kms:GenerateDataKey": "S3, with a key of the user's own",
    "sagemaker:StopHyperParameterTuningJob": "cleanup.py, of a job that runs",
    "sagemaker:StopTrainingJob": "cleanup.py, of a job that runs",
    "sagemaker:StopTransformJob": "cleanup.py, of a job that runs",
    "sagemaker-mlflow:CreateExperiment": "MLflow's client, with a server of SageMaker's",
    "sagemaker-mlflow:CreateRun": "MLflow's client, with a server of SageMaker's",
    "sagemaker-mlflow:GetExperimentByName": "MLflow's client, with a server of SageMaker's",
    "sagemaker-mlflow:GetRun": "MLflow's client, with a server of SageMaker's",
    "sagemaker-mlflow:LogBatch": "MLflow's client, with a server of SageMaker's",
    "sagemaker-mlflow:SearchRuns": "MLflow's client, with a server of SageMaker's",
    "sagemaker-mlflow:UpdateRun": "MLflow's client, with a server of SageMaker's",
    "s3:AbortMultipartUpload": "an upload of more than 8 MB that is interrupted",
}


def statements(name):
    """Return a policy's statements, with their actions as lists."""
    policy = json.loads((ROOT / "launch/policies" / name).read_text())
    actions = [one["Action"] for one in policy["Statement"]]
    lists = [[one] if isinstance(one, str) else one for one in actions]
    return [one | {"Action": each} for one, each in zip(policy["Statement"], lists, strict=True)]


def test_the_documented_policy_permits_all_that_the_scripts_asked_for(story):
    permitted = {action for statement in statements("user.json") for action in statement["Action"]}
    asked = story.aws.actions - {"sts:GetCallerIdentity"}  # which needs no permission
    assert asked - permitted == set()
    by_push = {action for action in permitted if action.startswith("ecr:")}  # and what docker asks for
    assert permitted - asked - by_push == set(PERMITTED_FOR)


def test_a_policy_fits_in_iam_and_names_no_partition():
    for path in (ROOT / "launch/policies").glob("*.json"):
        text = path.read_text()
        assert len("".join(text.split())) <= 6144  # a managed policy's limit
        assert "arn:aws" not in text
    (grant,) = (one for one in statements("user.json") if "iam:PassRole" in one["Action"])
    assert grant["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
