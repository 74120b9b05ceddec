import logging

import pytest

from classifier.contract import SERVE_VARIABLES, Contract
from classifier.serving.misspelt import warn_of_misspelt

ALL = "accepted: SERVE_ACCESS_LOG, SERVE_MODELS_MB, SERVE_PRECISION"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("SERVE_PRECISON", "the nearest is SERVE_PRECISION"),
        ("SERVE_Precision", "the nearest is SERVE_PRECISION"),
        ("serve_precision", "the nearest is SERVE_PRECISION"),
        ("SERVE_MODEL_MB", "the nearest is SERVE_MODELS_MB"),
        ("SERVE_ACCESSLOG", "the nearest is SERVE_ACCESS_LOG"),
        ("SERVE_PORT", ALL),
        ("SERVE_", ALL),
    ],
)
def test_a_variable_without_effect_is_a_line_of_the_log(name, known, caplog):
    warn_of_misspelt({name: "fp32", "SERVER_NAME": "", "OBSERVE_PRECISON": ""} | dict.fromkeys(SERVE_VARIABLES, ""))
    assert [(one.levelno, one.getMessage()) for one in caplog.records] == [
        (logging.WARNING, f"the server has no variable '{name}', which has no effect; {known}")
    ]


def test_all_that_the_server_reads_are_known():
    class Environ(dict):
        read: list[str] = []

        def get(self, name, default=None):
            self.read.append(name)

    Contract(environ=Environ()).check_serving()
    assert sorted(name for name in Environ.read if name.startswith("SERVE_")) == list(SERVE_VARIABLES)
