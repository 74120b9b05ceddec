"""Endpoints that are asked for a sample of a job's images: once they serve, and while they are updated."""

import io
import itertools
import json
import tarfile

import pytest

from classifier.training.answers.sample import FILE, Sample, Sampled, write
from launch import proof
from local import places

pytest_plugins = ["aws_account"]

DEPLOY = "deploy.py --role sm --yes --instance-count 2"
NEW, OLD = "a" * 64, "b" * 64
SAMPLE = Sample(NEW, "test", [Sampled(f"pug/{number}.jpg", b"%d" % number, {"pug": 0.9}) for number in range(30)])


def body(model, name):
    predictions = [{"class": name, "index": 0, "probability": 0.9}]
    return json.dumps({"predictions": predictions, "model_sha256": model}).encode()


RIGHT, WRONG, OLDS = body(NEW, "pug"), body(NEW, "cat"), body(OLD, "cat")


@pytest.fixture
def trained(account, tmp_path):
    """An account with a job whose output, in S3, has a sample."""
    account.trained()
    write(tmp_path / FILE, SAMPLE)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(tmp_path / FILE, FILE)
    key = "resnet18/output/resnet18-0/output/output.tar.gz"
    account.aws.client("s3").put_object(Bucket=account.bucket, Key=key, Body=packed.getvalue())
    return account


def answering(account, **bodies):
    account.aws.answers = {state: itertools.cycle(one) for state, one in bodies.items()}


@pytest.mark.parametrize("kind", ["", "--serverless", "--multi-model --instance-count 1"])
def test_a_new_endpoint_answers_as_training_did(trained, kind):
    answering(trained, InService=[RIGHT])
    out = trained.does(f"{DEPLOY.replace(' --instance-count 2', '')} {kind}")
    assert "resnet18, which is in service, answers as training did: 0 of 30 answers differ" in out
    assert (places.RUNS / "resnet18-0/output/data" / FILE).exists()


def test_a_new_endpoint_that_answers_otherwise_is_an_error(trained):
    answering(trained, InService=[RIGHT, WRONG])
    sentence = trained.refuses(DEPLOY)
    assert "resnet18, which is in service, does not answer as training did: 15 of 30 answers differ" in sentence
    assert "accepted: 1 differing answer" in sentence


def test_an_endpoint_that_serves_another_model_is_an_error(trained):
    answering(trained, InService=[OLDS])
    assert "30 of 30 answers are another model's" in trained.refuses(DEPLOY)


def test_a_job_without_a_sample_is_deployed_as_ever(account):
    account.trained()
    assert "resnet18 is in service" in account.does(DEPLOY)


def test_a_damaged_sample_is_said_before_anything_is_started(trained):
    path = places.RUNS / "resnet18-0/output/data" / FILE
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert f"{path} is damaged: format_version is None" in trained.refuses(DEPLOY)
    assert not trained.aws.sent("CreateEndpoint")


@pytest.fixture
def updating(trained):
    answering(trained, InService=[RIGHT])
    trained.does(DEPLOY)
    trained.aws.describes = 12
    return trained


def test_the_traffic_shifts_while_both_models_answer(updating):
    """The model before may answer as it likes."""
    answering(updating, Updating=[OLDS, OLDS, OLDS, RIGHT], InService=[RIGHT])
    out = updating.does(f"{DEPLOY} --watch-minutes 5 --shift Canary")
    assert "0 of 30 answers differ" in out


def test_wrong_answers_of_the_new_model_roll_the_update_back_before_the_shift_ends(updating):
    answering(updating, Updating=[OLDS, OLDS, WRONG], InService=[OLDS])
    result, out = updating.run(f"{DEPLOY} --watch-minutes 5 --shift Canary")
    assert "answers differ from training's" in out
    assert "the update is rolled back" in out
    assert "still serves the model before, since the update failed: Alarms in ALARM state" in result


def test_predict_proves_an_endpoint(trained):
    answering(trained, InService=[RIGHT])
    trained.does(DEPLOY)
    assert "the endpoint answers as training did: 0 of 30" in trained.does("predict.py --prove")
    answering(trained, InService=[WRONG])
    assert "the endpoint does not answer as training did: 30 of 30" in trained.refuses("predict.py --prove")
    assert "what to send is not clear" in trained.refuses("predict.py --prove 1.jpg")
    assert "what to send is not clear" in trained.refuses("predict.py --job resnet18-0 1.jpg")
    trained.trained("resnet18-9")
    assert "resnet18-9 has no sample of answers" in trained.refuses("predict.py --prove --job resnet18-9")


def test_what_is_sent_meanwhile_goes_round(account):
    sent = []
    meanwhile = proof.Meanwhile(lambda some: sent.append(some) or [{"predictions": []} for _ in some], SAMPLE, None)
    assert {meanwhile.fault() for _ in range(4)} == {""}
    names = [name for some in sent for name, _ in some]
    assert len(names) == 40
    assert names[:30] == [one.file for one in SAMPLE.images]
    assert names[30:] == names[:10]
