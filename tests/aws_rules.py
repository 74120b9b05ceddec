"""What AWS refuses though the request's shape is valid: each rule with the page that documents it.

Pages without a host are below https://docs.aws.amazon.com/sagemaker/latest/. Messages are AWS's own where they are
known.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

# Instance types with local disks: the list of the SageMaker Python SDK's instance_supports_kms.
LOCAL_DISKS = re.compile(r"ml\.(\w*d\w*|(g5|g6|g7e|p5|p6-b200|trn1|trn2)[\w-]*)\.\w+")
GPU = re.compile(r"ml\.[gp]\d.*")


@dataclass(frozen=True)
class Rule:
    """`broken(request, aws)` says whether the request breaks the rule; `aws` is the stand-in."""

    operations: str
    message: str
    source: str
    broken: Callable


def variants(request: dict) -> list[dict]:
    return request.get("ProductionVariants", ())


def model(aws, variant: dict) -> dict:
    return aws.requests["Model"].get(variant.get("ModelName"), {})


def resources(request: dict) -> dict:
    """Return what a job runs on; of several instance types, the first."""
    definition = request.get("TrainingJobDefinition", request)
    flexible = definition.get("HyperParameterTuningResourceConfig", {})
    first = flexible.get("InstanceConfigs", [flexible])[0]
    return definition.get("ResourceConfig") or definition.get("TransformResources") or flexible | first


def two_kinds_of_resources(request: dict, aws) -> bool:
    definition = request["TrainingJobDefinition"]
    flexible = definition.get("HyperParameterTuningResourceConfig", {})
    alone = {"InstanceType", "InstanceCount", "VolumeSizeInGB"}.isdisjoint(flexible)
    return bool(flexible) and ("ResourceConfig" in definition or ("InstanceConfigs" in flexible and not alone))


def hyperparameters(request: dict) -> set[str]:
    """Return the names of a tuning's hyperparameters, fixed and searched."""
    ranges = request["HyperParameterTuningJobConfig"]["ParameterRanges"].values()
    searched = (one["Name"] for each in ranges for one in each)
    return {*request["TrainingJobDefinition"]["StaticHyperParameters"], *searched}


def bad_parents(request: dict, aws) -> bool:
    parents = request.get("WarmStartConfig", {}).get("ParentHyperParameterTuningJobs", ())
    tunings = {one["HyperParameterTuningJobName"]: one for one in aws.sent("CreateHyperParameterTuningJob")}
    found = [tunings.get(one["HyperParameterTuningJobName"]) for one in parents]
    learns = request["HyperParameterTuningJobConfig"]["Strategy"] in ("Bayesian", "Random")
    count = len(hyperparameters(request))
    return bool(found) and not (learns and all(one and len(hyperparameters(one)) == count for one in found))


def kind(config: dict) -> tuple[bool, bool]:
    """Return whether the configuration is serverless, and whether it is asynchronous."""
    return any("ServerlessConfig" in variant for variant in variants(config)), "AsyncInferenceConfig" in config


def many(config: dict, aws) -> list[dict]:
    """Return the variants that have many models."""
    modes = [(one, model(aws, one).get("PrimaryContainer", {}).get("Mode")) for one in variants(config)]
    return [one for one, mode in modes if mode == "MultiModel"]


def isolated(request: dict, aws) -> bool:
    return any(
        "ServerlessConfig" in one
        and (model(aws, one).get("EnableNetworkIsolation") or model(aws, one).get("VpcConfig"))
        for one in variants(request)
    )


def other_kind(request: dict, aws) -> bool:
    there = aws.endpoints.get(request["EndpointName"])
    wanted = aws.requests["EndpointConfig"].get(request["EndpointConfigName"], {})
    if not there:
        return False
    before = aws.requests["EndpointConfig"][there["EndpointConfigName"]]
    return (kind(before), bool(many(before, aws))) != (kind(wanted), bool(many(wanted, aws)))


def scaled_type_changes(request: dict, aws) -> bool:
    there = aws.endpoints.get(request["EndpointName"])
    if not there or not aws.scaled(request["EndpointName"]):
        return False
    configs = [there["EndpointConfigName"], request["EndpointConfigName"]]
    types = [variants(aws.requests["EndpointConfig"].get(name, {})) for name in configs]
    return [one.get("InstanceType") for one in types[0]] != [one.get("InstanceType") for one in types[1]]


def other_variants(request: dict, aws) -> bool:
    there, wanted = aws.endpoints.get(request["EndpointName"], {}), aws.requests["EndpointConfig"]
    names = {one["VariantName"] for one in variants(wanted.get(request["EndpointConfigName"], {}))}
    return {one["VariantName"] for one in there.get("ProductionVariants", ())} != names


def burstable(request: dict, aws) -> bool:
    endpoint = request["ResourceId"].split("/")[1]
    return variants(aws.config(endpoint))[0].get("InstanceType", "").startswith(("ml.t2", "ml.t3"))


def policy(request: dict) -> dict:
    return request.get("DeploymentConfig", {}).get("BlueGreenUpdatePolicy", {})


def too_few_to_shift(request: dict, aws) -> bool:
    kind = policy(request).get("TrafficRoutingConfiguration", {}).get("Type", "ALL_AT_ONCE")
    wanted = variants(aws.requests["EndpointConfig"].get(request["EndpointConfigName"], {}))
    return kind != "ALL_AT_ONCE" and wanted[0]["InitialInstanceCount"] < 2


def bad_alarms(request: dict, aws) -> bool:
    deployment = request.get("DeploymentConfig", {})
    wanted = {one["AlarmName"] for one in deployment.get("AutoRollbackConfiguration", {}).get("Alarms", ())}
    there = {one["AlarmName"] for one in aws.client("cloudwatch").describe_alarms()["MetricAlarms"]}
    return bool(wanted - there or aws.alarmed(deployment))


def too_little_time(request: dict, aws) -> bool:
    if not (about := policy(request)):
        return False
    routing = about["TrafficRoutingConfiguration"]
    steps = {"ALL_AT_ONCE": 0, "CANARY": 1, "LINEAR": 100 // routing.get("LinearStepSize", {}).get("Value", 100)}
    waiting = steps[routing["Type"]] * routing["WaitIntervalInSeconds"] + about["TerminationWaitInSeconds"]
    return about["MaximumExecutionTimeoutInSeconds"] <= waiting


def state(*states: str) -> Callable:
    """Return a rule's check whether the endpoint is in one of the states."""
    return lambda request, aws: aws.endpoints.get(request["EndpointName"], {}).get("EndpointStatus") in states


IN_PROGRESS = state("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
RULES = (
    Rule(
        "CreateEndpointConfig",
        "Network isolation and VPC configuration are not supported for serverless endpoints",
        "dg/serverless-endpoints.html (Feature exclusions)",
        isolated,
    ),
    Rule(
        "CreateEndpointConfig",
        "Data capture is not supported for serverless endpoints",
        "dg/serverless-endpoints.html (Feature exclusions)",
        lambda request, aws: "DataCaptureConfig" in request and kind(request)[0],
    ),
    Rule(
        "CreateModel",
        "ModelDataUrl must be an S3 prefix that ends with / in mode MultiModel",
        "APIReference/API_ContainerDefinition.html, Mode, and dg/create-multi-model-endpoint.html",
        lambda request, aws: (
            (one := request["PrimaryContainer"]).get("Mode") == "MultiModel" and not one["ModelDataUrl"].endswith("/")
        ),
    ),
    Rule(
        "CreateEndpointConfig",
        "Multi-model endpoints are not supported here: serverless, asynchronous, on GPUs or with data capture",
        "dg/serverless-endpoints.html, dg/mms-container-apis.html (GPUs: Triton alone), dg/model-monitor.html",
        lambda request, aws: bool(
            (found := many(request, aws))
            and (any(kind(request)) or "DataCaptureConfig" in request or GPU.fullmatch(found[0]["InstanceType"]))
        ),
    ),
    Rule(
        "CreateEndpointConfig",
        "Invalid memory size",
        "dg/serverless-endpoints-create.html (1024, 2048, 3072, 4096, 5120 or 6144 MB)",
        lambda request, aws: any(
            one["ServerlessConfig"]["MemorySizeInMB"] % 1024 for one in variants(request) if "ServerlessConfig" in one
        ),
    ),
    Rule(
        "CreateEndpointConfig",
        "InferenceAmiVersion is not supported for this instance type",
        "APIReference/API_ProductionVariant.html (each image has an accelerator)",
        lambda request, aws: any(
            one.get("InferenceAmiVersion") and not GPU.fullmatch(one.get("InstanceType", ""))
            for one in variants(request)
        ),
    ),
    Rule(
        "CreateEndpointConfig",
        "A KMS key is not supported for instances with local storage",
        "github.com/aws/sagemaker-python-sdk, session_helper.py, and the API's reference until 2024",
        lambda request, aws: any(
            request.get("KmsKeyId") and LOCAL_DISKS.fullmatch(one.get("InstanceType", "")) for one in variants(request)
        ),
    ),
    Rule(
        "CreateTrainingJob CreateHyperParameterTuningJob CreateTransformJob",
        "VolumeKmsKeyId is not supported for instance types with local storage",
        "APIReference/API_ResourceConfig.html and API_TransformResources.html, VolumeKmsKeyId",
        lambda request, aws: (
            resources(request).get("VolumeKmsKeyId") and LOCAL_DISKS.fullmatch(resources(request)["InstanceType"])
        ),
    ),
    Rule(
        "CreateTrainingJob CreateHyperParameterTuningJob",
        "VolumeKmsKeyId must be a key ID or a key ARN",
        "APIReference/API_ResourceConfig.html, VolumeKmsKeyId (its formats)",
        lambda request, aws: "alias/" in resources(request).get("VolumeKmsKeyId", ""),
    ),
    Rule(
        "CreateHyperParameterTuningJob",
        "Specify either ResourceConfig, or HyperParameterTuningResourceConfig with one type or with InstanceConfigs",
        "APIReference/API_HyperParameterTuningResourceConfig.html, InstanceConfigs",
        two_kinds_of_resources,
    ),
    Rule(
        "CreateHyperParameterTuningJob",
        "The total number of static and tunable hyperparameters must be that of all parent jobs",
        "APIReference/API_HyperParameterTuningJobWarmStartConfig.html, and dg/automatic-model-tuning-warm-start.html",
        bad_parents,
    ),
    Rule(
        "CreateTransformJob",
        "The value of MaxConcurrentTransforms * MaxPayloadInMB must not exceed 100 MB",
        "APIReference/API_CreateTransformJob.html, MaxPayloadInMB",
        lambda request, aws: request["MaxConcurrentTransforms"] * request["MaxPayloadInMB"] > 100,
    ),
    Rule(
        "CreateEndpoint UpdateEndpoint",
        "Could not find endpoint configuration",
        "APIReference/API_CreateEndpoint.html (eventually consistent reads)",
        lambda request, aws: not aws.knows_config(request["EndpointConfigName"]),
    ),
    Rule(
        "CreateEndpoint",
        "Cannot create already existing endpoint",
        "APIReference/API_CreateEndpoint.html, EndpointName (must be unique)",
        lambda request, aws: request["EndpointName"] in aws.endpoints,
    ),
    Rule(
        "UpdateEndpoint DeleteEndpoint DescribeEndpoint",
        "Could not find endpoint",
        "APIReference/API_UpdateEndpoint.html",
        lambda request, aws: request["EndpointName"] not in aws.endpoints,
    ),
    Rule(
        "UpdateEndpoint DeleteEndpoint",
        "Cannot update in-progress endpoint",
        "APIReference/API_DescribeEndpoint.html, EndpointStatus",
        IN_PROGRESS,
    ),
    Rule(
        "UpdateEndpoint",
        "Cannot update a failed endpoint",
        "APIReference/API_DescribeEndpoint.html, EndpointStatus (DeleteEndpoint is the only operation)",
        state("Failed"),
    ),
    Rule(
        "UpdateEndpoint",
        "Cannot update an endpoint to another kind",
        "dg/serverless-endpoints.html (cannot convert); for asynchronous and multi-model endpoints this is our caution",
        other_kind,
    ),
    Rule(
        "UpdateEndpoint",
        "The variant(s) AllTraffic must be deregistered as a target from AutoScaling before they can be removed or "
        "have their instance type updated",
        "dg/endpoint-scaling-update.html",
        scaled_type_changes,
    ),
    Rule(
        "UpdateEndpoint",
        "The new endpoint configuration must have the same variant name",
        "dg/deployment-guardrails-exclusions.html",
        other_variants,
    ),
    Rule(
        "RegisterScalableTarget",
        "Auto scaling is not supported for burstable instances",
        "dg/endpoint-auto-scaling-add-console.html",
        burstable,
    ),
    Rule(
        "DescribeTrainingJob StopTrainingJob",
        "Requested resource not found.",
        "APIReference/API_DescribeTrainingJob.html, ResourceNotFound",
        lambda request, aws: request["TrainingJobName"] not in aws.jobs,
    ),
    Rule(
        "CreateModelPackage ListModelPackages DescribeModelPackageGroup",
        "ModelPackageGroup does not exist",
        "APIReference/API_DescribeModelPackageGroup.html",
        lambda request, aws: request["ModelPackageGroupName"] not in aws.packages,
    ),
    Rule(
        "CreateModel",
        "The model package is not approved",
        "APIReference/API_CreateModelPackage.html, ModelApprovalStatus (must be Approved to deploy)",
        lambda request, aws: (
            "ModelPackageName" in (one := request["PrimaryContainer"])
            and aws.package(one["ModelPackageName"])["ModelApprovalStatus"] != "Approved"
        ),
    ),
    Rule(
        "UpdateEndpoint",
        "The canary or step must be at most 50% of the instances",
        "APIReference/API_TrafficRoutingConfig.html, CanarySize and LinearStepSize",
        too_few_to_shift,
    ),
    Rule(
        "UpdateEndpoint",
        "The alarm does not exist, or is in ALARM state",
        "dg/deployment-guardrails-configuration.html (alarms must exist, and be OK before)",
        bad_alarms,
    ),
    Rule(
        "UpdateEndpoint",
        "MaximumExecutionTimeoutInSeconds must exceed the waiting time",
        "APIReference/API_BlueGreenUpdatePolicy.html",
        too_little_time,
    ),
    Rule(
        "DeleteEndpointConfig",
        "The endpoint configuration is in use",
        "APIReference/API_DeleteEndpointConfig.html (must not delete one in use by a live endpoint)",
        lambda request, aws: any(
            one["EndpointConfigName"] == request["EndpointConfigName"] and one["EndpointStatus"] != "Failed"
            for one in aws.endpoints.values()
        ),
    ),
)


def refusals(operation: str, request: dict, aws) -> list[str]:
    """Return the messages of the rules that the request breaks."""
    rules = (rule for rule in RULES if operation in rule.operations.split())
    return [rule.message for rule in rules if rule.broken(request, aws)]
