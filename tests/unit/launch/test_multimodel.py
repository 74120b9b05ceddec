"""An endpoint of many models: deployed, given a second model, asked for each by its name, and removed."""

import pytest
from test_hosting import HOME, NAME, PLACE, parsed

from classifier.errors import UserError
from launch import hosting, multimodel
from local.sending import IMAGE_TYPE
from strict_request import faults

pytest_plugins = ["aws_account"]

DEPLOY = "deploy.py --role sm --yes --multi-model"


def test_requests():
    request = hosting.model(parsed("hosting"), PLACE, NAME, f"{HOME}/models/dogs/", hosting.MULTI_MODEL)
    assert faults("CreateModel", request) == []
    assert request["PrimaryContainer"]["Mode"] == "MultiModel"
    asked = {"EndpointName": "dogs", "ContentType": IMAGE_TYPE, "Body": b"a"} | multimodel.target("pugs")
    assert faults("InvokeEndpoint", asked, "sagemaker-runtime") == []
    assert asked["TargetModel"] == "pugs.tar.gz"
    assert multimodel.target("") == {}


@pytest.mark.parametrize("flags", [("--instance-type", "ml.g5.xlarge"), ("--more-instance-types", "ml.p3.2xlarge")])
def test_not_on_a_gpu(flags):
    with pytest.raises(UserError, match=r"instance_type is 'ml\.[gp].*accepted with --multi-model: one without a GPU"):
        hosting.model(parsed("hosting", *flags), PLACE, NAME, f"{HOME}/models/dogs/", hosting.MULTI_MODEL)


def test_deploy_add_ask_and_clean_up(account, tmp_path):
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"a picture")
    account.trained("first")
    assert "predict.py --model first FILE" in account.does(DEPLOY)
    account.trained("second")
    out = account.does(f"{DEPLOY} --model pugs")
    assert "resnet18 is there already, and its instances stay as they are" in out
    assert account.aws.sent("UpdateEndpoint") == []
    assert len(account.aws.sent("CreateModel")) == 1
    listed = account.aws.client("s3").list_objects_v2(Bucket=account.bucket, Prefix="resnet18/models/")["Contents"]
    assert [one["Key"] for one in listed] == [f"resnet18/models/resnet18/{name}.tar.gz" for name in ("first", "pugs")]
    account.does(f"predict.py --model pugs {picture}")
    assert account.aws.targets == ["first.tar.gz", "pugs.tar.gz", "pugs.tar.gz"]
    assert "resnet18/cats.tar.gz" in account.refuses(f"predict.py --model cats {picture}")
    assert "needs a TargetModel: name the model with --model" in account.refuses(f"predict.py {picture}")
    sentence = account.refuses(f"predict.py --endpoint absent {picture}")
    assert "absent of account 123456789012 not found: there is none of this name in this account" in sentence
    assert "resnet18 has a model pugs already: give another name" in account.refuses(f"{DEPLOY} --model pugs")
    assert "is multi-model, and AWS cannot make it one of instances" in account.refuses("deploy.py --role sm --yes")
    account.does("cleanup.py --yes --outputs")
    assert account.names("Model") == account.names("EndpointConfig") == []
    assert "Contents" not in account.aws.client("s3").list_objects_v2(Bucket=account.bucket, Prefix="resnet18/models/")


def test_one_of_instances_does_not_become_one_of_many_models(account):
    account.trained()
    account.does("deploy.py --role sm --yes")
    assert "is one of instances, and AWS cannot make it multi-model" in account.refuses(DEPLOY)


def test_flags_without_effect(account):
    account.trained()
    assert "--model has no effect without --multi-model" in account.refuses("deploy.py --role sm --model a")
    assert "--serverless has no effect with --multi-model" in account.refuses(f"{DEPLOY} --serverless")
    assert "--capture-percent has no effect with --multi-model" in account.refuses(f"{DEPLOY} --capture-percent 9")
    assert "model is 'a/b'; accepted: up to 100 letters" in account.refuses(f"{DEPLOY} --model a/b")
