"""A transport of `httpx` over `wasi:http`, because an agent has no sockets. Its world imports an interface of
`holdshort:agent` and `wasi:http/outgoing-handler@0.2.12`.

    client = httpx.Client(transport=Transport())
    client = httpx.AsyncClient(transport=AsyncTransport())

The host sends each request, and holds it if the operator says so; a refused request is a response with status 403.
"""

from collections.abc import Iterator

import httpx
from componentize_py_types import Err, Ok
from wit_world.imports import outgoing_handler
from wit_world.imports import wasi_http_types as types
from wit_world.imports.streams import InputStream, StreamError_Closed

METHODS: dict[str, types.Method] = {
    "GET": types.Method_Get(),
    "HEAD": types.Method_Head(),
    "POST": types.Method_Post(),
    "PUT": types.Method_Put(),
    "DELETE": types.Method_Delete(),
    "OPTIONS": types.Method_Options(),
    "PATCH": types.Method_Patch(),
}
# The host writes these headers itself.
OF_THE_HOST = {"connection", "content-length", "host", "transfer-encoding"}
# The maximum number of bytes of one call of a stream.
PIECE = 4096


def send(request: httpx.Request) -> httpx.Response:
    """Sends a request, whose body has been read, and waits for the whole response."""
    try:
        return sent(request)
    except Err as error:
        raise httpx.TransportError(f"{request.method} {request.url}: {error.value}") from None


def sent(request: httpx.Request) -> httpx.Response:
    headers = [(name.decode().lower(), value) for name, value in request.headers.raw]
    outgoing = types.OutgoingRequest(types.Fields.from_list([header for header in headers if header[0] not in OF_THE_HOST]))
    outgoing.set_method(METHODS.get(request.method) or types.Method_Other(request.method))
    outgoing.set_scheme(types.Scheme_Https() if request.url.scheme == "https" else types.Scheme_Http())
    outgoing.set_authority(request.url.netloc.decode())
    outgoing.set_path_with_query(request.url.raw_path.decode())
    body = outgoing.body()
    # Each resource is given back before the one that it comes from.
    with outgoing_handler.handle(outgoing, None) as future:
        with body.write() as stream:
            for start in range(0, len(request.content), PIECE):
                stream.blocking_write_and_flush(request.content[start : start + PIECE])
        types.OutgoingBody.finish(body, None)
        with future.subscribe() as ready:
            ready.block()
        outcome = future.get()
    # The future is ready, and nobody has taken its value before.
    assert isinstance(outcome, Ok)
    if isinstance(outcome.value, Err):
        raise outcome.value
    with outcome.value.value as response, response.headers() as fields, response.consume() as incoming:
        with incoming.stream() as received:
            content = b"".join(pieces(received))
        answered = [(name.encode(), value) for name, value in fields.entries()]
        return httpx.Response(response.status(), headers=answered, content=content)


def pieces(stream: InputStream) -> Iterator[bytes]:
    try:
        while True:
            yield stream.blocking_read(PIECE)
    except Err as error:
        if not isinstance(error.value, StreamError_Closed):
            raise


class Transport(httpx.BaseTransport):
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        return send(request)


class AsyncTransport(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return send(request)
