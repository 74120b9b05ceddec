import numpy as np

from classifier.training.data.order import PART, Order, Parts
from classifier.training.parallel.processes import ALONE, Alone


def batches(order):
    return [positions.tolist() for _, positions in order]


def test_training_is_shuffled_anew_each_epoch_and_evaluation_is_not():
    shuffled = Order(100, 32, ALONE, shuffle=True)
    epochs = []
    for epoch in (1, 2, 1):
        shuffled.start(epoch)
        found = batches(shuffled)
        assert [len(batch) for batch in found] == [32, 32, 32, 4]
        epochs.append(sum(found, []))
    assert sorted(epochs[0]) == list(range(100))
    assert epochs[0] != epochs[1]
    assert epochs[0] == epochs[2]
    assert len(shuffled) == 4
    assert batches(Order(3, 2, ALONE)) == [[0, 1], [2]]


def test_epoch_0_goes_from_the_first_image_to_the_last():
    assert batches(Order(5, 3, ALONE, shuffle=True)) == [[0, 1, 2], [3, 4]]


def test_the_processes_share_every_batch():
    shares = []
    for rank in range(3):
        group = Alone()
        group.rank, group.size = rank, 3
        order = Order(50, 8, group, shuffle=True)
        order.start(1)
        shares.append(batches(order))
        assert order.share == 3
    whole = Order(50, 8, ALONE, shuffle=True)
    whole.start(1)
    together = [sorted(sum(parts, [])) for parts in zip(*shares, strict=True)]
    assert together == [sorted(batch) for batch in batches(whole)]
    assert {len(batch) for batch in shares[0]} | {len(batch) for batch in shares[2]} == {3, 2, 1, 0}


def test_every_batch_has_as_many_parts_which_fill_its_slot_without_a_gap():
    """As many, also the last and shortest: so many slots suffice for all that is under way."""
    order = Order(5 * PART, 2 * PART + 3, ALONE)
    order.start(0, last=1)
    parts = Parts(order, lambda batch: batch % 4)
    found = list(parts)
    assert len(found) == 2 * len(order) * parts.number == 2 * 3 * 3
    for batch, (epoch, positions) in enumerate(order):
        its = found[batch * parts.number : (batch + 1) * parts.number]
        assert {(part.slot, part.epoch) for part in its} == {(batch % 4, epoch)}
        assert [part.row for part in its] == np.cumsum([0, *(len(part.positions) for part in its[:-1])]).tolist()
        assert sum((part.positions for part in its), []) == positions.tolist()
        assert max(len(part.positions) for part in its) <= PART
