"""What the scripts do on this computer: check pictures, run the container's two programs, tune, and show results.

launch/ and demo/ use this package; from Python, `from local import train, Model`. It does not use AWS. It imports only
tables and pure functions from the container's code, but for Model, which loads what the server would.
"""

from local.models import Model, train

__all__ = ["Model", "train"]
