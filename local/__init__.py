"""What the scripts do on this computer: check pictures, run the container's two programs, tune, and show results.

launch/ and demo/ use this package. It does not use AWS, and it imports only tables and pure functions from the
container's code.
"""
