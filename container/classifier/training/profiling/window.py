"""The steps of a job that are profiled: a few after the warm-up."""

WARM_UP, TIMED, TRACED = 5, 20, 3


def plan(steps: int, steps_per_epoch: int) -> tuple[int, int, int]:
    """Return the first timed step, the step after the last timed one, and how many are traced after one to warm up."""
    first = min(WARM_UP, steps // 4)
    traced = min(TRACED, (steps - first) // 4)
    last = max(first, min(first + TIMED, steps - traced - 1))
    epoch_ends = last - last % steps_per_epoch + steps_per_epoch
    if last + 1 + traced > epoch_ends and traced < steps_per_epoch:
        # A validation in between would be part of the trace: begin with the next epoch, or end with this one.
        last = epoch_ends if epoch_ends + 1 + traced <= steps else max(first, epoch_ends - 1 - traced)
    return first, last, traced
