"""A stand-in for AWS: a moto server whose SageMaker trains and serves on this machine.

moto's jobs end at once and do nothing. Here a job is container/train with exactly the hyperparameters and channels of
the request, and the request's own metric definitions read the log. An endpoint is container/serve, and a batch
transform sends it every object. Every request to SageMaker is checked strictly and recorded.
"""

import io
import json
import re
import tarfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qs

import boto3
from botocore.config import Config
from moto.moto_server.werkzeug_app import MotoRequestHandler
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

import datasets
from helpers import CREDENTIALS, REGION, serve
from strict_request import faults

LOGS = "/aws/sagemaker/TrainingJobs"
SPLIT = re.compile("s3://([^/]+)/(.*)")
# Marks the requests of this class and of the tests, to tell them from the scripts'.
OWN = Config(user_agent_extra="stand-in")
# The IAM action of a request to S3, by its method and whether it names an object.
S3_ACTIONS = {
    ("GET", False): "ListBucket",
    ("PUT", False): "CreateBucket",
    ("POST", False): "DeleteObject",
    ("GET", True): "GetObject",
    ("HEAD", True): "GetObject",
    ("PUT", True): "PutObject",
    ("DELETE", True): "DeleteObject",
}
# A tuning job's proposals, as shares of each range: never the same twice.
PROPOSALS = (0.5, 0.3, 0.7, 0.1, 0.9)


class StandIn:
    """A server at `url`; `calls` are the operations and parameters of all requests to SageMaker so far.

    `actions` are the IAM actions of all the scripts' requests. `refused` maps an operation to the error code and
    message that answer it.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.calls: list[tuple[str, dict]] = []
        self.actions: set[str] = set()
        self.refused: dict[str, tuple[str, str]] = {}
        self.jobs: dict[str, dict] = {}
        self.trials: dict[str, list[str]] = {}
        self.servers = ExitStack()
        self.server = None
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.http = make_server("127.0.0.1", 0, self.answer, threaded=True, request_handler=MotoRequestHandler)
        self.url = f"http://127.0.0.1:{self.http.port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.servers.close()
        self.http.shutdown()

    def client(self, service: str):
        return boto3.Session(*CREDENTIALS, region_name=REGION).client(service, endpoint_url=self.url, config=OWN)

    def sent(self, operation: str) -> list[dict]:
        return [parameters for name, parameters in self.calls if name == operation]

    def answer(self, environ, start_response):
        request = Request(environ)
        environ["wsgi.input"] = io.BytesIO(request.get_data())  # so that it can be read again
        if OWN.user_agent_extra not in request.headers["User-Agent"]:
            self.actions.add(action(request))
        operation = request.headers.get("X-Amz-Target", "")
        if re.fullmatch(r"/endpoints/[^/]+/invocations", request.path):
            response = self.invoke(request)
        elif operation.endswith(".FilterLogEvents"):
            response = self.filter_log(request)
        elif operation.startswith("SageMaker."):
            response = self.sagemaker(operation.removeprefix("SageMaker."), request)
        else:
            response = self.moto
        return response(environ, start_response)

    def sagemaker(self, operation: str, request: Request) -> Response:
        """Answer with the method of this name, with moto, or with moto's answer updated by the method's."""
        parameters = json.loads(request.get_data() or "{}")
        self.calls.append((operation, parameters))
        if wrong := faults(operation, parameters):
            return refusal("ValidationException", "; ".join(wrong))
        if operation in self.refused:
            return refusal(*self.refused[operation])
        act = getattr(self, operation, None)
        if operation in ANSWERED_HERE:
            return Response(json.dumps(act(parameters)), content_type="application/x-amz-json-1.1")
        response = Response.from_app(self.moto, request.environ)
        if act and response.status_code == 200:
            response.set_data(json.dumps(json.loads(response.get_data()) | (act(parameters) or {})))
        return response

    # Training and tuning

    def CreateTrainingJob(self, request: dict) -> None:
        self.start(self.run_job, request["TrainingJobName"], request, request["HyperParameters"])

    def CreateHyperParameterTuningJob(self, request: dict) -> None:
        self.trials[request["HyperParameterTuningJobName"]] = []
        self.jobs[request["HyperParameterTuningJobName"]] = {"HyperParameterTuningJobStatus": "InProgress"}
        self.start(self.run_tuning, request)

    def run_tuning(self, request: dict) -> None:
        name, config = request["HyperParameterTuningJobName"], request["HyperParameterTuningJobConfig"]
        for number in range(config["ResourceLimits"]["MaxNumberOfTrainingJobs"]):
            tuned = propose(config["ParameterRanges"], PROPOSALS[number])
            definition = request["TrainingJobDefinition"]
            objective = config["HyperParameterTuningJobObjective"]["MetricName"]
            given = definition["StaticHyperParameters"] | tuned | {"_tuning_objective_metric": objective}
            job = f"{name}-{number + 1:03}"
            self.trials[name].append(job)
            self.run_job(job, definition, given, tuned, objective)
        self.jobs[name] = {"HyperParameterTuningJobStatus": "Completed"}

    def run_job(self, name: str, request: dict, given: dict, tuned: dict = {}, objective: str = "") -> None:  # noqa: B006
        job = self.jobs[name] = {
            "TrainingJobName": name,
            "TrainingJobArn": f"arn:aws:sagemaker:{REGION}:123456789012:training-job/{name}",
            "CreationTime": time.time(),
            "TrainingStartTime": time.time(),
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Training",
            "TunedHyperParameters": tuned,
            "InputDataConfig": request["InputDataConfig"],
            "OutputDataConfig": request["OutputDataConfig"],
            "ResourceConfig": request["ResourceConfig"],
        }
        root = self.folder / name
        datasets.write_hyperparameters(root, **given)
        config, algorithm = {}, request["AlgorithmSpecification"]
        for channel in request["InputDataConfig"]:
            config[channel["ChannelName"]] = {"TrainingInputMode": algorithm["TrainingInputMode"]}
            self.download(channel["DataSource"]["S3DataSource"]["S3Uri"], root / "input/data" / channel["ChannelName"])
        (root / "input/config/inputdataconfig.json").write_text(json.dumps(config))
        result = datasets.train(root, TRAINING_JOB_NAME=name)
        lines = (result.stdout + result.stderr).splitlines()
        self.write_log(name, lines)
        found = {}
        for definition in algorithm["MetricDefinitions"]:
            values = [match[1] for line in lines for match in re.finditer(definition["Regex"], line)]
            found |= {definition["Name"]: float(values[-1])} if values else {}
        if objective in found:
            job["FinalHyperParameterTuningJobObjectiveMetric"] = {"MetricName": objective, "Value": found[objective]}
        output = f"{request['OutputDataConfig']['S3OutputPath']}/{name}/output"
        for file, folder in (("model.tar.gz", "model"), ("output.tar.gz", "output/data")):
            self.upload(f"{output}/{file}", root / folder)
        failure = root / "output/failure"
        job |= {"FailureReason": failure.read_text()[:1024]} if failure.exists() else {}
        job["ModelArtifacts"] = {"S3ModelArtifacts": f"{output}/model.tar.gz"}
        job["TrainingEndTime"] = time.time()
        job["TrainingJobStatus"] = "Failed" if result.returncode else "Completed"

    def DescribeTrainingJob(self, request: dict) -> dict:
        return self.jobs[request["TrainingJobName"]]

    def DescribeHyperParameterTuningJob(self, request: dict) -> dict:
        return self.jobs[request["HyperParameterTuningJobName"]]

    def ListTrainingJobsForHyperParameterTuningJob(self, request: dict) -> dict:
        return {"TrainingJobSummaries": [self.jobs[job] for job in self.trials[request["HyperParameterTuningJobName"]]]}

    def StopTrainingJob(self, request: dict) -> dict:
        return {}

    StopHyperParameterTuningJob = StopTransformJob = StopTrainingJob

    # Hosting

    def CreateEndpoint(self, request: dict) -> dict:
        config = self.client("sagemaker").describe_endpoint_config(EndpointConfigName=request["EndpointConfigName"])
        self.serve(config["ProductionVariants"][0]["ModelName"])
        return {"EndpointArn": f"arn:aws:sagemaker:{REGION}:123456789012:endpoint/{request['EndpointName']}"}

    UpdateEndpoint = CreateEndpoint

    def serve(self, model: str) -> None:
        """Serve a model from its artifact in S3, instead of the previous one."""
        artifact = self.client("sagemaker").describe_model(ModelName=model)["PrimaryContainer"]["ModelDataUrl"]
        bucket, key = SPLIT.fullmatch(artifact).groups()
        data = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        root = self.folder / model
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            archive.extractall(root / "model", filter="data")
        self.servers.close()
        self.server = self.servers.enter_context(serve(root, self.folder / f"{model}.log"))
        self.server.wait_for_ping(200)

    def invoke(self, request: Request) -> Response:
        """Answer InvokeEndpoint as the service does."""
        wanted = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes")
        headers = {name: request.headers[name] for name in wanted if name in request.headers}
        answer = self.server.request("POST", "/invocations", request.get_data(), headers)
        if answer.status >= 400:
            told = {"OriginalStatusCode": answer.status, "OriginalMessage": answer.body.decode(), "Message": "refused"}
            return Response(json.dumps(told), 424, {"x-amzn-ErrorType": "ModelError"})
        return Response(answer.body, 200, {"Content-Type": answer.headers["Content-Type"]})

    def CreateTransformJob(self, request: dict) -> None:
        self.serve(request["ModelName"])
        source, output = request["TransformInput"], SPLIT.fullmatch(request["TransformOutput"]["S3OutputPath"])
        bucket, prefix = SPLIT.fullmatch(source["DataSource"]["S3DataSource"]["S3Uri"]).groups()
        s3 = self.client("s3")
        for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
            data = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            headers = {"Content-Type": source["ContentType"], "Accept": request["TransformOutput"]["Accept"]}
            body = self.server.request("POST", "/invocations", data, headers).body
            key = f"{output[2]}/{item['Key'][len(prefix) :]}.out"
            s3.put_object(Bucket=output[1], Key=key, Body=body)

    # S3 and logs

    def start(self, act, *arguments) -> None:
        threading.Thread(target=act, args=arguments, daemon=True).start()

    def download(self, uri: str, folder: Path) -> None:
        bucket, prefix = SPLIT.fullmatch(uri).groups()
        s3 = self.client("s3")
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page["Contents"]:
                path = folder / item["Key"][len(prefix) :].lstrip("/")
                path.parent.mkdir(parents=True, exist_ok=True)
                s3.download_file(bucket, item["Key"], str(path))

    def upload(self, uri: str, folder: Path) -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
            for path in sorted(folder.rglob("*")) if folder.exists() else ():
                archive.add(path, path.relative_to(folder), recursive=False)
        bucket, key = SPLIT.fullmatch(uri).groups()
        self.client("s3").put_object(Bucket=bucket, Key=key, Body=buffer.getvalue())

    def filter_log(self, request: Request) -> Response:
        """Apply logStreamNamePrefix, which moto ignores."""
        prefix = json.loads(request.get_data())["logStreamNamePrefix"]
        response = Response.from_app(self.moto, request.environ)
        answer = json.loads(response.get_data())
        found = [event for event in answer.get("events", ()) if event["logStreamName"].startswith(prefix)]
        response.set_data(json.dumps(answer | {"events": found}))
        return response

    def write_log(self, job: str, lines: list[str]) -> None:
        logs = self.client("logs")
        where = {"logGroupName": LOGS, "logStreamName": f"{job}/algo-1-1"}
        if not logs.describe_log_groups(logGroupNamePrefix=LOGS)["logGroups"]:
            logs.create_log_group(logGroupName=LOGS)
        logs.create_log_stream(**where)
        now = int(1000 * time.time())
        logs.put_log_events(**where, logEvents=[{"timestamp": now, "message": line} for line in lines if line])


# Operations that only this class answers: moto lacks them, or does not know the jobs of a tuning.
ANSWERED_HERE = (
    "DescribeTrainingJob",
    "ListTrainingJobsForHyperParameterTuningJob",
    "StopTrainingJob",
    "StopHyperParameterTuningJob",
    "StopTransformJob",
    "UpdateEndpoint",
)


def action(request: Request) -> str:
    """Return the request's IAM action, such as s3:GetObject."""
    service = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", request.headers["Authorization"])[1]
    if service == "s3":
        return f"s3:{S3_ACTIONS[request.method, '/' in request.path.strip('/')]}"
    if request.path.endswith("/invocations"):
        return "sagemaker:InvokeEndpoint"
    named = request.headers.get("X-Amz-Target") or parse_qs(request.get_data(as_text=True))["Action"][0]
    return f"{service}:{named.rpartition('.')[2]}"


def propose(ranges: dict, share: float) -> dict[str, str]:
    """Return hyperparameters as a tuning job passes them: strings, at this share of each range."""
    tuned = {}
    for item in ranges.get("ContinuousParameterRanges", ()):
        low, high = float(item["MinValue"]), float(item["MaxValue"])
        tuned[item["Name"]] = repr(low * (high / low) ** share)
    for item in ranges.get("CategoricalParameterRanges", ()):
        tuned[item["Name"]] = item["Values"][int(share * len(item["Values"]))]
    return tuned


def refusal(code: str, message: str) -> Response:
    return Response(json.dumps({"__type": code, "message": message}), 400, content_type="application/x-amz-json-1.1")
