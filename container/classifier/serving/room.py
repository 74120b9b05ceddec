"""How many requests, and how many of their bytes, may wait for the model or be in it. For one event loop; no I/O."""

import asyncio
from collections import deque


class Room:
    """The places of all requests for the model."""

    def __init__(self, turns: int, most_waiting: int, most_bytes: int):
        """Let `turns` requests run at a time and `most_waiting` wait for it, of `most_bytes` together."""
        self.turns, self.most_waiting, self.most_bytes = turns, most_waiting, most_bytes
        self.bytes = 0
        self.waiting: deque[asyncio.Future[bool]] = deque()

    def has(self, size: int) -> bool:
        """Return whether one more request, or one more piece of it, of `size` bytes may come."""
        return len(self.waiting) < self.most_waiting and self.bytes + size <= self.most_bytes

    def refuse_waiting(self) -> None:
        """Let nothing wait any more, and refuse what does."""
        self.most_waiting = 0
        for turn in self.waiting:
            if not turn.done():
                turn.set_result(False)
        self.waiting.clear()

    def give_turn(self) -> None:
        """Let the next request run, if there is one."""
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():  # else its client has just left
                turn.set_result(True)
                return
        self.turns += 1


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
        if room.turns:
            room.turns -= 1
            self.has_turn = True
        elif len(room.waiting) < room.most_waiting:
            self.has_turn = await self._wait()
        return self.has_turn

    def leave_after(self, running: asyncio.Future) -> None:
        """Keep the place beyond the context, until `running` is done."""
        self.running = running
        running.add_done_callback(self._leave)

    async def _wait(self) -> bool:
        turn = asyncio.get_running_loop().create_future()
        self.room.waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:  # the client has left
            if turn in self.room.waiting:
                self.room.waiting.remove(turn)
            elif not turn.cancelled() and turn.result():
                self.room.give_turn()
            raise

    def _leave(self, _: object = None) -> None:
        self.room.bytes -= self.bytes
        if self.has_turn:
            self.room.give_turn()
