"""Register the last trained model in SageMaker's model registry, with its metrics and its report.

deploy.py --approved deploys the newest model that is approved.
"""

if __name__ == "__main__":
    import sys

    sys.path.insert(0, __file__.rpartition("/")[0])  # which Python's -P leaves out
    import boot  # noqa: F401 # goes on in .venv, whatever Python started this

from launch import console, registry
from launch.aws import Aws
from launch.settings import make_parser
from local import places


def main() -> None:
    parser = make_parser(__doc__, "aws")
    parser.add_argument(
        "--job", metavar="NAME", help="the training job whose model to register (default: the last one)"
    )
    parser.add_argument("--approve", action="store_true", help="approve it at once; else somebody must approve it")
    settings = parser.parse_args()
    name = settings.job or places.latest("job")
    arn = registry.register(Aws(settings), name, settings.approve)
    print(f"{name} is registered as {arn}")
    if not settings.approve:
        change = "aws sagemaker update-model-package --model-approval-status Approved --model-package-arn"
        print(f"to approve it, in SageMaker Studio or by: {change} {arn}")
    print("next: launch/deploy.py --approved")


if __name__ == "__main__":
    console.run(main)
