"""Upload a folder of images to S3: a folder per class, or train/, validation/ and test/ with one.

Layout and images are checked first. Only what changed is sent; what is no longer in the folder is removed from S3
after a question.
"""

from pathlib import Path

from launch import console
from launch.aws import Aws
from launch.settings import parser
from local import pictures, places

SHOWN = {"unit": "image", "leave": False, "disable": None}


def main() -> None:
    arguments = parser(__doc__, "aws")
    arguments.add_argument("folder", type=Path, help="the folder of images")
    arguments.add_argument("--name", help="its name in S3 (default: the folder's)")
    arguments.add_argument("--yes", action="store_true", help="remove without a question")
    settings = arguments.parse_args()
    aws = Aws(settings)
    files = pictures.checked(settings.folder, **SHOWN)
    prefix = f"{settings.prefix}/data/{settings.name or settings.folder.resolve().name}"
    uri = f"s3://{aws.bucket}/{prefix}/"
    there = objects_below(aws, uri)
    keys = {f"{prefix}/{file.relative_to(settings.folder).as_posix()}": file for file in files}
    changed = {key: file for key, file in keys.items() if key not in there or differs(file, there[key])}
    gone = sorted(there.keys() - keys.keys())
    if gone:
        question = f"{len(gone)} objects below {uri} are not in {settings.folder}, such as {gone[0]}. Remove?"
        console.ask(question, settings.yes)
    send(aws, changed)
    for key in gone:
        there[key].delete()
    places.note(data=uri)
    print(f"{uri}: {len(changed)} uploaded, {len(keys) - len(changed)} unchanged, {len(gone)} removed")
    print("next: launch/tune.py, or launch/train.py")


def objects_below(aws: Aws, uri: str) -> dict[str, object]:
    """What is there already, by key; SageMaker's usual bucket is made where it is missing."""
    try:
        return {item.key: item for item in aws.below(uri)}
    except aws.s3.meta.client.exceptions.NoSuchBucket:
        if aws.settings.bucket:
            raise
    region = aws.session.region_name
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    aws.s3.create_bucket(Bucket=aws.bucket, **where)
    return {}


def differs(file: Path, there: object) -> bool:
    """As `aws s3 sync` decides: another size, or changed since."""
    state = file.stat()
    return state.st_size != there.size or state.st_mtime > there.last_modified.timestamp()


def send(aws: Aws, changed: dict[str, Path]) -> None:
    from tqdm.contrib.concurrent import thread_map

    key = aws.settings.kms_key
    extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
    bucket = aws.s3.meta.client  # which threads can share

    def upload(item: tuple[str, Path]) -> None:
        bucket.upload_file(str(item[1]), aws.bucket, item[0], ExtraArgs=extra)

    thread_map(upload, changed.items(), desc="uploading", total=len(changed), max_workers=16, **SHOWN)


if __name__ == "__main__":
    console.run(main)
