"""ResNet18 image classification under SageMaker's training and serving contracts."""

import os
import tempfile
from pathlib import Path

# torchvision's import makes torch choose a folder for compiled code; by itself torch derives it from the user's
# name and fails under a user id that has none, as a container may run under.
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(tempfile.gettempdir()) / "torchinductor"))
