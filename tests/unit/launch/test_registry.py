"""The model registry: a model with its metrics and report, and the deployment of an approved one."""

import json

from launch import registry
from local import places
from strict_request import faults

pytest_plugins = ["aws_account"]

METRICS = [{"MetricName": "validation:accuracy", "Value": 0.875, "Timestamp": 0.0}]
DEPLOY = "deploy.py --role sm --yes --approved"


def test_register_approve_and_deploy(account):
    account.trained(FinalMetricDataList=METRICS)
    report = places.RUNS / "resnet18-0/output/data/report.html"
    report.parent.mkdir(parents=True)
    report.write_text("a report")
    assert "group resnet18 has no approved model: run launch/register.py --approve" in account.refuses(DEPLOY)
    out = account.does("register.py")
    assert "--model-approval-status Approved --model-package-arn arn:" in out
    assert "has no approved model" in account.refuses(DEPLOY)
    account.trained("resnet18-9", FinalMetricDataList=METRICS, FailureReason="")
    account.aws.packages["resnet18"][0]["ModelApprovalStatus"] = "Approved"
    account.does(DEPLOY)
    (model,) = account.aws.sent("CreateModel")
    (package,) = account.aws.packages["resnet18"]
    assert model["PrimaryContainer"] == {"ModelPackageName": package["ModelPackageArn"]}
    metadata = {"training-job": "resnet18-0", "validation:accuracy": "0.875"}
    assert package["CustomerMetadataProperties"] == metadata
    s3 = account.aws.client("s3")
    stored = s3.get_object(Bucket=account.bucket, Key="resnet18/registry/resnet18-0/metrics.json")["Body"].read()
    assert json.loads(stored) == {"validation:accuracy": 0.875}
    stored = s3.get_object(Bucket=account.bucket, Key="resnet18/registry/resnet18-0/report.html")["Body"].read()
    assert stored == b"a report"


def test_the_newest_approved_one_is_deployed(account):
    account.trained()
    account.does("register.py --approve")
    account.does("register.py --approve")
    account.does("register.py")
    account.does(DEPLOY)
    assert account.aws.sent("CreateModel")[0]["PrimaryContainer"]["ModelPackageName"].endswith("/2")
    assert "--job has no effect with --approved" in account.refuses(f"{DEPLOY} --job resnet18-0")


def test_a_job_without_a_model_is_not_registered(account):
    account.trained(TrainingJobStatus="Failed", FailureReason="no data")
    assert "failed: no data" in account.refuses("register.py")
    assert not account.aws.sent("CreateModelPackageGroup")


def test_the_requests(account):
    job = account.trained(FinalMetricDataList=METRICS)
    from launch.aws import Aws

    aws = Aws(account.settings())
    request = registry.package(aws, job, f"s3://{account.bucket}/model.tar.gz", f"s3://{account.bucket}/a", True)
    assert faults("CreateModelPackage", request) == []
    assert faults("CreateModelPackageGroup", registry.group(account.settings())) == []


def test_a_package_that_register_did_not_make_is_told(account):
    account.trained()
    account.does("register.py --approve")
    (package,) = account.aws.packages["resnet18"]
    job = package.pop("CustomerMetadataProperties")["training-job"]
    assert "names no training job, unlike those of register.py" in account.refuses(DEPLOY)
    package["CustomerMetadataProperties"] = {"training-job": job}
    del account.aws.jobs[job]
    assert f"names the training job {job}, which is gone" in account.refuses(DEPLOY)
    assert "--image has no effect with --approved" in account.refuses(f"{DEPLOY} --image {account.image}")
    assert account.names("Model") == []
