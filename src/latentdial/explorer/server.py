"""The page on this machine's loopback address, for one user; it decodes for nets that have no ONNX form.

One thread talks to all clients, so that slow ones cost next to nothing, and another runs the nets. Every request needs
the secret in the address, which other users of the machine and other sites do not know.
"""

from __future__ import annotations

import asyncio
import hmac
import http.client
import io
import secrets
import socket
import sys
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.message import Message
from http import HTTPStatus

import numpy as np

from latentdial.explorer.content import Content
from latentdial.explorer.page import RUNTIME, built_file, page
from latentdial.latent.codec import Codec
from latentdial.texts import printable

HOST = "127.0.0.1"
MAX_CODES, MAX_PICTURES = 16, 2  # of one request
MAX_HEAD = 16_384  # bytes of a request before its body
MAX_WAITING = 64  # clients that have not said yet what they want
HEAD_SECONDS, BODY_SECONDS, REPLY_SECONDS = 5.0, 20.0, 60.0
BLOCK = 262_144  # bytes of a reply that are handed over at once
HEADERS = {
    "Cache-Control": "no-store",
    "Connection": "close",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
HTML, BINARY = "text/html; charset=utf-8", "application/octet-stream"

Run = Callable[[bytes], np.ndarray]


class _Refused(Exception):
    """A request that gets a status and no answer."""

    def __init__(self, status: HTTPStatus = HTTPStatus.NOT_FOUND) -> None:
        self.status = status


class PageServer:
    """Serves one page until `shutdown`; what it may not answer is answered with 404, as what is not there."""

    def __init__(self, codec: Codec, content: Content, port: int = 0) -> None:
        self._codec = codec
        self._parts = content.parts | {RUNTIME: built_file("runtime.wasm.gz"), "": page(content, inline=False).encode()}
        picture = 4 * codec.geometry.size**2 * codec.geometry.channels
        self._runs: dict[str, tuple[Run, int]] = {
            "decode": (self._decode, MAX_CODES * 4 * codec.latent),
            "encode": (self._encode, MAX_PICTURES * picture),
        }
        self._secret = secrets.token_urlsafe(16)
        if not 0 <= port < 65536:
            raise OverflowError("a port is a number from 0 to 65535")
        self._socket = socket.create_server((HOST, port))
        self._nets = ThreadPoolExecutor(1)
        self._waiting: dict[StreamWriter, None] = {}  # the longest first
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: Callable[[], None] = lambda: None
        self._ended = threading.Event()

    @property
    def server_address(self) -> tuple[str, int]:
        """Host and port."""
        return self._socket.getsockname()

    @property
    def path(self) -> str:
        """The path of the page, which holds the secret."""
        return f"/{self._secret}/"

    def serve_forever(self) -> None:
        """Answer requests until `shutdown` is called or the process is interrupted."""
        with suppress(asyncio.CancelledError):
            asyncio.run(self._serve())

    def shutdown(self) -> None:
        """Make `serve_forever` return, and wait until it has."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop)
            self._ended.wait()

    def server_close(self) -> None:
        """Free the port."""
        self._socket.close()
        self._nets.shutdown(cancel_futures=True)

    def __enter__(self) -> PageServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.server_close()

    async def _serve(self) -> None:
        self._loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        self._stop = stopped.set
        try:
            async with await asyncio.start_server(self._client, sock=self._socket, limit=MAX_HEAD):
                await stopped.wait()
        finally:
            self._ended.set()

    async def _client(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Answer one request; a client that goes away, sends no request or is too slow is left."""
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                head = await self._head(reader, writer)
            try:
                status, kind, body = await self._answer(head, reader)
            except _Refused as refused:
                status, kind, body = refused.status, "text/plain", b""
            async with asyncio.timeout(REPLY_SECONDS):
                await _send(writer, status, kind, body)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.transport.abort()

    async def _head(self, reader: StreamReader, writer: StreamWriter) -> bytes:
        """A request up to its body; who has waited longest makes room for the next where too many wait."""
        if len(self._waiting) >= MAX_WAITING:
            longest = next(iter(self._waiting))
            del self._waiting[longest]
            longest.transport.abort()
        self._waiting[writer] = None
        try:
            return await reader.readuntil(b"\r\n\r\n")
        finally:
            self._waiting.pop(writer, None)

    async def _answer(self, head: bytes, reader: StreamReader) -> tuple[HTTPStatus, str, bytes]:
        first, _, lines = head.partition(b"\r\n")
        try:
            method, path, _version = first.split(b" ")
            headers = http.client.parse_headers(io.BytesIO(lines))
        except (ValueError, http.client.HTTPException):
            raise _Refused(HTTPStatus.BAD_REQUEST) from None
        secret, name = path[: len(self.path)], path[len(self.path) :].decode("latin-1")
        if not hmac.compare_digest(secret, self.path.encode()) or not self._from_here(headers):
            raise _Refused
        if method == b"GET" and name in self._parts:
            return HTTPStatus.OK, BINARY if name else HTML, self._parts[name]
        if method == b"POST" and name in self._runs:
            return HTTPStatus.OK, BINARY, await self._run(*self._runs[name], headers, reader)
        raise _Refused

    def _from_here(self, headers: Message) -> bool:
        """Refuse other sites that point a name of theirs at this address, link or post to it, or show it in a frame."""
        own = f"{HOST}:{self.server_address[1]}"
        return (
            headers.get_all("Host") == [own]
            and headers.get("Origin", f"http://{own}") == f"http://{own}"
            and headers.get("Sec-Fetch-Site", "none") in {"same-origin", "none"}
        )

    async def _run(self, run: Run, most: int, headers: Message, reader: StreamReader) -> bytes:
        """What a net makes of the body, which is bounded before it is read."""
        length = headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 12 and 0 < int(length) <= most):
            raise _Refused(HTTPStatus.BAD_REQUEST)
        async with asyncio.timeout(BODY_SECONDS):
            body = await reader.readexactly(int(length))
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._nets, run, body)
        except ValueError:
            raise _Refused(HTTPStatus.BAD_REQUEST) from None
        except Exception as error:  # whatever a net raises, such as too little memory
            print(printable(f"latentdial explore: {type(error).__name__}: {error}"), file=sys.stderr)
            raise _Refused(HTTPStatus.INTERNAL_SERVER_ERROR) from None
        return np.ascontiguousarray(result, np.float32).tobytes()

    def _decode(self, body: bytes) -> np.ndarray:
        codes = np.frombuffer(body, "<f4").reshape(-1, self._codec.latent)
        if not np.isfinite(codes).all():
            raise ValueError("codes must be finite")
        return self._codec.levels(codes)

    def _encode(self, body: bytes) -> np.ndarray:
        size, channels = self._codec.geometry.size, self._codec.geometry.channels
        pixels = np.frombuffer(body, "<f4").reshape(-1, size, size, channels)
        return self._codec.encode(np.nan_to_num(pixels).clip(0, 255).round().astype(np.uint8))


def make_server(codec: Codec, content: Content, port: int = 0) -> PageServer:
    """A server of the page on the loopback address, at a free port where `port` is 0; call serve_forever() on it."""
    return PageServer(codec, content, port)


def address(server: PageServer) -> str:
    """Where a browser on this machine finds the page; who has it can use the page."""
    return f"http://{HOST}:{server.server_address[1]}{server.path}"


async def _send(writer: StreamWriter, status: HTTPStatus, kind: str, body: bytes) -> None:
    lines = HEADERS | {"Content-Type": kind, "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    writer.write(f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n".encode())
    for start in range(0, len(body), BLOCK):
        writer.write(body[start : start + BLOCK])
        await writer.drain()
    writer.close()
    await writer.wait_closed()
