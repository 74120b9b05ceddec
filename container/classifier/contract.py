"""The folders, files and environment variables of SageMaker's training and serving contracts.

Sources: "How Amazon SageMaker AI Provides Training Information" and "Custom Inference Code with Hosting
Services" in the SageMaker developer guide. Every configuration file may be absent.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from classifier import files
from classifier.errors import UserError
from classifier.json_text import shown

# SageMaker plans endpoints for 6 MB and real-time invocations for up to 25 MB; a batch transform may send 100.
DEFAULT_MAX_PAYLOAD_MB = 25
MOST_PAYLOAD_MB = 100
# As CreateTrainingJob has it, but without names of dots alone, which are other folders.
CHANNEL = re.compile(r"(?!\.+$)[A-Za-z0-9._-]{1,64}")
INPUT_MODES = ("File", "FastFile")
# The server's own variables, and how they begin.
SERVE = "SERVE_"
SERVE_VARIABLES = ("SERVE_ACCESS_LOG", "SERVE_MODELS_MB", "SERVE_PRECISION")


@dataclass(frozen=True)
class Resources:
    """The hosts of a training job, as resourceconfig.json names them."""

    current_host: str
    hosts: tuple[str, ...]
    network_interface: str | None


@dataclass(frozen=True)
class Contract:
    """The contract's folders below `root` and its variables in `environ`."""

    root: Path = Path("/opt/ml")
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def job(self) -> str:
        """The job's name: SageMaker's, or that of its folder."""
        return self.environ.get("TRAINING_JOB_NAME", "") or (self.root.name if self.root != Contract.root else "")

    @property
    def data(self) -> Path:
        return self.root / "input" / "data"

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def models(self) -> Path:
        """The folder below which SageMaker unpacks the models of a multi-model endpoint."""
        return self.root / "models"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def output_data(self) -> Path:
        return self.root / "output" / "data"

    @property
    def tensorboard(self) -> Path:
        """The folder that SageMaker copies to S3 while the job runs, if its TensorBoardOutputConfig says where."""
        return self.root / "output" / "tensorboard"

    @property
    def failure(self) -> Path:
        return self.root / "output" / "failure"

    @property
    def debug_hook_config(self) -> Path:
        """The path of the configuration of SageMaker Debugger's hook."""
        named = self.environ.get("SMDEBUG_CONFIG_FILE_PATH")
        return Path(named) if named else self.root / "input" / "config" / "debughookconfig.json"

    @property
    def is_worker(self) -> bool:
        """Whether the launcher has started this process as one of several."""
        return "TORCHELASTIC_RUN_ID" in self.environ

    def hyperparameters(self) -> dict[str, object]:
        """Return the job's hyperparameters as SageMaker wrote them: names to strings."""
        return self._config("hyperparameters.json")

    def channels(self) -> dict[str, Path]:
        """Return the input channels by name: those of inputdataconfig.json or, without it, all in the data folder
        that is not hidden.

        Raises UserError if a channel has an input mode other than File or FastFile, or its folder is missing.
        """
        declared = self._config("inputdataconfig.json")
        for name, channel in declared.items():
            if not CHANNEL.fullmatch(name):
                raise UserError(f"a channel is called {name!r}; accepted: up to 64 letters, digits and . - _")
            mode = channel.get("TrainingInputMode", "File") if isinstance(channel, dict) else "File"
            if mode not in INPUT_MODES:
                raise UserError(f"channel {name!r} has input mode {shown(mode)}; accepted: {' and '.join(INPUT_MODES)}")
        channels = {name: self.data / name for name in sorted(declared)}
        try:
            for name, path in channels.items():
                if not path.is_dir():
                    raise UserError(f"channel {name!r} is in inputdataconfig.json, but {path} is not a folder")
            found = (path for path in sorted(self.data.iterdir()) if path.name[0] != ".")
            return channels or {path.name: path for path in found if self._is_there(path)}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise UserError(f"the folder {self.data} cannot be read: {error.strerror}") from error

    @staticmethod
    def _is_there(path: Path) -> bool:
        """Raises UserError if it is a link to nothing, without which the job would go on with too few channels."""
        if path.is_symlink() and not path.exists():
            raise UserError(f"{path} is a link to nothing; accepted: a link to a channel's folder")
        return True

    def resources(self) -> Resources:
        """Return the job's hosts; a single one if resourceconfig.json is absent."""
        config = self._config("resourceconfig.json")
        host, interface = config.get("current_host", "localhost"), config.get("network_interface_name")
        hosts = config.get("hosts") or [host]
        are_names = isinstance(hosts, list) and all(isinstance(name, str) for name in hosts)
        if not are_names or host not in hosts or len(set(hosts)) < len(hosts):  # or each would wait for the other
            raise UserError(
                f"resourceconfig.json has current_host {shown(host)} and hosts {shown(hosts)}; "
                "accepted: one of the hosts, and a list of their names, each once"
            )
        if interface is not None and not isinstance(interface, str):
            raise UserError(
                f"resourceconfig.json has network_interface_name {shown(interface)}; accepted: its name, or null"
            )
        return Resources(host, tuple(hosts), interface)

    @property
    def processes_per_host(self) -> int:
        """PROCESSES_PER_HOST, the training processes on each host; by default 0, which means one for each GPU."""
        return self._number("PROCESSES_PER_HOST", 0, 0, 64)

    @property
    def port(self) -> int:
        """SAGEMAKER_BIND_TO_PORT, the port to serve on; by default 8080."""
        return self._number("SAGEMAKER_BIND_TO_PORT", 8080, 1, 65535)

    @property
    def max_payload_mb(self) -> int:
        """SAGEMAKER_MAX_PAYLOAD_IN_MB, the largest accepted request body in MiB; by default 25, and 0 means 100."""
        return (
            self._number("SAGEMAKER_MAX_PAYLOAD_IN_MB", DEFAULT_MAX_PAYLOAD_MB, 0, MOST_PAYLOAD_MB) or MOST_PAYLOAD_MB
        )

    @property
    def precision(self) -> str:
        """SERVE_PRECISION, the precision to serve in; by default auto, the best for the machine and the artifact."""
        return self._choice("SERVE_PRECISION", ("auto", "fp32", "bf16", "fp16", "int8"))

    @property
    def fronts(self) -> int:
        """SAGEMAKER_MODEL_SERVER_WORKERS, the serving processes; by default 0, as many as the machine is good for."""
        return self._number("SAGEMAKER_MODEL_SERVER_WORKERS", 0, 0, 64)

    @property
    def multi_model(self) -> bool:
        """SAGEMAKER_MULTI_MODEL, whether models are loaded and unloaded by requests; by default false."""
        return self._choice("SAGEMAKER_MULTI_MODEL", ("false", "true")) == "true"

    @property
    def models_mb(self) -> int:
        """SERVE_MODELS_MB, the memory of all such models in MB; by default 0, two thirds of what is free."""
        return self._number("SERVE_MODELS_MB", 0, 0, 100_000_000)

    def check_serving(self) -> None:
        """Raise UserError if a variable of serving is at fault, also one that this server makes no use of."""
        _ = self.multi_model, self.models_mb, self.fronts, self.port, self.max_payload_mb, self.precision
        _ = self.access_log

    @property
    def access_log(self) -> bool:
        """SERVE_ACCESS_LOG, whether each request is logged; by default on."""
        return self._choice("SERVE_ACCESS_LOG", ("on", "off")) == "on"

    def _choice(self, variable: str, accepted: tuple[str, ...]) -> str:
        value = self.environ.get(variable) or accepted[0]
        if value not in accepted:
            raise UserError(f"{variable} is {value!r}; accepted: {', '.join(accepted)}")
        return value

    def _number(self, variable: str, default: int, least: int, most: int) -> int:
        value = self.environ.get(variable) or str(default)
        if not re.fullmatch("[0-9]{1,9}", value) or not least <= int(value) <= most:
            raise UserError(f"{variable} is {shown(value)}; accepted: a whole number from {least} to {most}")
        return int(value)

    def _config(self, name: str) -> dict:
        path = self.root / "input" / "config" / name
        try:
            return files.read_json(path)
        except FileNotFoundError:
            return {}
