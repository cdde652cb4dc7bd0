from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from dev.wait import wait_until, wait_until_async


def test_the_first_true_result_is_returned() -> None:
    results = iter([0, 0, 7])
    assert wait_until(lambda: next(results), what="a number", every_s=0) == 7


def test_the_error_names_what_was_awaited() -> None:
    with pytest.raises(TimeoutError, match="waited 0 s in vain for the server"):
        wait_until(lambda: False, what="the server", within_s=0)


def test_an_expected_error_counts_as_false_and_the_last_one_is_reported() -> None:
    def refused() -> bool:
        raise ConnectionError("refused")

    with pytest.raises(TimeoutError, match=r"for an answer \(last error: refused\)"):
        wait_until(refused, what="an answer", within_s=0, not_yet=(OSError,))


def test_any_other_error_is_raised_at_once() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 // 0, what="a number", not_yet=(OSError,))


def test_an_async_wait_lets_other_tasks_run_and_returns_the_first_true_result() -> None:
    async def main(condition: Callable[[asyncio.Event], Any]) -> Any:
        event = asyncio.Event()
        asyncio.get_running_loop().call_soon(event.set)
        return await wait_until_async(lambda: condition(event), every_s=0)

    async def awaited(event: asyncio.Event) -> bool:
        return event.is_set()

    assert asyncio.run(main(asyncio.Event.is_set)) is True
    assert asyncio.run(main(awaited)) is True


def test_the_error_of_an_async_wait_names_what_was_awaited() -> None:
    with pytest.raises(TimeoutError, match="waited 0 s in vain for the server"):
        asyncio.run(wait_until_async(lambda: False, what="the server", within_s=0))
