import asyncio
from collections.abc import Coroutine

import pytest

from classifier.serving.room import Place, Room


def run(coroutine: Coroutine) -> None:
    asyncio.run(coroutine)


def test_requests_run_in_the_order_of_their_arrival():
    async def check() -> None:
        room, order = Room(1, 9, 99), []

        async def work(number: int) -> None:
            with Place(room) as place:
                assert await place.turn()
                order.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*map(work, range(5)))
        assert order == [0, 1, 2, 3, 4]
        assert room.turns._value == 1

    run(check())


def test_what_finds_no_place_to_wait_is_refused_at_once():
    async def check() -> None:
        room = Room(1, 1, 99)
        with Place(room) as first, Place(room) as second, Place(room) as third:
            assert await first.turn()
            waiting = asyncio.ensure_future(second.turn())
            await asyncio.sleep(0)
            assert not room.has(0)
            assert not third.grow(1)
            assert not await third.turn()
            room.close()
            assert not await waiting

    run(check())


def test_bytes_are_counted_until_their_request_leaves():
    room = Room(1, 9, 100)
    with Place(room) as first, Place(room) as second:
        assert first.grow(60)
        assert not second.grow(41)
        assert second.grow(40)
        assert not room.has(1)
    assert room.bytes == 0


def test_a_place_is_kept_until_its_thread_is_done_though_the_client_has_left():
    async def check() -> None:
        room, thread = Room(1, 9, 100), asyncio.get_running_loop().create_future()

        async def work() -> None:
            with Place(room) as place:
                place.grow(10)
                await place.turn()
                place.leave_after(thread)
                await asyncio.shield(thread)

        task = asyncio.ensure_future(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (room.turns._value, room.bytes) == (0, 10)
        thread.set_result(None)
        await asyncio.sleep(0)
        assert (room.turns._value, room.bytes) == (1, 0)

    run(check())


@pytest.mark.parametrize("is_granted", [False, True])
def test_clients_that_leave_while_they_wait_lose_no_turn(is_granted):
    async def check() -> None:
        room = Room(1, 9, 100)

        async def work() -> bool:
            with Place(room) as place:
                return await place.turn()

        with Place(room) as running:
            await running.turn()
            tasks = [asyncio.ensure_future(work()) for _ in range(3)]
            await asyncio.sleep(0)
            if not is_granted:
                tasks[0].cancel()
        if is_granted:
            tasks[0].cancel()
        tasks[1].cancel()
        assert await tasks[2]
        assert [task.cancelled() for task in tasks] == [True, True, False]
        assert (room.turns._value, room.waiting) == (1, 0)

    run(check())
