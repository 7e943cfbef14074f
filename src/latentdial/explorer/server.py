"""The page on this machine's loopback address, for one user; it decodes for nets that have no ONNX form."""

from __future__ import annotations

import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from latentdial.explorer.content import Content
from latentdial.explorer.page import RUNTIME, built_file, page
from latentdial.latent.codec import Codec

HOST = "127.0.0.1"
MAX_BATCH = 256


def make_server(codec: Codec, content: Content, port: int = 0) -> ThreadingHTTPServer:
    """A server of the page on the loopback address, at a free port where `port` is 0; call serve_forever() on it."""
    parts = {f"/{name}": data for name, data in content.parts.items()} | {
        f"/{RUNTIME}": built_file("runtime.wasm.gz"),
        "/": page(content, inline=False).encode(),
    }
    handler = type("Handler", (_Handler,), {"codec": codec, "parts": parts, "lock": threading.Lock()})
    return ThreadingHTTPServer((HOST, port), handler)


def address(server: ThreadingHTTPServer) -> str:
    """Where a browser on this machine finds the page."""
    return f"http://{HOST}:{server.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    codec: Codec
    parts: dict[str, bytes]
    lock: threading.Lock

    def do_GET(self) -> None:
        data = self.parts.get(self.path) if self._from_here() else None
        if data is None:
            return self._answer(HTTPStatus.NOT_FOUND, b"")
        kind = "text/html; charset=utf-8" if self.path == "/" else "application/octet-stream"
        return self._answer(HTTPStatus.OK, data, kind)

    def do_POST(self) -> None:
        run = {"/decode": self._decode, "/encode": self._encode}.get(self.path) if self._from_here() else None
        if run is None:
            return self._answer(HTTPStatus.NOT_FOUND, b"")
        try:
            result = run(self.rfile.read(self._length()))
        except ValueError:
            return self._answer(HTTPStatus.BAD_REQUEST, b"")
        return self._answer(HTTPStatus.OK, np.ascontiguousarray(result, np.float32).tobytes())

    def _decode(self, body: bytes) -> np.ndarray:
        codes = np.frombuffer(body, "<f4").reshape(-1, self.codec.latent)
        if not np.isfinite(codes).all():
            raise ValueError("codes must be finite")
        with self.lock:
            return self.codec.levels(codes)

    def _encode(self, body: bytes) -> np.ndarray:
        size, channels = self.codec.geometry.size, self.codec.geometry.channels
        pixels = np.frombuffer(body, "<f4").reshape(-1, size, size, channels)
        with self.lock:
            return self.codec.encode(np.nan_to_num(pixels).clip(0, 255).round().astype(np.uint8))

    def _from_here(self) -> bool:
        """Refuse other sites that point a name of theirs at this address, or post to it."""
        own = f"{HOST}:{self.server.server_address[1]}"  # type: ignore[index]
        return self.headers.get("Host") == own and self.headers.get("Origin", f"http://{own}") == f"http://{own}"

    def _length(self) -> int:
        length = int(self.headers.get("Content-Length", -1))
        picture = 4 * self.codec.geometry.size**2 * self.codec.geometry.channels
        if not 0 < length <= MAX_BATCH * max(picture, 4 * self.codec.latent):
            raise ValueError("the body is empty or too large")
        return length

    def _answer(self, status: HTTPStatus, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: one line a picture would drown the address."""
