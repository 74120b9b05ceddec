"""Upload a folder of images to S3: a folder per class, or train/, validation/ and test/ with a folder per class.

Layout and images are checked first, as check.py does. Only new and changed images are uploaded, without those that the
folder's leave_out.txt names; images that are no longer in the folder are removed from S3, after a question.
"""

if __name__ == "__main__":
    import boot  # noqa: F401 # goes on in .venv, whatever Python started this

from pathlib import Path
from typing import Any

from classifier.errors import UserError
from classifier.training.data.names import printable
from classifier.words import plural
from launch import console
from launch.aws import Aws
from launch.settings import make_parser, path
from local import pictures, places
from local.checking import PROGRESS


def main() -> None:
    parser = make_parser(__doc__, "aws", takes="FOLDER")
    parser.add_argument("folder", type=path, help="the folder of images")
    parser.add_argument("--name", help="the folder's name in S3 (default: its own)")
    parser.add_argument("--yes", action="store_true", help="do not ask, before a leak is uploaded or an object removed")
    settings = parser.parse_args()
    aws = Aws(settings)
    files, leaks = pictures.check_pictures(settings.folder)
    if leaks:
        console.ask(f"{leaks[0].what}, so {leaks[0].advice}. Upload all the same?", settings.yes)
    prefix = f"{settings.prefix}/data/{printable(settings.name or settings.folder.resolve().name)}"
    uri = f"s3://{aws.bucket}/{prefix}/"
    keys = name_objects(prefix, settings.folder, files)
    there = existing_objects(aws, uri)
    changed = {key: file for key, file in keys.items() if key not in there or differs(file, there[key])}
    gone = sorted(there.keys() - keys.keys())
    if gone:
        example = printable(f"{uri} are not in {settings.folder}, such as {gone[0]}")
        question = f"{plural(len(gone), 'object')} below {example}. Remove?"
        console.ask(question, settings.yes)
    send_files(aws, changed)
    for key in gone:
        there[key].delete()
    places.note(data=uri)
    print(f"{uri}: {len(changed)} uploaded, {len(keys) - len(changed)} unchanged, {len(gone)} removed")
    print("next: launch/tune.py, or launch/train.py")


def name_objects(prefix: str, folder: Path, files: list[Path]) -> dict[str, Path]:
    """Return the files by their keys in S3: paths below `folder`, with escape sequences for what S3 does not take.

    Raises UserError if two files would have the same key.
    """
    keys: dict[str, Path] = {}
    for file in files:
        key = f"{prefix}/{printable(file.relative_to(folder).as_posix())}"
        if keys.setdefault(key, file) != file:
            raise UserError(f"two files would both become {key} in S3; rename one of them")
    return keys


def existing_objects(aws: Aws, uri: str) -> dict[str, Any]:
    """Return boto3's objects below `uri` by key. Creates SageMaker's default bucket if it is missing."""
    try:
        return {item.key: item for item in aws.objects_below(uri)}
    except aws.s3.meta.client.exceptions.NoSuchBucket:
        if aws.settings.bucket:
            raise
    region = aws.session.region_name
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    aws.s3.create_bucket(Bucket=aws.bucket, **place)
    return {}


def differs(file: Path, there: Any) -> bool:
    """Return whether the object `there` has another size or is older than the file, as `aws s3 sync` does."""
    state = file.stat()
    return state.st_size != there.size or state.st_mtime > there.last_modified.timestamp()


def send_files(aws: Aws, changed: dict[str, Path]) -> None:
    """Upload the files to their keys, with a progress bar."""
    from tqdm.contrib.concurrent import thread_map

    key = aws.settings.kms_key
    extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
    client = aws.s3.meta.client  # threads may share a client

    def upload(item: tuple[str, Path]) -> None:
        client.upload_file(str(item[1]), aws.bucket, item[0], ExtraArgs=extra)

    thread_map(upload, changed.items(), desc="uploading", total=len(changed), max_workers=16, **PROGRESS)


if __name__ == "__main__":
    console.run(main)
