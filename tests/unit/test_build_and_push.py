"""build_and_push.sh against stand-ins for the engines and the AWS command line, which record each call."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("awk", "bash", "dirname", "env", "git", "grep", "mktemp", "rm", "tail")
STAND_IN = f"""#!{sys.executable}
import json, os, sys
command = " ".join([os.path.basename(sys.argv[0]), *sys.argv[1:]])
if "--password-stdin" in command:
    command += " <<< " + sys.stdin.read()
with open(os.environ["CALLS"], "a") as calls:
    calls.write(command + "\\n")
for start, (code, out, error) in json.loads(os.environ["ANSWERS"]).items():
    if command.startswith(start):
        sys.stdout.write(out)
        sys.stderr.write(error)
        sys.exit(code)
"""
DF = "Filesystem 1024-blocks Used Available Capacity Mounted\nx 1 1 {} 1% /\n"
REGISTRY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
URI = f"{REGISTRY}/sagemaker-resnet18"
ANSWERS = {
    "aws configure get region": (0, "eu-west-1\n", ""),
    "aws sts get-caller-identity": (0, "123456789012\n", "a warning\n"),
    "aws ecr get-login-password": (0, "secret\n", ""),
    "aws ecr describe-images": (0, "application/vnd.docker.distribution.manifest.v2+json\n", ""),
    "docker info --format": (0, "/\n", ""),
    "podman info --format": (0, "/\n", ""),
    "docker image inspect": (1, "", "no such image\n"),
    "df": (0, DF.format(100 << 20), ""),
}
NO_REPOSITORY = {
    "aws ecr describe-repositories": (254, "", "An error occurred (RepositoryNotFoundException): not there\n")
}


class Stage:
    """A separate checkout, and a PATH with only stand-ins and a few tools."""

    def __init__(self, folder: Path):
        self.folder, self.bin, self.calls = folder / "checkout", folder / "bin", folder / "calls"
        self.answers = dict(ANSWERS)
        (self.folder / "container").mkdir(parents=True)
        shutil.copy(ROOT / "build_and_push.sh", self.folder)
        self.bin.mkdir()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.stand_in("docker", "aws", "df")
        self.environ = {"PATH": str(self.bin), "CALLS": str(self.calls), "HOME": str(folder), "LC_ALL": "C"}
        self.git("init", "--quiet")
        self.git("add", ".")
        self.git("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "first")
        self.revision = self.git("rev-parse", "--short=12", "HEAD")

    def stand_in(self, *names: str) -> None:
        for name in names:
            (self.bin / name).unlink(missing_ok=True)
            (self.bin / name).write_text(STAND_IN)
            (self.bin / name).chmod(0o755)

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", self.folder, *arguments]
        return subprocess.run(command, check=True, env=self.environ, stdout=subprocess.PIPE, text=True).stdout.strip()

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """The exit code, standard output and standard error."""
        self.calls.write_text("")
        environ = self.environ | {"ANSWERS": json.dumps(self.answers)}
        command = [self.folder / "build_and_push.sh", *arguments]
        result = subprocess.run(command, env=environ, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return result.returncode, result.stdout, result.stderr

    def called(self, start: str) -> list[str]:
        return [call for call in self.calls.read_text().splitlines() if call.startswith(start)]

    def dies(self, *arguments: str) -> str:
        """The one sentence of a run that must fail before anything is built."""
        code, out, error = self.run(*arguments)
        assert (code, out) == (1, "")
        assert not [call for call in self.calls.read_text().splitlines() if " build" in call or "push " in call]
        assert not (self.folder / ".image_uri").exists()
        sentence, *rest = error.splitlines()
        assert not rest
        return sentence.removeprefix("build_and_push.sh: ")


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


def test_builds_checks_pushes_and_prints_nothing_but_the_uri(stage):
    stage.answers["docker buildx version"] = (1, "", "")
    code, out, error = stage.run()
    assert (code, out) == (0, f"{URI}:{stage.revision}\n"), error
    assert (stage.folder / ".image_uri").read_text() == out
    calls = stage.calls.read_text().splitlines()
    name = f"sagemaker-resnet18:{stage.revision}"
    steps = [
        f"docker login --username AWS --password-stdin {REGISTRY} <<< secret",
        f"docker build --platform linux/amd64 --build-arg REVISION={stage.revision}"
        f" --tag {name} --tag sagemaker-resnet18:latest .",
        f"docker run --rm --platform linux/amd64 --network none --env CUDA_VISIBLE_DEVICES=-1 {name} self_test",
        f"docker push {URI}:{stage.revision}",
        f"docker push {URI}:latest",
    ]
    assert [call for call in calls if call in steps] == steps
    assert not stage.called("aws ecr create-repository")


def test_no_push_needs_no_aws(stage):
    (stage.bin / "aws").unlink()
    code, out, error = stage.run("--no-push", "--name", "mine", "--tag", "v1", "--", "--build-arg", "WEIGHTS=none")
    assert (code, out) == (0, "mine:v1\n"), error
    assert stage.called("docker ")[-2].endswith("--tag mine:v1 --tag mine:latest --build-arg WEIGHTS=none .")
    assert not (stage.folder / ".image_uri").exists()


def test_buildx_makes_no_index(stage):
    stage.run("--no-push")
    assert (
        "buildx build --provenance=false --sbom=false --output type=docker " in stage.called("docker buildx build")[0]
    )


@pytest.mark.parametrize(("engine", "flag"), [("podman", "--format docker"), ("finch", "--output type=docker")])
def test_other_engines_make_no_oci_manifest(stage, engine, flag):
    (stage.bin / "docker").unlink()
    stage.stand_in(engine)
    code, _, error = stage.run("--no-push")
    assert code == 0, error
    assert f"{engine} build {flag} --platform linux/amd64" in stage.called(f"{engine} build")[0]


def test_takes_the_first_engine_that_answers(stage):
    stage.answers["docker info"] = (1, "", "Cannot connect to the Docker daemon\n")
    stage.stand_in("podman")
    assert stage.run("--no-push")[0] == 0
    assert stage.called("podman build")


def test_studio_has_one_network(stage):
    stage.stand_in("grep")  # which then finds what it looks for
    assert stage.run("--no-push")[0] == 0
    assert stage.called("docker run")[0].split("--network ")[1].startswith("sagemaker ")
    assert "--network sagemaker " in stage.called("docker buildx build")[0]


def test_region_and_profile(stage):
    code, out, _ = stage.run("--region", "cn-north-1", "--profile", "course")
    assert (code, out) == (0, f"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/sagemaker-resnet18:{stage.revision}\n")
    stage.environ["AWS_DEFAULT_REGION"] = "us-west-2"
    assert ".us-west-2.amazonaws.com/" in stage.run()[1]


def test_missing_repository_is_made(stage):
    stage.answers |= NO_REPOSITORY
    assert stage.run()[0] == 0
    create, policy = (
        stage.called("aws ecr create-repository"),
        stage.calls.read_text().split("--lifecycle-policy-text "),
    )
    assert "--repository-name sagemaker-resnet18 --image-scanning-configuration scanOnPush=true" in create[0]
    assert create[0].endswith("--tags Key=created-by,Value=build_and_push.sh")  # by which cleanup.py knows it
    rule = json.JSONDecoder().raw_decode(policy[1])[0]["rules"][0]
    assert rule["action"] == {"type": "expire"}
    assert rule["selection"] == {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 5}


def test_refused_lifecycle_rule_is_no_failure(stage):
    stage.answers |= NO_REPOSITORY | {"aws ecr put-lifecycle-policy": (254, "", "AccessDenied: no\n")}
    code, _, error = stage.run()
    assert code == 0
    assert "it will keep all images, since its lifecycle rule was rejected: AccessDenied: no" in error


def test_uncommitted_changes_show_in_the_tag(stage):
    (stage.folder / "README.md").write_text("not part of the image")
    assert stage.run("--no-push")[1] == f"sagemaker-resnet18:{stage.revision}\n"
    (stage.folder / "container" / "new.py").touch()
    code, out, error = stage.run("--no-push")
    assert (code, out) == (0, f"sagemaker-resnet18:{stage.revision}-dirty\n")
    assert "changes that are not committed" in error


def test_image_that_does_not_work_is_not_pushed(stage):
    stage.answers["docker run"] = (1, "", "Traceback\n")
    code, out, error = stage.run()
    assert (code, out) == (1, "")
    assert error.endswith("the image does not work; it was not pushed\n")
    assert not stage.called("docker push")


def test_manifest_that_sagemaker_refuses_is_not_recorded(stage):
    stage.answers["aws ecr describe-images"] = (0, "application/vnd.oci.image.index.v1+json\n", "")
    code, out, error = stage.run()
    assert (code, out) == (1, "")
    assert "has a manifest that SageMaker does not accept: application/vnd.oci.image.index.v1+json" in error
    assert not (stage.folder / ".image_uri").exists()


def test_manifest_that_may_not_be_seen_is_said(stage):
    stage.answers["aws ecr describe-images"] = (254, "", "AccessDenied: no\n")
    code, _, error = stage.run()
    assert code == 0
    assert "was not checked: AccessDenied: no" in error


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({"docker info": (1, "", "")}, "docker is installed but does not answer: start its daemon or virtual machine"),
        ({"df": (0, DF.format(24 << 20), "")}, "/ has 24 GB free; needed: 25 GB"),
        (
            {"df": (0, DF.format(3 << 20), ""), "docker image inspect": (0, "", "")},
            "/ has 3 GB free; needed: 4 GB",
        ),
        ({"aws sts": (253, "", "\nExpiredToken: old\n")}, "no valid AWS credentials: ExpiredToken: old"),
        ({"aws configure get region": (1, "", "")}, "no region: use --region, AWS_REGION or aws configure"),
        ({"aws ecr describe-repositories": (254, "", "AccessDenied: no\n")}, "ECR in eu-west-1: AccessDenied: no"),
        (
            NO_REPOSITORY | {"aws ecr create-repository": (254, "", "AccessDenied: no\n")},
            "the ECR repository sagemaker-resnet18 cannot be created: AccessDenied: no",
        ),
        ({"aws ecr get-login": (254, "", "denied\n")}, "no login to ECR in eu-west-1: denied"),
        ({"docker login": (1, "", "refused\n")}, f"docker cannot log in to {REGISTRY}: refused"),
    ],
)
def test_what_is_missing_is_one_sentence_before_any_work(stage, answers, sentence):
    stage.answers = answers | {key: value for key, value in stage.answers.items() if key not in answers}
    assert stage.dies() == sentence


def test_missing_tools_are_one_sentence(stage):
    (stage.bin / "aws").unlink()
    assert stage.dies() == "the AWS command line is missing: install awscli, or use --no-push"
    (stage.bin / "docker").unlink()
    assert stage.dies() == "no container engine: install docker, podman or finch"


def test_without_a_revision_a_tag_is_needed(stage):
    shutil.rmtree(stage.folder / ".git")
    assert stage.dies() == "there is no git revision to use as the tag: use --tag"
    code, out, error = stage.run("--tag", "v1")
    assert (code, out) == (0, f"{URI}:v1\n"), error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--nmae", "x"], "unknown argument --nmae; see --help"),
        (["--name"], "--name needs a value"),
    ],
)
def test_wrong_arguments(stage, arguments, sentence):
    assert stage.dies(*arguments) == sentence


def test_help(stage):
    code, out, _ = stage.run("--help")
    assert code == 0
    assert out.startswith("usage: ./build_and_push.sh ")
