"""What these scripts have made in AWS: found by its tag, or where it is too new for that by its own list of tags."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from launch.advice import is_gone
from launch.aws import Aws, tags

# The console's page for each kind, in the order in which cleanup.py ends them: referrers before what they refer to.
PAGES = {
    "HyperParameterTuningJob": "hyper-tuning-jobs",
    "TrainingJob": "jobs",
    "TransformJob": "transform-jobs",
    "Endpoint": "endpoints",
    "EndpointConfig": "endpointConfig",
    "Model": "models",
}
# A tag can be searched for only a while after the resource was made.
UNKNOWN = timedelta(minutes=15)
# What the hours of each kind are called on AWS's bills.
USES = {"HyperParameterTuningJob": "Train", "TrainingJob": "Train", "TransformJob": "Tsform", "Endpoint": "Host"}
# The states of jobs that cost money.
RUNNING = ("InProgress", "Stopping")
# How many instances there are, or else are wanted: an asynchronous endpoint may have none.
COUNTS = ("InstanceCount", "CurrentInstanceCount", "InitialInstanceCount")


@dataclass(frozen=True)
class Resource:
    """A resource that these scripts created in AWS, or a job that they started."""

    kind: str
    name: str
    status: str
    since: datetime

    def instances(self, aws: Aws) -> tuple[str, int]:
        """Return type and number of the instances that it uses now; ("", 0) if it has none of its own."""
        if self.kind not in USES:
            return "", 0
        about = aws.find(self.kind, self.name)
        used = about.get("ResourceConfig") or about.get("TransformResources") or {}
        if self.kind == "Endpoint" and about.get("EndpointStatus", "Failed") != "Failed":
            config = aws.find("EndpointConfig", about["EndpointConfigName"])  # which somebody may have deleted
            used = config.get("ProductionVariants", [{}])[0] | about.get("ProductionVariants", [{}])[0]
        count = next((used[name] for name in COUNTS if name in used), 0)
        return used.get("InstanceType", "an unknown type") if count else "", count


def find_resources(aws: Aws) -> Iterator[Resource]:
    """Yield all resources with these scripts' tag, of jobs only those that run, in cleanup.py's order."""
    from botocore import xform_name

    tagged = find_tagged(aws)
    for kind in PAGES:
        pages, is_job = aws.sagemaker.get_paginator(xform_name(f"List{kind}s")), kind.endswith("Job")
        for only in [{"StatusEquals": state} for state in RUNNING] if is_job else [{}]:
            listed = pages.paginate(**only, PaginationConfig={"PageSize": 100})  # AWS's own default is 10
            for item in listed.search(f"{kind}Summaries[]" if is_job else f"{kind}s[]"):
                if item[f"{kind}Arn"] in tagged or is_new(aws, item, kind):
                    yield Resource(kind, item[f"{kind}Name"], item.get(f"{kind}Status", "exists"), item["CreationTime"])


def find_tagged(aws: Aws) -> set[str]:
    """Return the ARNs of all of SageMaker's resources with these scripts' tag."""
    tag = tags(aws.settings)[0]
    pages = aws.session.client("resourcegroupstaggingapi").get_paginator("get_resources")
    wanted = {"TagFilters": [{"Key": tag["Key"], "Values": [tag["Value"]]}], "ResourceTypeFilters": ["sagemaker"]}
    return set(pages.paginate(**wanted, ResourcesPerPage=100).search("ResourceTagMappingList[].ResourceARN"))


def is_new(aws: Aws, item: dict, kind: str) -> bool:
    """Return whether a resource is these scripts', though so new that the search by tag may not know it yet."""
    if datetime.now(UTC) - item["CreationTime"] > UNKNOWN:
        return False
    try:
        return tags(aws.settings)[0] in aws.sagemaker.list_tags(ResourceArn=item[f"{kind}Arn"])["Tags"]
    except aws.sagemaker.exceptions.ClientError as error:
        if not is_gone(error):  # deleted since it was listed
            raise
        return False
