"""Upload a folder of images to S3: a folder per class, or train/, validation/ and test/ with a folder per class.

Layout and images are checked first, as check.py does. Only new and changed images are uploaded, without those that the
folder's leave_out.txt names; images that are no longer in the folder are removed from S3, after a question.
"""

if __name__ == "__main__":
    import sys

    sys.path.insert(0, __file__.rpartition("/")[0])  # which Python's -P leaves out
    import boot  # noqa: F401 # goes on in .venv, whatever Python started this

from launch import console
from launch.aws import Aws
from launch.settings import make_parser, path
from launch.uploading import upload


def main() -> None:
    parser = make_parser(__doc__, "aws", takes="FOLDER")
    parser.add_argument("folder", type=path, help="the folder of images")
    parser.add_argument("--name", default="", help="the folder's name in S3 (default: its own)")
    parser.add_argument("--yes", action="store_true", help="do not ask, before a leak is uploaded or an object removed")
    settings = parser.parse_args()
    upload(Aws(settings), settings.folder, settings.name)
    print("next: launch/tune.py, or launch/train.py")


if __name__ == "__main__":
    console.run(main)
