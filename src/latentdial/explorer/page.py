"""Content -> one HTML file that opens from disk, or the parts of one for the local server."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment

from latentdial import outputs
from latentdial.explorer.content import Content

BUILT = files("latentdial") / "explorer" / "built"
RUNTIME = "runtime"  # onnxruntime-web's wasm, gzipped
LARGE = 20_000_000  # bytes of a page, from which it is told what would make it smaller
GZIP_BELOW = 16_000_000  # bytes: gzip saves a tenth of a net, and unpacking a large one would delay the page

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<title>{{ title }} - latentdial</title>
<link rel="icon" href="data:,">
</head>
<body style="margin:0">
<div id="app"></div>
<noscript>This page runs the model in your browser: allow JavaScript for it.</noscript>
<script type="application/json" id="manifest">{{ manifest }}</script>
{% for name, text in parts.items() if name != "encoder" -%}
<script type="text/plain" id="{{ name }}">{{ text }}</script>
{% endfor -%}
<script>{{ script }}</script>
{% if "encoder" in parts -%}
<script type="text/plain" id="encoder">{{ parts.encoder }}</script>
{% endif -%}
</body>
</html>
"""


def built_file(name: str) -> bytes:
    """A file of the built front end, which the package ships."""
    return (BUILT / name).read_bytes()


def page(content: Content, inline: bool = True) -> str:
    """The page: with everything in it where `inline`, else fetching its parts and decodings from where it came from."""
    script = built_file("page.js").decode()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    small = [name for name, data in content.parts.items() if inline and len(data) < GZIP_BELOW]
    parts = {name: gzip.compress(data, mtime=0) if name in small else data for name, data in content.parts.items()}
    if content.nets is not None:
        parts[RUNTIME] = built_file("runtime.wasm.gz")
    manifest = content.manifest | {"inline": inline, "gzipped": [*small, RUNTIME]}
    return (
        Environment(autoescape=True)
        .from_string(TEMPLATE)
        .render(
            title=content.manifest["name"],
            policy=(
                f"default-src 'none'; script-src 'sha256-{digest}' 'wasm-unsafe-eval'; style-src 'unsafe-inline'; "
                f"img-src data: blob:; connect-src {chr(39)}{'none' if inline else 'self'}{chr(39)}; "
                "base-uri 'none'; form-action 'none'"
            ),
            manifest=_raw(json.dumps(manifest).replace("<", "\\u003c")),
            parts={name: base64.b64encode(data).decode() for name, data in parts.items()} if inline else {},
            script=_raw(script),
        )
    )


def write_page(content: Content, out: str | Path) -> None:
    """Write the page as one self-contained HTML file."""
    outputs.write(out, page(content))


def size_sentence(content: Content, size: int) -> str:
    """How large the page of so many bytes is, what takes the room, and what would make a large one smaller."""
    said = f"the page has {size / 1e6:.1f} MB"
    if content.nets is None:
        return said
    encoder, decoder = (len(net) / 1e6 for net in (content.nets.encoder, content.nets.decoder))
    most = "most of it" if 4 / 3 * (encoder + decoder) > size / 2e6 else "some of it"
    said += f", {most} the weights, kept as {content.nets.weights}: {encoder:.1f} MB to encode, "
    said += f"{decoder:.1f} to decode, a third more as text"
    if size < LARGE:
        return said
    finer = not content.nets.weights.startswith("int8")
    choice = "--weights int8 makes it smaller where pictures bear it; so does" if finer else "to make it smaller, train"
    return f"{said}; {choice} a net with fewer weights, such as conv-vae, or smaller --set widths or --size"


def _raw(text: str) -> str:
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - our own script, and JSON without any <
