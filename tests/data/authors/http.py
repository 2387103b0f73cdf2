"""Sends requests with `httpx`, over the transport of `guest-examples/python/http_transport.py`. The task is a URL."""

import asyncio

import httpx
from event_loop import EventLoop
from http_transport import AsyncTransport, Transport
from wit_world import WitWorld as Program


async def both(url: str) -> list[str]:
    async with httpx.AsyncClient(transport=AsyncTransport()) as client:
        sent = client.post(f"{url}/b", json={"x": "ü" * 5_000}), client.get(f"{url}/c")
        return [f"{answer.status_code} {answer.text}" for answer in await asyncio.gather(*sent)]


class WitWorld(Program):
    def run(self, task: str) -> str:
        with httpx.Client(transport=Transport()) as client:
            first = client.get(f"{task}/a", params={"q": "1 2"}, headers={"X-One": "two"})
            lines = [f"{first.status_code} {first.headers['content-type']} {len(first.content)}"]
            lines += asyncio.run(both(task), loop_factory=EventLoop)
            refused = client.get("http://localhost:1/")
            lines.append(f"{refused.status_code}")
        return "\n".join(lines)
