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
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs
from urllib.request import Request as Post
from urllib.request import urlopen

import boto3
from botocore.config import Config
from moto.moto_server.werkzeug_app import MotoRequestHandler
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

import datasets
from aws_hosting import SPLIT, Hosting
from aws_rules import refusals, resources
from helpers import CREDENTIALS, REGION
from strict_request import faults

ACCOUNT = "123456789012"
LOGS = "/aws/sagemaker/TrainingJobs"
# Marks the requests of this class and of the tests, to tell them from the scripts'.
OWN = Config(user_agent_extra="stand-in")
# The IAM action of a request to S3, by its method and whether it names an object.
S3_ACTIONS = {
    ("GET", False): "ListBucket",
    ("HEAD", False): "ListBucket",
    ("PUT", False): "CreateBucket",
    ("POST", False): "DeleteObject",
    ("GET", True): "GetObject",
    ("HEAD", True): "GetObject",
    ("PUT", True): "PutObject",
    ("DELETE", True): "DeleteObject",
}
# CloudWatch shows so many lines only when a job has already ended.
LATE_LINES = 3
# A tuning job's proposals, as shares of each range: never the same twice.
PROPOSALS = (0.5, 0.3, 0.7, 0.1, 0.9)


class StandIn(Hosting):
    """A server at `url`; `calls` are the operations and parameters of all requests to SageMaker so far.

    `actions` are the IAM actions of all the scripts' requests. `refused` maps an operation to the error code and
    message that answer it, and `refusing` to those that answer its next calls, None for none. A bucket is in this
    region and this account's, unless `regions` and `owners` say otherwise. `began` is added to the description of a
    training job that runs, and the next of `endings` to that of one that has ended, whose last lines are in its log
    `late_seconds` later. `listed` are further models. Without `searchable` tags are only known to ListTags.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder
        self.session, self.lock = boto3.Session(*CREDENTIALS, region_name=REGION), threading.Lock()
        self.clients: dict[str, object] = {}
        self.threads: list[threading.Thread] = []
        self.tags: dict[str, list[dict]] = {}
        self.calls: list[tuple[str, dict]] = []
        self.actions: set[str] = set()
        self.refused: dict[str, tuple[str, str]] = {}
        self.refusing: dict[str, Iterator[tuple[str, str] | None]] = {}
        self.regions: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        self.prices: dict[str, float] = {}
        self.listed: list[dict] = []
        self.searchable = True
        self.began: dict = {}
        self.endings: list[dict] = []
        self.late_seconds = 0.5
        self.jobs: dict[str, dict] = {}
        self.trials: dict[str, list[str]] = {}
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.http = make_server("127.0.0.1", 0, self.answer, threaded=True, request_handler=MotoRequestHandler)
        self.url = f"http://127.0.0.1:{self.http.port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        agent = {"User-Agent": OWN.user_agent_extra}
        urlopen(Post(f"{self.url}/moto-api/reset", method="POST", headers=agent)).close()

    def close(self) -> None:
        for thread in self.threads:
            thread.join()
        self.servers.close()
        self.http.shutdown()
        self.http.server_close()

    def client(self, service: str):
        with self.lock:  # a session is not for several threads
            if service not in self.clients:
                self.clients[service] = self.session.client(service, endpoint_url=self.url, config=OWN)
            return self.clients[service]

    def sent(self, operation: str) -> list[dict]:
        return [parameters for name, parameters in self.calls if name == operation]

    def answer(self, environ, start_response):
        request = Request(environ)
        environ["wsgi.input"] = io.BytesIO(request.get_data())  # so that it can be read again
        if OWN.user_agent_extra not in request.headers["User-Agent"]:
            self.actions.add(action(request))
        operation = request.headers.get("X-Amz-Target", "")
        named = operation.rpartition(".")[2]
        if OWN.user_agent_extra in request.headers["User-Agent"]:
            no = None
        else:
            no = next(self.refusing.get(named, iter(())), None) or self.refused.get(named)
        if no:
            self.calls.append((named, json.loads(request.get_data() or "{}")))
            response = refusal(*no)
        elif re.fullmatch(r"/endpoints/[^/]+/invocations", request.path):
            response = self.invoke(request)
        elif re.fullmatch(r"/endpoints/[^/]+/async-invocations", request.path):
            response = self.invoke_async(request)
        elif operation.endswith(".GetResources"):
            response = self.tagged(request)
        elif operation.endswith(".GetProducts"):
            response = self.price_list(request)
        elif operation.endswith(".FilterLogEvents"):
            response = self.filter_log(request)
        elif request.method == "HEAD" and "/" not in request.path.strip("/"):
            response = self.head_bucket(request)
        elif named == "RegisterScalableTarget" and (broken := refusals(named, json.loads(request.get_data()), self)):
            response = refusal("ValidationException", broken[0])
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
        if broken := refusals(operation, parameters, self):
            return refusal("ValidationException", broken[0])
        act = getattr(self, operation, None)
        if operation in ANSWERED_HERE:
            return Response(json.dumps(act(parameters)), content_type="application/x-amz-json-1.1")
        response = Response.from_app(self.moto, request.environ)
        if response.status_code != 200:
            return response
        answer = json.loads(response.get_data() or "{}")
        for arn in (value for name, value in answer.items() if name.endswith("Arn") and operation.startswith("Create")):
            self.tags[arn] = parameters.get("Tags", [])
        if operation == "ListModels":
            answer = page_of([*answer["Models"], *self.listed], parameters)
        if act:
            answer |= act(parameters) or {}
        response.set_data(json.dumps(answer))
        return response

    def ListTags(self, request: dict) -> dict:
        return {"Tags": self.tags.get(request["ResourceArn"], [])}

    def tagged(self, request: Request) -> Response:
        """Answer the tagging API's GetResources, page by page."""
        parameters = json.loads(request.get_data())
        wanted = {(one["Key"], value) for one in parameters["TagFilters"] for value in one["Values"]}
        self.calls.append(("GetResources", parameters))
        known = self.tags if self.searchable else {}
        found = [arn for arn, tags in known.items() if wanted & {(one["Key"], one["Value"]) for one in tags}]
        start, size = int(parameters.get("PaginationToken") or 0), parameters["ResourcesPerPage"]
        page = [{"ResourceARN": arn} for arn in found[start : start + size]]
        token = str(start + size) if start + size < len(found) else ""
        return Response(json.dumps({"ResourceTagMappingList": page, "PaginationToken": token}))

    def price_list(self, request: Request) -> Response:
        """Answer GetProducts with a product for each of `prices`, such as Train:ml.m5.xlarge."""
        filters = {one["Field"]: one["Value"] for one in json.loads(request.get_data())["Filters"]}
        found = [
            json.dumps(
                {
                    "product": {"attributes": {"usagetype": f"EUW1-{use}"}},
                    "terms": {"OnDemand": {"a": {"priceDimensions": {"b": {"pricePerUnit": {"USD": str(price)}}}}}},
                }
            )
            for use, price in self.prices.items()
            if use.partition(":")[2] == filters["instanceName"] and filters["regionCode"] == REGION
        ]
        return Response(json.dumps({"PriceList": found}))

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
            "ResourceConfig": resources(request),
        }
        job |= {name: request[name] for name in ("AlgorithmSpecification", "CheckpointConfig") if name in request}
        job |= {"HyperParameters": given} | self.began
        root = self.folder / name
        lines, succeeded = self.train(root, name, request, given) if self.real else self.pretend(root)
        found = {}
        for definition in request["AlgorithmSpecification"]["MetricDefinitions"]:
            values = [match[1] for line in lines for match in re.finditer(definition["Regex"], line)]
            found |= {definition["Name"]: float(values[-1])} if values else {}
        job["FinalMetricDataList"] = [
            {"MetricName": metric, "Value": value, "Timestamp": time.time()} for metric, value in found.items()
        ]
        if objective in found:
            job["FinalHyperParameterTuningJobObjectiveMetric"] = {"MetricName": objective, "Value": found[objective]}
        output = f"{request['OutputDataConfig']['S3OutputPath']}/{name}/output"
        for file, folder in (("model.tar.gz", "model"), ("output.tar.gz", "output/data")):
            self.upload(f"{output}/{file}", root / folder)
        failure = root / "output/failure"
        ended = {"FailureReason": failure.read_text()[:1024]} if failure.exists() else {}
        ended |= {"ModelArtifacts": {"S3ModelArtifacts": f"{output}/model.tar.gz"}, "TrainingEndTime": time.time()}
        ended |= {"TrainingJobStatus": "Completed" if succeeded else "Failed", "SecondaryStatus": "Completed"}
        self.write_log(LOGS, f"{name}/algo-1-1", lines[:-LATE_LINES])
        job |= ended | (self.endings.pop(0) if self.endings else {})
        if job["SecondaryStatus"] == "MaxWaitTimeExceeded":
            del job["TrainingStartTime"]
        time.sleep(self.late_seconds)
        self.write_log(LOGS, f"{name}/algo-1-1", lines[-LATE_LINES:])

    def train(self, root: Path, name: str, request: dict, given: dict) -> tuple[list[str], bool]:
        """Run container/train; return the lines of its log, and whether it succeeded."""
        datasets.write_hyperparameters(root, **given)
        config, algorithm = {}, request["AlgorithmSpecification"]
        for channel in request["InputDataConfig"]:
            config[channel["ChannelName"]] = {"TrainingInputMode": algorithm["TrainingInputMode"]}
            self.download(channel["DataSource"]["S3DataSource"]["S3Uri"], root / "input/data" / channel["ChannelName"])
        (root / "input/config/inputdataconfig.json").write_text(json.dumps(config))
        result = datasets.train(root, TRAINING_JOB_NAME=name)
        return (result.stdout + result.stderr).splitlines(), result.returncode == 0

    def pretend(self, root: Path) -> tuple[list[str], bool]:
        """Return what a job that did nothing has logged."""
        (root / "output/data").mkdir(parents=True)
        (root / "output/data/report.html").write_text("a report")
        return ["epoch 1/1: validation:accuracy=0.5", *(f"line {number}" for number in range(30))], True

    def DescribeTrainingJob(self, request: dict) -> dict:
        return self.jobs[request["TrainingJobName"]]

    def DescribeHyperParameterTuningJob(self, request: dict) -> dict:
        return self.jobs[request["HyperParameterTuningJobName"]]

    def ListTrainingJobsForHyperParameterTuningJob(self, request: dict) -> dict:
        return {"TrainingJobSummaries": [self.jobs[job] for job in self.trials[request["HyperParameterTuningJobName"]]]}

    def StopTrainingJob(self, request: dict) -> dict:
        return {}

    StopHyperParameterTuningJob = StopTransformJob = StopTrainingJob

    # S3 and logs

    def head_bucket(self, request: Request) -> Response:
        """Answer HeadBucket: 403 for an owner that is not expected, and the bucket's region."""
        response, bucket = Response.from_app(self.moto, request.environ), request.path.strip("/")
        owner = self.owners.get(bucket, ACCOUNT)
        if response.status_code == 200 and request.headers.get("x-amz-expected-bucket-owner", owner) != owner:
            return Response(status=403)
        response.headers["x-amz-bucket-region"] = self.regions.get(bucket, REGION)
        return response

    def start(self, act, *arguments) -> None:
        self.threads.append(threading.Thread(target=act, args=arguments, daemon=True))
        self.threads[-1].start()

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
        parameters = json.loads(request.get_data())
        self.calls.append(("FilterLogEvents", parameters))
        prefix = parameters.get("logStreamNamePrefix", "")
        response = Response.from_app(self.moto, request.environ)
        answer = json.loads(response.get_data())
        found = [event for event in answer.get("events", ()) if event["logStreamName"].startswith(prefix)]
        response.set_data(json.dumps(answer | {"events": found}))
        return response

    def write_log(self, group: str, stream: str, lines: list[str]) -> None:
        logs = self.client("logs")
        if not lines:
            return
        if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            logs.create_log_group(logGroupName=group)
        if not logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stream)["logStreams"]:
            logs.create_log_stream(logGroupName=group, logStreamName=stream)
        now = int(1000 * time.time())
        events = [{"timestamp": now, "message": line} for line in lines if line]
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


# Operations that only this class answers: moto lacks them, or does not know the jobs of a tuning.
ANSWERED_HERE = (
    "DescribeTrainingJob",
    "ListTrainingJobsForHyperParameterTuningJob",
    "StopTrainingJob",
    "StopHyperParameterTuningJob",
    "StopTransformJob",
    "CreateEndpoint",
    "UpdateEndpoint",
    "DescribeEndpoint",
    "DeleteEndpoint",
    "ListEndpoints",
    "ListTags",
    "DescribeModelPackageGroup",
    "CreateModelPackageGroup",
    "CreateModelPackage",
    "ListModelPackages",
    "DescribeModelPackage",
)


def action(request: Request) -> str:
    """Return the request's IAM action, such as s3:GetObject."""
    service = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", request.headers["Authorization"])[1]
    service = {"tagging": "tag", "monitoring": "cloudwatch"}.get(service, service)
    if service == "s3":
        return f"s3:{S3_ACTIONS[request.method, '/' in request.path.strip('/')]}"
    if request.path.endswith("invocations"):
        return "sagemaker:InvokeEndpointAsync" if "/async-" in request.path else "sagemaker:InvokeEndpoint"
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


def page_of(models: list[dict], request: dict) -> dict:
    """Return a page of models, as long as the request wants it."""
    start, size = int(request.get("NextToken", 0)), request.get("MaxResults", 10)
    more = {"NextToken": str(start + size)} if start + size < len(models) else {}
    return {"Models": models[start : start + size]} | more


def refusal(code: str, message: str) -> Response:
    return Response(json.dumps({"__type": code, "message": message}), 400, content_type="application/x-amz-json-1.1")
