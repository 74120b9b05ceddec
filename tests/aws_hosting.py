"""The stand-in's endpoints: states that last, updates that fail and are rolled back, and the real container/serve."""

import base64
import io
import json
import re
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack

from werkzeug.wrappers import Request, Response

from aws_many import ManyModels
from helpers import REGION, Server, serve

SPLIT = re.compile("s3://([^/]+)/(.*)")
# docs.aws.amazon.com/sagemaker/latest/dg/async-inference.html: only InvokeEndpointAsync is for them.
NOT_SYNCHRONOUS = "Endpoint is asynchronous; use InvokeEndpointAsync"
PACKAGES = f"arn:aws:sagemaker:{REGION}:123456789012:model-package"
ANSWER = json.dumps({"predictions": [{"class": "dog", "index": 0, "probability": 0.9}]}).encode()


class Hosting:
    """A part of StandIn.

    `failing` maps CreateEndpoint or UpdateEndpoint to the FailureReasons of the next ones, and `failed` to the state
    that a failure leaves. `describes` is the number of DescribeEndpoint calls that a state lasts. Endpoints in the
    state `broken_while` answer with an error. With `real` an endpoint is container/serve; else it always answers the
    same.
    """

    def __init__(self) -> None:
        self.endpoints: dict[str, dict] = {}
        self.requests: dict[str, dict[str, dict]] = {"Model": {}, "EndpointConfig": {}}
        self.failing: dict[str, list[str]] = {}
        self.describes = 1
        self.failed = {"CreateEndpoint": "Failed", "UpdateEndpoint": "InService"}
        self.log_of_endpoints: list[str] = []
        self.unknown: dict[str, int] = {}
        self.real = True
        self.packages: dict[str, list[dict]] = {}
        self.asked: list[str] = []
        self.targets: list[str] = []  # of the requests for one of many models
        self.watched: dict[str, dict] = {}
        self.broken_while = ""
        self.answers: dict[str, Iterator[bytes]] = {}  # of what is not real, by the endpoint's state
        self.servers = ExitStack()
        self.server: Server | None = None
        self.many: ManyModels | None = None
        self.environ: dict[str, str] = {}  # of a server of many models

    def CreateModel(self, request: dict) -> None:
        self.requests["Model"][request["ModelName"]] = request

    def CreateEndpointConfig(self, request: dict) -> None:
        self.requests["EndpointConfig"][request["EndpointConfigName"]] = request
        self.unknown[request["EndpointConfigName"]] = 1

    def knows_config(self, name: str) -> bool:
        """Return False for the first call after the configuration was created, as AWS may."""
        self.unknown[name] = self.unknown.get(name, 1) - 1
        return self.unknown[name] < 0

    def CreateEndpoint(self, request: dict) -> dict:
        name, now = request["EndpointName"], time.time()
        arn = f"arn:aws:sagemaker:{REGION}:123456789012:endpoint/{name}"
        self.endpoints[name] = {"EndpointName": name, "EndpointArn": arn, "CreationTime": now, "LastModifiedTime": now}
        self.tags[arn] = request.get("Tags", [])
        self.change(name, "Creating", request, "CreateEndpoint")
        return {"EndpointArn": arn}

    def UpdateEndpoint(self, request: dict) -> dict:
        name = request["EndpointName"]
        self.endpoints[name].pop("FailureReason", None)
        self.change(name, "Updating", request, "UpdateEndpoint")
        return {"EndpointArn": self.endpoints[name]["EndpointArn"]}

    def change(self, name: str, now: str, request: dict, operation: str) -> None:
        """Put the endpoint in the state `now`, and keep what it will be; an update that fails keeps what it was."""
        endpoint, config = self.endpoints[name], self.requests["EndpointConfig"][request["EndpointConfigName"]]
        self.write_log(f"/aws/sagemaker/Endpoints/{name}", "AllTraffic/i-1", self.log_of_endpoints)
        if reasons := self.failing.get(operation):
            later = {"EndpointStatus": self.failed[operation], "FailureReason": reasons.pop(0)}
            endpoint.setdefault("EndpointConfigName", request["EndpointConfigName"])
            endpoint.setdefault("ProductionVariants", [])
        else:
            variant = config["ProductionVariants"][0]
            if self.real:
                self.serve(variant["ModelName"])
            kept = endpoint.get("ProductionVariants") if request.get("RetainAllVariantProperties") else None
            self.watched[name] = request.get("DeploymentConfig", {})
            later = {
                "EndpointStatus": "InService",
                "EndpointConfigName": request["EndpointConfigName"],
                "ProductionVariants": kept or [describe(variant)],
            }
        endpoint |= {"EndpointStatus": now, "describes": self.describes, "later": later}
        endpoint.setdefault("EndpointConfigName", request["EndpointConfigName"])
        endpoint.setdefault("ProductionVariants", later.get("ProductionVariants", []))

    def DescribeEndpoint(self, request: dict) -> dict:
        endpoint = self.endpoints[request["EndpointName"]]
        seen = {name: value for name, value in endpoint.items() if name not in ("describes", "later")}
        if "AsyncInferenceConfig" in (config := self.config(request["EndpointName"])):
            seen["AsyncInferenceConfig"] = config["AsyncInferenceConfig"]
        if "later" in endpoint:
            endpoint["describes"] -= 1
            if endpoint["describes"] <= 0:
                later = endpoint.pop("later")
                if alarms := self.alarmed(self.watched.get(request["EndpointName"], {})):
                    later = {"EndpointStatus": "InService", "FailureReason": f"Alarms in ALARM state: {alarms}"}
                endpoint.update(later)
                if later["EndpointStatus"] == "Gone":
                    del self.endpoints[request["EndpointName"]]
        return seen

    def DeleteEndpoint(self, request: dict) -> dict:
        endpoint = self.endpoints[request["EndpointName"]]
        endpoint |= {"EndpointStatus": "Deleting", "describes": self.describes, "later": {"EndpointStatus": "Gone"}}
        return {}

    def ListEndpoints(self, request: dict) -> dict:
        members = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
        return {"Endpoints": [{name: one[name] for name in members} for one in self.endpoints.values()]}

    def scaled(self, endpoint: str) -> bool:
        """Return whether the endpoint is a target of scaling."""
        targets = self.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")
        return any(f"endpoint/{endpoint}/" in target["ResourceId"] for target in targets["ScalableTargets"])

    # The registry, of which moto does not filter by approval

    def DescribeModelPackageGroup(self, request: dict) -> dict:
        return {"ModelPackageGroupName": request["ModelPackageGroupName"]}

    def CreateModelPackageGroup(self, request: dict) -> dict:
        self.packages[request["ModelPackageGroupName"]] = []
        return {"ModelPackageGroupArn": f"{PACKAGES}-group/{request['ModelPackageGroupName']}"}

    def CreateModelPackage(self, request: dict) -> dict:
        group = self.packages[request["ModelPackageGroupName"]]
        arn = f"{PACKAGES}/{request['ModelPackageGroupName']}/{len(group) + 1}"
        group.append(request | {"ModelPackageArn": arn, "CreationTime": time.time(), "ModelPackageStatus": "Completed"})
        return {"ModelPackageArn": arn}

    def ListModelPackages(self, request: dict) -> dict:
        status = request.get("ModelApprovalStatus")
        found = [one for one in self.packages[request["ModelPackageGroupName"]] if one["ModelApprovalStatus"] == status]
        members = ("ModelPackageArn", "CreationTime", "ModelPackageStatus")
        if "NextToken" not in request:  # a page of what is filtered may be empty
            return {"ModelPackageSummaryList": [], "NextToken": "1"}
        return {"ModelPackageSummaryList": [{name: one[name] for name in members} for one in reversed(found)]}

    def DescribeModelPackage(self, request: dict) -> dict:
        return self.package(request["ModelPackageName"])

    def package(self, arn: str) -> dict:
        return next(one for group in self.packages.values() for one in group if one["ModelPackageArn"] == arn)

    def serve(self, model: str) -> None:
        """Serve a model from its artifact in S3, instead of the previous one."""
        container = self.requests["Model"][model]["PrimaryContainer"]
        if "ModelPackageName" in container:
            (container,) = self.package(container["ModelPackageName"])["InferenceSpecification"]["Containers"]
        artifact, root, is_many = container["ModelDataUrl"], self.folder / model, container.get("Mode") == "MultiModel"
        root.mkdir(exist_ok=True)
        if not is_many:
            with tarfile.open(fileobj=io.BytesIO(self.read(artifact))) as archive:
                archive.extractall(root / "model", filter="data")
        self.servers.close()
        environ = {"SAGEMAKER_MULTI_MODEL": "true"} | self.environ if is_many else {}
        self.server = self.servers.enter_context(serve(root, self.folder / f"{model}.log", **environ))
        self.server.wait_for_ping(200)
        self.many = ManyModels(self.server, root, lambda target: self.read(artifact + target))

    def read(self, uri: str) -> bytes:
        """Return the object at an S3 URI."""
        bucket, key = SPLIT.fullmatch(uri).groups()
        return self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()

    def ask(self, data: bytes, headers: dict[str, str], target: str = "") -> tuple[int, bytes, str]:
        """Return the container's status, answer and content type; `target` names one of many models."""
        if not self.real:
            if data == b"no picture":
                return 415, b'{"error": "not a JPEG"}', "application/json"
            return 200, ANSWER, "application/json"
        if target:
            answer = self.many.ask(target, data, headers)
        else:
            answer = self.server.request("POST", "/invocations", data, headers)
        return answer.status, answer.body, answer.headers["Content-Type"]

    def invoke(self, request: Request) -> Response:
        """Answer InvokeEndpoint as the service does."""
        if (name := request.path.split("/")[2]) not in self.endpoints:
            told = f"Endpoint {name} of account 123456789012 not found."
            return Response(json.dumps({"Message": told}), 400, {"x-amzn-ErrorType": "ValidationError"})
        if "AsyncInferenceConfig" in self.config(request.path.split("/")[2]):
            return Response(json.dumps({"Message": NOT_SYNCHRONOUS}), 400, {"x-amzn-ErrorType": "ValidationError"})
        if wrong := self.wrong_target(request):
            return Response(json.dumps({"Message": wrong}), 400, {"x-amzn-ErrorType": "ValidationError"})
        wanted = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes")
        headers = {name: request.headers[name] for name in wanted if name in request.headers}
        target = request.headers.get("X-Amzn-SageMaker-Target-Model", "")
        status, body, content_type = self.ask(request.get_data(), headers, target)
        state = self.endpoints[request.path.split("/")[2]]["EndpointStatus"]
        if state in self.answers:
            body = next(self.answers[state])
        if state == self.broken_while:
            status, body = 500, b'{"error": "broken"}'
        if status >= 400:
            told = {"OriginalStatusCode": status, "OriginalMessage": body.decode(), "Message": "refused"}
            return Response(json.dumps(told), 424, {"x-amzn-ErrorType": "ModelError"})
        self.capture(request.path.split("/")[2], request.get_data(), body)
        return Response(body, 200, {"Content-Type": content_type})

    def wrong_target(self, request: Request) -> str:
        """Return why the request's TargetModel is refused, "" if it is not; dg/invoke-multi-model-endpoint.html."""
        variant = self.config(request.path.split("/")[2])["ProductionVariants"][0]
        container = self.requests["Model"][variant["ModelName"]]["PrimaryContainer"]
        target = request.headers.get("X-Amzn-SageMaker-Target-Model")
        if container.get("Mode") != "MultiModel":
            return "TargetModel is for multi-model endpoints" if target else ""
        if not target:
            return "a multi-model endpoint needs a TargetModel"
        bucket, key = SPLIT.fullmatch(f"{container['ModelDataUrl']}{target}").groups()
        if not self.client("s3").list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"]:
            return f"Failed to download model data(bucket: {bucket}, key: {key})"
        self.targets.append(target)
        return ""

    def capture(self, endpoint: str, sent: bytes, answered: bytes) -> None:
        """Keep a request and its answer as data capture does: dg/model-monitor-data-capture-endpoint.html."""
        if not (config := self.config(endpoint).get("DataCaptureConfig")):
            return
        name = f"{config['DestinationS3Uri']}/{endpoint}/AllTraffic/2026/01/01/00/{time.time_ns()}.jsonl"
        image = {"observedContentType": "application/x-image", "mode": "INPUT", "encoding": "BASE64"}
        answer = {"observedContentType": "application/json", "mode": "OUTPUT", "encoding": "JSON"}
        image["data"], answer["data"] = base64.b64encode(sent).decode(), answered.decode()
        line = json.dumps({"captureData": {"endpointInput": image, "endpointOutput": answer}})
        bucket, key = SPLIT.fullmatch(name).groups()
        self.client("s3").put_object(Bucket=bucket, Key=key, Body=f"{line}\n".encode())

    def invoke_async(self, request: Request) -> Response:
        """Answer InvokeEndpointAsync; a while later the answer or the failure is in S3."""
        config = self.config(request.path.split("/")[2])["AsyncInferenceConfig"]["OutputConfig"]
        name = f"{len(self.asked)}.out"
        self.asked.append(request.headers["X-Amzn-SageMaker-InputLocation"])
        output, failed = f"{config['S3OutputPath']}/{name}", f"{config['S3FailurePath']}/{name}"
        headers = {"Content-Type": request.headers["X-Amzn-SageMaker-Content-Type"]}
        self.start(self.answer_later, self.asked[-1], headers, output, failed)
        told = {"X-Amzn-SageMaker-OutputLocation": output, "X-Amzn-SageMaker-FailureLocation": failed}
        return Response(json.dumps({"InferenceId": name}), 202, told)

    def answer_later(self, source: str, headers: dict[str, str], output: str, failed: str) -> None:
        s3, (bucket, key) = self.client("s3"), SPLIT.fullmatch(source).groups()
        data = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        time.sleep(0.2)
        status, body, _ = self.ask(data, headers)
        if status >= 400:
            output, body = (
                failed,
                f"Received client error ({status}) from primary with message {body.decode()}".encode(),
            )
        bucket, key = SPLIT.fullmatch(output).groups()
        s3.put_object(Bucket=bucket, Key=key, Body=body)

    def alarmed(self, deployment: dict) -> list[str]:
        """Return the names of those of a deployment's alarms that are on: API_AutoRollbackConfig.html."""
        wanted = [one["AlarmName"] for one in deployment.get("AutoRollbackConfiguration", {}).get("Alarms", ())]
        there = self.client("cloudwatch").describe_alarms()["MetricAlarms"]
        return [one["AlarmName"] for one in there if one["AlarmName"] in wanted and one["StateValue"] == "ALARM"]

    def config(self, endpoint: str) -> dict:
        """Return the request for the configuration that an endpoint has."""
        return self.requests["EndpointConfig"][self.endpoints[endpoint]["EndpointConfigName"]]

    def CreateTransformJob(self, request: dict) -> None:
        if self.real:
            self.serve(request["ModelName"])
        source, output = request["TransformInput"], SPLIT.fullmatch(request["TransformOutput"]["S3OutputPath"])
        bucket, prefix = SPLIT.fullmatch(source["DataSource"]["S3DataSource"]["S3Uri"]).groups()
        s3 = self.client("s3")
        for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
            data = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            headers = {"Content-Type": source["ContentType"], "Accept": request["TransformOutput"]["Accept"]}
            key = f"{output[2]}/{item['Key'][len(prefix) :]}.out"
            s3.put_object(Bucket=output[1], Key=key, Body=self.ask(data, headers)[1])


def describe(variant: dict) -> dict:
    """Return the description of a variant that serves."""
    described = {"VariantName": variant["VariantName"]}
    if "ServerlessConfig" in variant:
        return described | {"CurrentServerlessConfig": variant["ServerlessConfig"]}
    count = variant["InitialInstanceCount"]
    return described | {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
