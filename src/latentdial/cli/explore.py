"""`latentdial explore`: turn the dimensions in a page: served here, or written as one file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace

from latentdial import outputs
from latentdial.cli.shared import (
    check_source,
    checked,
    given_option,
    json_option,
    load_run,
    number_option,
    out_option,
    print_json,
    run_argument,
    say,
)
from latentdial.errors import LatentdialError
from latentdial.outputs import PAGE


def add_options(parser: ArgumentParser) -> None:
    run_argument(parser)
    given_option(parser)
    out_option(parser, "write one HTML file in place of serving the page", PAGE)
    about = "pictures for the gallery; default: the run's own"
    checked(parser.add_argument("--data", type=str | None, default=None, help=about), check_source)
    parser.add_argument(
        "--weights",
        type=Literal["auto", "int8", "fp16", "float32"],
        default="auto",
        help="as stored in it; auto: int8 as far as that is at most 2 levels of 255 off, else fp16",
    )
    number_option(parser, "--port", 0, 0, 65_535, "port of the local page; 0 takes a free one")
    parser.add_argument("--open", type=bool, default=True, help="open a browser on the local page, where there is one")
    json_option(parser)


def run(options: Namespace) -> None:
    from latentdial.explorer import make_content, page
    from latentdial.explorer.page import size_sentence
    from latentdial.progress import show_progress

    with show_progress() as show:
        codec = load_run(options.run, options.given, show)
        content = make_content(
            codec, None, options.data, options.weights, need_nets=options.out is not None, progress=show.advance
        )
    if options.out is None:
        _serve(codec, content, options)
        return
    text = page(content)
    if not options.json:
        say(size_sentence(content, len(text)))
    outputs.write(options.out, text)
    if options.json:
        keys = ("weights", "error", "fingerprint")
        about = {key: content.manifest[key] for key in keys}
        print_json({"run": options.run, "out": options.out, "bytes": Path(options.out).stat().st_size, **about})
    else:
        say(f"wrote {options.out}; it opens in any browser, offline")


def _serve(codec: Any, content: Any, options: Namespace) -> None:
    import webbrowser

    from latentdial.explorer import address, make_server

    try:
        server = make_server(codec, content, options.port)
    except OSError as error:
        raise LatentdialError(f"cannot serve at port {options.port} ({error}): choose another --port") from None
    if options.json:
        print_json({"run": options.run, "address": address(server)})
    else:
        say(f"exploring {options.run} at {address(server)} - Ctrl-C ends it")
    sys.stdout.flush()
    if options.open and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform != "linux"):
        webbrowser.open(address(server))
    with server:
        server.serve_forever()
