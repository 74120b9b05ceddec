"""How many requests, and how many of their bytes, may wait for the model or be in it. For one event loop; no I/O."""

import asyncio


class Room:
    """The places of all requests for the model."""

    def __init__(self, turns: int, most_waiting: int, most_bytes: int):
        """Let `turns` requests run at a time and `most_waiting` wait for it, of `most_bytes` together."""
        self.turns = asyncio.Semaphore(turns)
        self.most_waiting, self.most_bytes = most_waiting, most_bytes
        self.waiting = self.bytes = 0
        self.is_closed = False

    def has(self, size: int) -> bool:
        """Return whether one more request, or one more piece of it, of `size` bytes may come."""
        return self.waiting < self.most_waiting and self.bytes + size <= self.most_bytes

    def close(self) -> None:
        """Refuse all that waits for a turn, now and from now on."""
        self.is_closed = True
        for _ in range(self.waiting):
            self.turns.release()


class Place:
    """What one request occupies in a room, as long as the context lasts."""

    def __init__(self, room: Room):
        self.room = room
        self.bytes = 0
        self.has_turn = False
        self.running: asyncio.Future | None = None

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *_: object) -> None:
        if not self.running:
            self._leave()

    def grow(self, size: int) -> bool:
        """Occupy `size` more bytes, and return whether there was room for them."""
        if not self.room.has(size):
            return False
        self.bytes += size
        self.room.bytes += size
        return True

    async def turn(self) -> bool:
        """Wait until the request may run, and return False if it is refused."""
        room = self.room
        if room.turns.locked() and room.waiting >= room.most_waiting:
            return False
        room.waiting += 1
        try:
            self.has_turn = await room.turns.acquire()
        finally:
            room.waiting -= 1
        return not room.is_closed

    def leave_after(self, running: asyncio.Future) -> None:
        """Keep the place beyond the context, until `running` is done."""
        self.running = running
        running.add_done_callback(self._leave)

    def _leave(self, _: object = None) -> None:
        self.room.bytes -= self.bytes
        if self.has_turn:
            self.room.turns.release()
