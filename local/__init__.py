"""What lies and runs on this computer: pictures, the container's two programs, a tuning's record and its page.

launch/ and demo/ stand on this; it knows nothing of AWS, and of the container's code only tables and pure functions.
"""
