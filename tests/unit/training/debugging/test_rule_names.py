import subprocess
import sys


def test_the_names_are_known_without_what_takes_long_to_import():
    """launch/ and local/ read the hyperparameters, which name the rules and the layers."""
    large = "[m for m in ('torch', 'numpy', 'smdebug') if m in sys.modules]"
    code = f"import sys, classifier.training.hyperparameters; print({large})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "[]\n")
