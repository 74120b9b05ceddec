"""What these scripts made in AWS, known by its tag: for status.py and cleanup.py."""

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import aws

RUNNING_JOB = "InProgress"


@dataclass(frozen=True)
class Kind:
    """A kind of resource: its name in the API, in words and in the console, and the call that ends it."""

    api: str
    words: str
    page: str
    ends: str

    @property
    def is_job(self) -> bool:
        return self.api.endswith("Job")

    def listed(self, client) -> Iterator[dict]:
        """All of this kind, of jobs those that run."""
        from botocore import xform_name

        only = {"StatusEquals": RUNNING_JOB} if self.is_job else {}
        for page in client.get_paginator(xform_name(f"List{self.api}s")).paginate(**only):
            yield from page[f"{self.api}Summaries" if self.is_job else f"{self.api}s"]


# In the order in which they are ended: nothing that is left refers to what is gone.
KINDS = (
    Kind("HyperParameterTuningJob", "tuning job", "hyper-tuning-jobs", "stop_hyper_parameter_tuning_job"),
    Kind("TrainingJob", "training job", "jobs", "stop_training_job"),
    Kind("TransformJob", "transform job", "transform-jobs", "stop_transform_job"),
    Kind("Endpoint", "endpoint", "endpoints", "delete_endpoint"),
    Kind("EndpointConfig", "endpoint configuration", "endpointConfig", "delete_endpoint_config"),
    Kind("Model", "model", "models", "delete_model"),
)


@dataclass(frozen=True)
class Resource:
    kind: Kind
    name: str
    status: str
    since: datetime

    def end(self, client) -> None:
        """Stop or delete it."""
        getattr(client, self.kind.ends)(**{f"{self.kind.api}Name": self.name})

    def instances(self, client) -> tuple[str, int]:
        """Type and number of the instances it occupies now; ("", 0) where it occupies none of its own."""
        if self.kind.api == "TrainingJob":
            used = client.describe_training_job(TrainingJobName=self.name)["ResourceConfig"]
        elif self.kind.api == "TransformJob":
            used = client.describe_transform_job(TransformJobName=self.name)["TransformResources"]
        elif self.kind.api == "Endpoint":
            endpoint = client.describe_endpoint(EndpointName=self.name)
            config = client.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
            used = config["ProductionVariants"][0]
            now = endpoint.get("ProductionVariants", [{}])[0].get("CurrentInstanceCount")
            used = used | {"InstanceCount": now or used.get("InitialInstanceCount", 0)}
        else:
            used = {}
        return used.get("InstanceType", ""), used.get("InstanceCount", 0)


def find(client, settings: Namespace) -> list[Resource]:
    """What runs or exists of ours, in the order in which it would be ended."""
    return [
        Resource(kind, item[f"{kind.api}Name"], item.get(f"{kind.api}Status", "exists"), item["CreationTime"])
        for kind in KINDS
        for item in kind.listed(client)
        if aws.is_ours(client, item[f"{kind.api}Arn"], settings)
    ]
