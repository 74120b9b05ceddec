from pathlib import Path

import pytest
import torch

from classifier import network
from classifier.artifact import Artifact
from classifier.training.artifact_files import save_artifact
from classifier.training.debugging import smdebug_compat
from waits import PATIENCE_S

from .given import CLASSES, SIZE

# A GPU's minutes are paid for, so a test that hangs has two of them; the longest runs four jobs.
# What hangs within CUDA in a test's own process takes no signal: for that the Makefile limits the whole tier.
LIMIT_S = PATIENCE_S / 5


def why_no_gpu() -> str | None:
    """Return torch's own reason, or None if there is a GPU that it can use."""
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return str(error).partition("\n")[0]
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, limit their time, and skip them without a GPU."""
    why = why_no_gpu()
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("gpu")
            item.add_marker(pytest.mark.timeout(LIMIT_S))
            if why:
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of random weights, without the files for processors."""
    folder = tmp_path_factory.mktemp("random") / "model"
    torch.manual_seed(0)
    weights = network.build(len(CLASSES), eps=1e-5).state_dict()
    save_artifact(folder, Artifact(classes=CLASSES, image_size=SIZE, eps=1e-5), weights)
    return folder


@pytest.fixture
def with_smdebug():
    """Skip where smdebug, or what it needs, is not installed; training goes on without it."""
    try:
        smdebug_compat.load()
    except ImportError as error:
        pytest.skip(str(error))
