"""Bring a folder of images to S3, once it was checked: before a job that is paid for learns from it."""

from pathlib import Path
from typing import Any

from classifier.errors import UserError
from classifier.training.data.names import printable
from classifier.words import plural
from launch import console, storage
from launch.aws import Aws
from local import pictures, places
from local.checking import PROGRESS


def images_for_job(aws: Aws) -> str:
    """Return the S3 URI of the settings' images, with a slash at its end; a folder is checked and uploaded first.

    Raises UserError as storage.images_at() and upload().
    """
    given = aws.settings.data
    if not given or given.startswith("s3:"):
        return storage.images_at(aws, given)
    if not Path(given).is_dir():
        raise UserError(f"data is {printable(given)}; accepted: a folder of images, or the S3 URI of one")
    _ = aws.image, aws.role  # what a job needs besides
    return upload(aws, Path(given), "")


def upload(aws: Aws, folder: Path, name: str) -> str:
    """Check the images of `folder`, send to S3 what changed, and return their URI; `name` is the folder's name there.

    Raises UserError if training would refuse them, or if the user does not want a leak uploaded or objects removed.
    """
    files, leaks = pictures.check_pictures(folder)
    if leaks:
        console.ask(f"{leaks[0].what}, so {leaks[0].advice}. Upload all the same?", aws.settings.yes)
    prefix = f"{aws.settings.prefix}/data/{printable(name or folder.resolve().name)}"
    uri = f"s3://{aws.bucket}/{prefix}/"
    keys = name_objects(prefix, folder, files)
    there = existing_objects(aws, uri)
    changed = {key: file for key, file in keys.items() if key not in there or differs(file, there[key])}
    gone = sorted(there.keys() - keys.keys())
    if gone:
        example = printable(f"{uri} are not in {folder}, such as {gone[0]}")
        console.ask(f"{plural(len(gone), 'object')} below {example}. Remove?", aws.settings.yes)
    with console.if_interrupted(f"{uri} is not complete; the same command goes on"):
        send_files(aws, changed)
        for key in gone:
            there[key].delete()
    places.note(data=uri)
    print(f"{uri}: {len(changed)} uploaded, {len(keys) - len(changed)} unchanged, {len(gone)} removed")
    return uri


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
    """Return boto3's objects below `uri` by key. Creates SageMaker's default bucket if it is missing.

    Raises UserError as storage.check_bucket().
    """
    if storage.check_bucket(aws, aws.bucket) or aws.settings.bucket:
        return {item.key: item for item in aws.objects_below(uri)}
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

    extra = storage.encryption(aws)
    client = aws.s3.meta.client  # threads may share a client

    def upload(item: tuple[str, Path]) -> None:
        client.upload_file(str(item[1]), aws.bucket, item[0], ExtraArgs=extra)

    thread_map(upload, changed.items(), desc="uploading", total=len(changed), max_workers=16, **PROGRESS)
