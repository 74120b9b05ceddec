"""build_and_push.sh pushes to a registry on this machine in place of ECR, and the image is pulled back."""

import contextlib
import json
import shutil
import subprocess
import urllib.request

import pytest

from helpers import free_port
from waits import LIMIT_S, PATIENCE_S, wait_until

from .conftest import NAME, unavailable
from .engines import CACHE, RUN

GB_NEEDED = 20
ACCOUNT, REGION = "123456789012", "eu-west-1"
HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
AWS = f"""#!/bin/sh
case "$*" in
    "sts get-caller-identity"*) echo {ACCOUNT} ;;
    "ecr get-login-password") echo secret ;;
    "ecr describe-images"*) echo {MANIFEST} ;;
esac
"""
# The real podman, but ECR's host name means the registry on this machine, and login does nothing.
PODMAN = """#!/bin/sh
if [ "$1" = login ]; then cat > /dev/null; exit; fi
for word; do
    shift
    set -- "$@" "$(echo "$word" | sed s/{host}/127.0.0.1:{port}/)"
done
exec {podman} "$@"
"""
REGISTRY = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: "{folder}"}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
INSECURE = """\
[[registry]]
location = "127.0.0.1:{port}"
insecure = true
"""


@pytest.fixture
def registry(tmp_path):
    """The port of an empty registry."""
    if not shutil.which("docker-registry"):
        unavailable("docker-registry is not installed")
    free_gb = shutil.disk_usage(tmp_path).free // 10**9
    if free_gb < GB_NEEDED:
        unavailable(f"{tmp_path} has {free_gb} GB free; needed: {GB_NEEDED} GB, for the registry and a second storage")
    port = free_port()
    (tmp_path / "registry.yml").write_text(REGISTRY.format(folder=tmp_path / "registry", port=port))
    process = subprocess.Popen(["docker-registry", "serve", tmp_path / "registry.yml"])  # pytest shows what it says
    try:
        wait_until(lambda: answers(port), "an answer of the registry")
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        shutil.rmtree(tmp_path / "registry", ignore_errors=True)  # several GB, which pytest would keep


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=PATIENCE_S):
        return True
    return False


@pytest.fixture
def environ(image, registry, tmp_path):
    """An environment with stand-ins for the AWS command line and the login, and the registry in place of ECR."""
    if image.engine.name != "podman":
        unavailable(f"{image.engine.name} cannot be told that the registry on this machine is ECR")
    (tmp_path / "bin").mkdir()
    (tmp_path / "registries.conf").write_text(INSECURE.format(port=registry))
    podman = PODMAN.format(host=HOST, port=registry, podman=shutil.which("podman"))
    scripts = {"aws": AWS, "podman": podman, "docker": "#!/bin/sh\nexit 1\n"}
    for name, script in scripts.items():
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    return image.engine.environ | {
        "PATH": f"{tmp_path / 'bin'}:{image.engine.environ['PATH']}",
        "CONTAINERS_REGISTRIES_CONF": str(tmp_path / "registries.conf"),
    }


def test_pushed_image_can_be_pulled_and_runs(image, registry, environ, checkout, tmp_path):
    options = ("--region", REGION, "--name", NAME, "--tag", "pushed", "--", *image.build_options)
    command = [checkout / "build_and_push.sh", *options]
    pushed = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S)
    assert pushed.returncode == 0, pushed.stderr
    uri = f"{HOST}/{NAME}:pushed"
    assert pushed.stdout == f"{uri}\n"
    assert (checkout / ".image_uri").read_text() == pushed.stdout

    address = f"http://127.0.0.1:{registry}/v2/{NAME}/manifests/latest"
    request = urllib.request.Request(address, headers={"Accept": MANIFEST})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        assert answer.headers["Content-Type"] == MANIFEST
        assert len(json.load(answer)["layers"]) > 3

    # Into an empty storage, so that every layer is pulled from the registry.
    podman = [tmp_path / "bin" / "podman", "--root", CACHE / "pulled", "--runroot", f"{RUN}-pulled"]
    how = {"env": environ, "cwd": tmp_path, "timeout": LIMIT_S, "check": True}
    try:
        subprocess.run([*podman, "pull", "--quiet", uri], **how)
        subprocess.run([*podman, "run", "--rm", "--network=none", uri, "self_test"], **how)
    finally:
        subprocess.run([*podman, "rmi", "--all", "--force"], **how)
        names = [f"127.0.0.1:{registry}/{NAME}:{tag}" for tag in ("pushed", "latest")]
        image.engine.run("rmi", f"{NAME}:pushed", *names, check=False)
