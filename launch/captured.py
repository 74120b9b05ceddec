"""Turn what an endpoint captured into folders to label: a folder for each class, as the model sees it.

deploy.py --capture-percent N lets an endpoint keep N % of its requests in S3. Move what is in the wrong folder, then
launch/upload.py uploads the folders to train with.
"""

if __name__ == "__main__":
    import sys

    sys.path.insert(0, __file__.rpartition("/")[0])  # which Python's -P leaves out
    import boot  # noqa: F401 # goes on in .venv, whatever Python started this

from math import inf

from launch import capture, console
from launch.aws import Aws
from launch.settings import make_parser, path
from local import places


def main() -> None:
    parser = make_parser(__doc__, "aws", takes="FOLDER")
    parser.add_argument("folder", type=path, help="the folder to write to")
    parser.add_argument("--endpoint", metavar="NAME", help="the endpoint (default: the last deployed)")
    parser.add_argument("--below", metavar="P", type=float, default=inf, help="only pictures of a lower probability")
    settings = parser.parse_args()
    endpoint = settings.endpoint or places.latest("endpoint")
    counts = capture.write_pictures(Aws(settings), endpoint, settings.folder, settings.below)
    print(f"{settings.folder}: {counts}")
    print(f"next: move what is in the wrong folder, then launch/upload.py {settings.folder}")


if __name__ == "__main__":
    console.run(main)
