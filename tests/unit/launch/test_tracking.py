"""What goes to MLflow: its client, and a store in a file instead of a server."""

import json
from argparse import Namespace

import pytest
from botocore.exceptions import NoCredentialsError

from classifier.errors import UserError
from launch import tracking
from launch.settings import make_parser
from local import places
from local.trials import Trial, Tuning

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:::sqlalchemy", "ignore:::mlflow")


@pytest.fixture(scope="module")
def store(module_path):
    return f"sqlite:///{module_path}/mlflow.db"


def test_a_job_and_a_tuning(store, tmp_path, monkeypatch, capsys):
    import mlflow

    monkeypatch.setattr(places, "RUNS", tmp_path)
    monkeypatch.chdir(tmp_path)  # where the artifacts go without a server
    settings, output = Namespace(mlflow_uri=store, prefix="dogs", profile=""), tmp_path / "dogs-1/output/data"
    output.mkdir(parents=True)
    rows = [
        {"epoch": 1, "train:loss": None},
        {"epoch": 2, "train:loss": 0.25},
        {"best_epoch": 2, "test:accuracy": 0.75},
    ]
    (output / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (output / "report.html").write_text("a report")
    tracking.check(settings)
    trial = Trial("dogs-2-001", {"lr": "0.1"}, value=0.5, metrics={"validation:accuracy": [0.25, 0.5]})
    for _ in range(2):  # what is there is not sent again
        tracking.send_job(settings, "dogs-1", {"epochs": "2"})
        tracking.send_tuning(settings, Tuning("dogs-2", "validation:accuracy", ["lr"], [trial]))
    assert f"dogs-1 is in MLflow's experiment dogs at {store}" in capsys.readouterr().out
    client = mlflow.MlflowClient(store)
    second, first = client.search_runs([client.get_experiment_by_name("dogs").experiment_id])
    assert first.data.metrics == {"train:loss": 0.25, "test:accuracy": 0.75}
    assert first.data.params == {"epochs": "2"}
    assert [file.path for file in client.list_artifacts(first.info.run_id)] == ["report.html"]
    assert [one.value for one in client.get_metric_history(second.info.run_id, "validation:accuracy")] == [0.25, 0.5]
    assert second.data.tags["tuning"] == "dogs-2"


def test_an_address_of_another_kind_is_refused():
    with pytest.raises(UserError, match="mlflow_uri is 'arn:aws:x'; accepted: a URL of http or https, sqlite:///FILE"):
        make_parser("", "aws", "training").parse_args(["--mlflow-uri", "arn:aws:x"])


def test_a_server_that_is_not_there_is_one_sentence():
    settings = Namespace(mlflow_uri="http://127.0.0.1:9", prefix="dogs", profile="")
    with pytest.raises(UserError, match="^mlflow_uri is 'http://127.0.0.1:9': API request to .* failed"):
        tracking.check(settings)
    with pytest.raises(
        UserError, match="^dogs-2 is trained, but not in MLflow: mlflow_uri is 'http://127.0.0.1:9': API"
    ):
        tracking.send_tuning(settings, Tuning("dogs-2", "validation:accuracy", ["lr"]))


def test_credentials_that_have_expired_do_not_hide_that_the_job_is_trained(monkeypatch):
    import mlflow

    def refuse(uri):
        raise NoCredentialsError

    monkeypatch.setattr(mlflow, "set_tracking_uri", refuse)
    settings = Namespace(mlflow_uri="arn:aws:sagemaker:eu-west-1:1:mlflow-app/a", prefix="dogs", profile="")
    with pytest.raises(UserError, match="^dogs-2 is trained, but not in MLflow: .*: Unable to locate credentials"):
        tracking.send_tuning(settings, Tuning("dogs-2", "validation:accuracy", ["lr"]))
