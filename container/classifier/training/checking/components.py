"""Which numbers belong together, by links between two of them."""

from collections import defaultdict
from collections.abc import Sequence


class Components:
    """The numbers from 0 to n - 1, each by itself at first."""

    def __init__(self, n: int):
        self.parents = list(range(n))

    def join(self, one: int, other: int) -> None:
        self.parents[self.of(one)] = self.of(other)

    def of(self, number: int) -> int:
        """Return the number that stands for all that `number` belongs together with."""
        while self.parents[number] != number:
            self.parents[number] = self.parents[self.parents[number]]
            number = self.parents[number]
        return number

    def named(self, names: Sequence[int]) -> list[list[int]]:
        """Return the groups of two or more, each number by its name."""
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for number, name in enumerate(names):
            groups[self.of(number)].append(name)
        return [group for group in groups.values() if len(group) > 1]
