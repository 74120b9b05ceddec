"""A training job of SageMaker's: its log while it runs, and what it wrote when it has ended."""

import io
import tarfile
import time

import aws
import places

SECONDS_BETWEEN_LOOKS = 5


def follow(session, name: str) -> None:
    """Print the job's log until it ends. Raises UserError where it fails."""
    client, seen = session.client("sagemaker"), {}
    while True:
        job = client.describe_training_job(TrainingJobName=name)
        for line in aws.log_lines(session, name, seen):
            print(line, flush=True)
        if job["TrainingJobStatus"] not in ("InProgress", "Stopping"):
            break
        time.sleep(SECONDS_BETWEEN_LOOKS)
    if job["TrainingJobStatus"] == "Failed":
        raise places.UserError(f"{name} failed: {job.get('FailureReason', 'see its log')}")


def fetch_outputs(session, name: str) -> None:
    """Unpack what the job wrote besides the model, the report among it."""
    job = session.client("sagemaker").describe_training_job(TrainingJobName=name)
    uri = f"{job['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{name}/output/output.tar.gz"
    bucket, key = aws.split_uri(uri)
    data = session.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(places.RUNS / name / "output/data", filter="data")
