"""The explorer in a notebook cell, through anywidget."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from latentdial.errors import needs
from latentdial.explorer.content import Content
from latentdial.explorer.page import built_file
from latentdial.latent.codec import Codec


def make_widget(codec: Codec, content: Content) -> Any:
    """An anywidget of the page; nets that have no ONNX form are run by this kernel."""
    with needs("explorer", "a notebook"):
        import anywidget
        import traitlets

    class Explorer(anywidget.AnyWidget):
        _esm = built_file("widget.js").decode()
        manifest = traitlets.Unicode("").tag(sync=True)
        arrays = traitlets.Bytes(b"").tag(sync=True)
        encoder = traitlets.Bytes(b"").tag(sync=True)
        decoder = traitlets.Bytes(b"").tag(sync=True)
        runtime = traitlets.Bytes(b"").tag(sync=True)

    runtime = b"" if content.nets is None else built_file("runtime.wasm.gz")
    widget = Explorer(manifest=json.dumps(content.manifest), runtime=runtime, **content.parts)
    widget.on_msg(lambda one, message, buffers: one.send({"id": message["id"]}, [answer(codec, message, buffers[0])]))
    return widget


def answer(codec: Codec, message: dict[str, Any], buffer: bytes | memoryview) -> bytes:
    """Decode codes or encode pictures that the page sent, float32 both ways."""
    values = np.frombuffer(buffer, "<f4")
    if message["kind"] == "decode":
        return codec.levels(values.reshape(-1, codec.latent)).astype(np.float32).tobytes()
    size, channels = codec.geometry.size, codec.geometry.channels
    return codec.encode(values.reshape(-1, size, size, channels).round().astype(np.uint8)).tobytes()
