"""Upload a folder of images to S3: a folder per class, or train/, validation/ and test/ with one.

Layout and images are checked first. Only what changed is sent; what is no longer in the folder is removed from S3
after a question.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aws
import places
from console import ask, run
from settings import parser

THREADS = 16


def main() -> None:
    arguments = parser(__doc__, "aws")
    arguments.add_argument("folder", type=Path, help="the folder of images")
    arguments.add_argument("--name", help="its name in S3 (default: the folder's)")
    arguments.add_argument("--yes", action="store_true", help="remove without a question")
    settings = arguments.parse_args()
    session = aws.connect(settings)
    files = checked_images(settings.folder)
    bucket = aws.bucket_of(session, settings)
    make_bucket(session, bucket, asked_for=bool(settings.bucket))
    name = settings.name or settings.folder.resolve().name
    uri = f"s3://{bucket}/{settings.prefix}/data/{name}/"
    there = {item["Key"]: item for item in aws.objects(session, uri)}
    keys = {f"{settings.prefix}/data/{name}/{file.relative_to(settings.folder).as_posix()}": file for file in files}
    changed = {key: file for key, file in keys.items() if key not in there or differs(file, there[key])}
    gone = sorted(there.keys() - keys.keys())
    if gone:
        ask(f"{len(gone)} objects below {uri} are not in {settings.folder}, such as {gone[0]}. Remove?", settings.yes)
    send(session, bucket, changed, settings.kms_key)
    s3 = session.client("s3")
    for start in range(0, len(gone), 1000):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in gone[start : start + 1000]]})
    places.note(data=uri)
    print(f"{uri}: {len(changed)} uploaded, {len(keys) - len(changed)} unchanged, {len(gone)} removed")
    print("next: launch/tune.py, or launch/train.py")


def checked_images(folder: Path) -> list[Path]:
    """The images in `folder`. Raises UserError for a layout that training would refuse, or many unreadable images."""
    from tqdm import tqdm

    from classifier import images
    from classifier.training.folders import read_dataset

    dataset = read_dataset({"train": folder}, seed=0)
    files = sorted({phase.folder / file for phase in dataset.phases for file in phase.files})
    broken = []

    def check(file: Path) -> None:
        try:
            images.decode(file.read_bytes(), 1)
        except (images.ImageError, OSError) as error:
            broken.append(f"{file}: {error}")

    with ThreadPoolExecutor() as pool:
        list(tqdm(pool.map(check, files), "checking", len(files), unit="image", leave=False, disable=None))
    for line in sorted(broken):
        print(f"unreadable, training will skip it: {line}")
    if len(broken) > len(files) / 10:
        raise places.UserError(f"{len(broken)} of {len(files)} images are unreadable; accepted: up to 10 %")
    print(f"{len(files)} images in {len(dataset.classes)} classes")
    return files


def differs(file: Path, there: dict) -> bool:
    """As `aws s3 sync` decides: another size, or changed since."""
    state = file.stat()
    return state.st_size != there["Size"] or state.st_mtime > there["LastModified"].timestamp()


def make_bucket(session, bucket: str, asked_for: bool) -> None:
    """Make SageMaker's usual bucket where it is missing. Raises UserError for a missing one that was `asked_for`."""
    s3 = session.client("s3")
    try:
        s3.head_bucket(Bucket=bucket)
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
        if asked_for:
            raise places.UserError(f"there is no bucket {bucket!r}; make it, or leave bucket empty") from error
        where = {} if session.region_name == "us-east-1" else {"LocationConstraint": session.region_name}
        s3.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": where} if where else {}))


def send(session, bucket: str, changed: dict[str, Path], kms_key: str) -> None:
    from tqdm import tqdm

    s3 = session.client("s3")
    extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}

    def upload(item: tuple[str, Path]) -> None:
        s3.upload_file(str(item[1]), bucket, item[0], ExtraArgs=extra)

    with ThreadPoolExecutor(THREADS) as pool:
        list(
            tqdm(pool.map(upload, changed.items()), "uploading", len(changed), unit="image", leave=False, disable=None)
        )


if __name__ == "__main__":
    run(main)
