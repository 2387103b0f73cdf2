"""Tries the files that the template `assistant` gives an agent in Python: the checks of arguments, and `async` code.

The task `wait` waits for something that cannot happen.
"""

import asyncio
import time
from typing import Annotated, Literal

import httpx
import jinja2
import yaml
from componentize_py_types import Err
from event_loop import EventLoop
from toolbox import schema, tool
from wit_world import WitWorld as Program
from wit_world.imports.types import Refusal_Rejected


@tool
def ship(
    what: Annotated[str, "The goods"],
    count: int,
    how: Literal["fast", "slow"],
    weights: list[float] | None = None,
    fragile: bool = False,
) -> str:
    """Ships goods.

    Twice a day.
    """
    if what == "gold":
        raise Err(Refusal_Rejected("no gold"))
    return f"{what} {count} {how} {weights} {fragile}"


GIVEN = [
    '{"what": "tea", "count": 2, "how": "fast"}',
    '{"what": "tea", "count": 2, "how": "slow", "weights": [1, 2.5], "fragile": true}',
    '{"what": "tea", "count": 2, "how": "slow", "weights": null}',
    '{"what": "gold", "count": 2, "how": "slow"}',
    '{"what": "tea", "how": "fast"}',
    '{"what": "tea", "count": 2, "how": "fast", "to": "Rome"}',
    '{"what": "tea", "count": true, "how": "fast"}',
    '{"what": "tea", "count": 2.5, "how": "fast"}',
    '{"what": 7, "count": 2, "how": "fast"}',
    '{"what": "tea", "count": 2, "how": "by ship"}',
    '{"what": "tea", "count": 2, "how": ["fast"]}',
    '{"what": "tea", "count": 2, "how": "fast", "weights": [1, "x"]}',
    '{"what": "tea", "count": 2, "how": "fast", "weights": {}}',
    '{"what": "tea", "count": 2, "how": "fast", "fragile": 1}',
    "[]",
    "no JSON",
]


async def part(name: str, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return name


async def many() -> list[str]:
    order: list[str] = []
    loop = asyncio.get_running_loop()
    loop.call_later(0.02, order.append, "later")
    loop.call_soon(order.append, "soon")
    order += await asyncio.gather(part("slow", 0.05), part("fast", 0.01))
    order.append(await asyncio.to_thread(lambda: "thread"))
    try:
        await asyncio.to_thread(int, "x")
    except ValueError:
        order.append("error")
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)
    except TimeoutError:
        order.append("timeout")
    return order


async def never() -> None:
    await asyncio.get_running_loop().create_future()


class WitWorld(Program):
    def run(self, task: str) -> str:
        if task == "wait":
            try:
                asyncio.run(never(), loop_factory=EventLoop)
            except RuntimeError as error:
                raise Err(str(error)) from None
        try:
            schema(dict[str, str])
        except TypeError as error:
            refused = str(error)
        began = time.monotonic()
        order = asyncio.run(many(), loop_factory=EventLoop)
        slept = 0.05 < time.monotonic() - began < 5
        known = {"host": httpx.URL("http://a.example/").host, **yaml.safe_load("name: Ann")}
        hello = jinja2.Template("Hello {{ name }} of {{ host }}").render(known)
        lines = [ship.name, ship.description, str(ship.parameters), refused, str(order), str(slept), hello]
        return "\n".join(lines + [ship.use(given) for given in GIVEN])
