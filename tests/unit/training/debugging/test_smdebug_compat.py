import subprocess
import sys
import threading

import numpy as np
import pytest

from classifier.training.debugging import smdebug_compat
from hooked import open_trial, write_trial


def python(code):
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)


def test_it_loads_without_torch_pandas_or_pyinstrument_and_without_a_word():
    hidden = "import sys; sys.modules.update(dict.fromkeys(('torch', 'pandas', 'pyinstrument')))\n"
    load = "from classifier.training.debugging import smdebug_compat\nsmdebug_compat.load()\n"
    result = python(hidden + load + "from smdebug.trials import create_trial\nfrom smdebug.rules import Rule")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_without_smdebug_it_is_an_import_error():
    hidden = "import sys; sys.modules['smdebug'] = None\n"
    result = python(hidden + "from classifier.training.debugging import smdebug_compat\nsmdebug_compat.load()")
    assert "ModuleNotFoundError" in result.stderr


@pytest.mark.parametrize("value", [1.5, [1.0, -2.0, float("nan")], [[1, 2], [3, 4]]])
def test_a_tensor_comes_back_as_it_was_written(tmp_path, value):
    write_trial(tmp_path, [{"x": value}])
    found = open_trial(tmp_path).tensor("x").value(0)
    np.testing.assert_array_equal(found, np.asarray(value, np.float32))


def test_a_full_disk_is_an_error_at_once_and_no_thread_waits_for_it(tmp_path):
    smdebug_compat.load()
    from smdebug.core.writer import FileWriter

    partial = tmp_path / "events/000000000000/000000000000_worker_0.tfevents.tmp"
    partial.parent.mkdir(parents=True)
    partial.symlink_to("/dev/full")
    writer = FileWriter(trial_dir=str(tmp_path), step=0, worker="worker_0")
    writer.write_tensor(np.zeros(10_000, np.float32), "x")
    before = threading.active_count()
    with pytest.raises(OSError, match="No space left"):
        writer.close()
    assert threading.active_count() == before
    assert not list(tmp_path.rglob("*.json"))  # no index: nobody will look for what is not there
