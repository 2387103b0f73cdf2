"""An event loop of `asyncio` without sockets and threads, so that `async` code runs in an agent:

    result = asyncio.run(main(), loop_factory=EventLoop)

The loop of `asyncio` itself needs a pair of sockets, which an agent does not have.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Sleeper:
    """What the loop waits with: nothing but time wakes it up."""

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            raise RuntimeError("the agent waits for something that cannot happen: it has no sockets and no threads")
        time.sleep(timeout)
        return []


class EventLoop(asyncio.BaseEventLoop):
    """Runs callbacks, tasks and timers. A sleep of the loop is a sleep of the agent, which may take days."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = Sleeper()

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Runs the function at once, because there are no threads: `asyncio.to_thread` works, one after the other."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def _process_events(self, event_list: list[object]) -> None:
        """There are no events but timers."""

    def _write_to_self(self) -> None:
        """Nobody else can wake the loop up."""
