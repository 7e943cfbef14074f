"""The explorer without a browser: nets, dials, content, page, server, command line, widget."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import socket
import struct
import sys
import threading
import time
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import latentdial
from latentdial.cli import main
from latentdial.discovery.measuring import measure
from latentdial.errors import LatentdialError
from latentdial.explorer import (
    NotExportable,
    address,
    export_nets,
    find_dials,
    gather,
    make_content,
    make_server,
    nets,
    page,
)
from latentdial.explorer import content as content_room
from latentdial.explorer import dials as dials_room
from latentdial.explorer import server as server_module
from latentdial.explorer.notebook import answer, make_widget
from latentdial.explorer.page import built_file
from latentdial.explorer.rounding import large_weights, round_weights
from latentdial.explorer.sources import gallery_of
from latentdial.exporting.graphs import largest_difference, run_net, trace
from latentdial.images import open_parts
from latentdial.latent import effect as effect_room
from latentdial.latent.effect import real_codes
from latentdial.latent.naming import axis_directions, canonical_directions, make_direction
from latentdial.latent.safe_range import safe_ranges

pytest.importorskip("onnxruntime", reason="needs the extra: pip install 'latentdial[explorer]'")


@pytest.fixture(scope="module")
def traced(codec):
    return trace(codec)


@pytest.mark.parametrize(("weights", "most"), [("float32", 1e-3), ("fp16", 0.5), ("int8", 10)])
def test_nets_match_torch_in_any_batch(codec, traced, discs, weights, most):
    encoder, decoder = (round_weights(net, weights).SerializeToString() for net in traced)
    error = largest_difference(codec, encoder, decoder, codec.codes, discs)
    decoded = run_net(decoder, codec.codes[:7])
    assert decoded.shape == (7, 16, 16, 3)
    reconstructed = run_net(decoder, run_net(encoder, discs[:5]))
    assert np.abs(decoded - codec.levels(codec.codes[:7])).max() <= error + 1e-4 <= most + 1e-4
    assert np.abs(reconstructed - codec.levels(codec.encode(discs[:5]))).max() <= error + 1e-4


def test_linear_layers_are_stored_as_the_browser_reads_them(traced):
    for net in traced:
        gemms = [node for node in net.graph.node if node.op_type == "Gemm"]
        assert gemms
        assert not any(a.i for node in gemms for a in node.attribute if a.name == "transB")


def test_rounded_weights_make_smaller_files(traced):
    sizes = [round_weights(traced[1], weights).ByteSize() for weights in ("float32", "fp16", "int8")]
    assert sizes[0] > 1.5 * sizes[1] > 1.5 * sizes[2]


def test_weights_are_int8_but_for_the_smallest_as_far_as_needed(codec, traced, discs, monkeypatch):
    monkeypatch.setattr(nets, "trace", lambda _: traced)
    monkeypatch.setattr(nets, "MAX_INT8_ERROR", 255)
    int8 = export_nets(codec, codec.codes, discs, "auto")
    assert int8.weights == export_nets(codec, codec.codes, discs, "int8").weights == "int8"
    monkeypatch.setattr(nets, "MAX_INT8_ERROR", 1e-3)
    assert export_nets(codec, codec.codes, discs, "auto").weights == "fp16"
    with pytest.raises(LatentdialError, match=r"levels off, over 0\.001: use auto or fp16"):
        export_nets(codec, codec.codes, discs, "int8")
    sizes = large_weights(traced[1]) | large_weights(traced[0])
    smallest = min(sizes, key=lambda name: sizes[name])
    pair = [round_weights(net, "int8", [smallest]).SerializeToString() for net in traced]
    monkeypatch.setattr(nets, "MAX_INT8_ERROR", largest_difference(codec, *pair, codec.codes, discs))
    mixed = export_nets(codec, codec.codes, discs, "auto")
    assert mixed.weights == f"int8 (the smallest 1 of {len(sizes)} fp16)"
    assert mixed.error < int8.error
    assert (mixed.encoder, mixed.decoder) == tuple(pair)


def test_nets_hold_no_paths_and_no_outputs_that_nobody_reads(codec, traced):
    for net in traced:
        assert b".py" not in net.SerializeToString()
        assert "Split" not in {node.op_type for node in net.graph.node}
    (last,) = (t for t in traced[0].graph.initializer if list(t.dims)[1:] == [codec.latent])
    assert last.dims[0] > codec.latent


@pytest.mark.parametrize(
    ("recipe", "size", "colour"),
    [
        ("fcn-ae", 20, "rgb"),
        ("fcn-vae", 16, "grey"),
        ("conv-ae", 32, "rgb"),
        ("conv-vae", 16, "grey"),
        ("binary-vae", 28, "grey"),
    ],
)
def test_every_recipe_and_grey_pictures_can_be_explored(recipe, size, colour):
    from latentdial.config import Geometry, ModelSettings, RunConfig
    from latentdial.recipes import build
    from latentdial.runs.loading import codec_of

    torch.manual_seed(0)
    config = RunConfig(ModelSettings(recipe, {"latent": 4}), Geometry(size=size, colour=colour))
    model = build(config.model, config.geometry.shape).model.eval().requires_grad_(False)
    shape = (12, size, size, config.geometry.channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    made = codec_of(model, config, recipe).fit(pixels)
    exported = export_nets(made, made.codes, pixels, "fp16")
    assert exported.error < 0.5
    assert np.abs(run_net(exported.decoder, made.codes) - made.levels(made.codes)).max() < 0.5


@pytest.mark.parametrize(
    ("recipe", "options"), [("rvq-vae", {"latent": 4, "words": 256, "depth": 3}), ("fsq-ae", {"levels": [8, 8, 8]})]
)
def test_rounded_weights_say_the_same_words(recipe, options):
    """What a choice of words depends on is not rounded, all else is."""
    from latentdial.config import Geometry, ModelSettings, RunConfig
    from latentdial.recipes import build
    from latentdial.runs.loading import codec_of

    torch.manual_seed(0)
    config = RunConfig(ModelSettings(recipe, {"width": 16, "blocks": [1, 1], **options}), Geometry(size=16))
    model = build(config.model, config.geometry.shape).model.eval().requires_grad_(False)
    for book in getattr(model.bottleneck, "books", []):
        book.words.mul_(0.1)  # as near to each other as what they are to say
    pixels = np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3), np.uint8)
    made = codec_of(model, config, recipe).fit(pixels)
    exact, rounded = trace(made)[0], export_nets(made, made.codes, pixels, "int8")
    said = torch.from_numpy(run_net(rounded.encoder, pixels))
    assert torch.equal(model.bottleneck.rows(said), model.bottleneck.rows(torch.from_numpy(made.encode(pixels))))
    assert rounded.error < 1
    assert len(rounded.decoder) < 0.5 * trace(made)[1].ByteSize()
    conv = sum(t.name in large_weights(exact) and len(t.dims) == 4 for t in exact.graph.initializer)
    assert conv == 0


def wrapped(decoder: nn.Module):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), np.uint8)
    torch.manual_seed(0)
    return latentdial.wrap(nn.Linear(48, 2), decoder, size=4, images=pixels)


def test_wrapped_nets_can_be_explored():
    pair = wrapped(nn.Linear(2, 48))
    assert export_nets(pair, pair.codes, pair.decode(pair.codes), "fp16").error < 0.5


class Branching(nn.Module):
    """A net that Python steers by its values has no ONNX form."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 48)

    def forward(self, z):
        return self.layer(z) if float(z.sum()) > 0 else -self.layer(z)


def test_a_net_without_onnx_form_is_served_and_not_written(tmp_path):
    odd = wrapped(Branching())
    with pytest.raises(NotExportable, match="explore it on the local server"):
        latentdial.explore(odd, out=tmp_path / "odd.html")
    assert not (tmp_path / "odd.html").exists()
    served = make_content(odd, need_nets=False)
    assert served.nets is None
    assert served.manifest["weights"] is None


def test_directions_that_a_run_keeps_become_dials(codec):
    smile = make_direction(codec, "smile", "examples", np.ones(codec.latent))
    dial = find_dials(replace(codec, directions=(smile,)))[-1]
    assert (dial.name, dial.kind) == ("smile", "attribute")
    assert np.allclose(dial.vector, codec.latent**-0.5)
    assert dial.effect > 0


def test_a_linear_decoder_has_known_effects():
    pair = wrapped(nn.Linear(2, 48))
    weight = pair.model[1].weight.detach().numpy()
    small = pair.fit(
        np.full((20, 4, 4, 3), 128, np.uint8) + np.random.default_rng(1).integers(0, 9, (20, 4, 4, 3), np.uint8)
    )
    for dial in find_dials(small):
        expected = np.abs(weight @ dial.vector).mean() * dial.sd * 127.5
        assert dial.effect == pytest.approx(expected, rel=1e-3)
        assert dial.vector @ dial.reader == pytest.approx(1, abs=1e-5)


def test_dials_are_ranked_and_their_ranges_are_the_safe_ones(codec):
    dials = find_dials(codec)
    effects = [dial.effect for dial in dials if dial.kind == "axis"]
    assert effects == sorted(effects, reverse=True)
    count = codec.canonical.telling
    assert [dial.name for dial in dials[:count]] == [f"c{i}" for i in range(count)]
    assert {dial.name for dial in dials if dial.kind == "axis"} == {str(i) for i in range(codec.latent)}
    few = real_codes(codec, 3).astype(np.float64)
    turned = {one.name: [one] for one in [*axis_directions(codec), *canonical_directions(codec)]}
    for dial in dials:
        (expected,) = np.median(safe_ranges(codec, few, turned[dial.name]), axis=1)
        assert (dial.low, dial.high) == pytest.approx(expected)


def test_what_the_run_has_measured_is_not_measured_again(codec, monkeypatch):
    told = canonical_directions(codec)[: codec.canonical.telling]
    directions = measure(codec, [*axis_directions(codec), *told])
    monkeypatch.setattr(dials_room, "_ranges", None)
    monkeypatch.setattr(effect_room, "effect_of", None)
    dials = find_dials(replace(codec, directions=tuple(directions)))
    by_name = {direction.name: direction for direction in directions}
    assert len(dials) == len(directions)
    for dial in dials:
        assert (dial.low, dial.high) == by_name[dial.name].safe
        assert dial.effect == by_name[dial.name].effect.levels


def test_the_gallery_holds_held_out_pictures_with_their_names(codec):
    pictures, labels, title = gallery_of(codec, None, lambda *_: None)
    parts = open_parts(codec.config)
    assert np.array_equal(pictures, parts.held_out.pixels[:])
    assert not set(labels) & set(parts.training.names)
    assert labels == parts.held_out.names
    assert "held out" in title


def test_arrays_of_the_content_are_where_the_manifest_says(codec, content, discs):
    table = content.manifest["arrays"]
    entry = table["codes"]
    count = int(np.prod(entry["shape"]))
    codes = np.frombuffer(content.blob, entry["dtype"], count, entry["offset"]).reshape(entry["shape"])
    assert np.array_equal(codes, codec.encode(discs))
    assert all(one["offset"] % 8 == 0 for one in table.values())


def without_nets(monkeypatch, codec, labels=None):
    def refuse(*_):
        raise NotExportable("not here")

    monkeypatch.setattr(content_room, "export_nets", refuse)
    return gather(codec, labels=labels, need_nets=False)


def test_a_gallery_without_pictures_shows_decoded_codes(codec, monkeypatch):
    made = without_nets(monkeypatch, replace(codec, config=None))
    assert "decoded" in made.manifest["gallery"]
    assert made.manifest["arrays"]["pictures"]["shape"][1:] == [16, 16, 3]


def test_the_file_is_one_page_that_may_not_connect(content):
    text = page(content)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert "connect-src &#39;none&#39;" in policy[1]
    assert "unsafe-inline" not in policy[1].split("style-src")[0]
    assert not re.search(r'<(?:script|img|link)[^>]*(?:src|href)="(?!data:)', text)


def test_names_of_pictures_and_runs_cannot_break_out_of_the_page(codec, monkeypatch):
    evil = "</script><script>alert(1)</script>"
    made = without_nets(monkeypatch, replace(codec, name=evil), labels=[evil])
    assert "<script>alert(1)" not in page(made)


@pytest.fixture(scope="module")
def server(codec, content):
    one = make_server(codec, content)
    thread = threading.Thread(target=one.serve_forever, daemon=True)
    thread.start()
    yield one
    one.shutdown()
    one.server_close()


def ask(server, method, name, body=None, **headers):
    """A request below the address; one that begins with / is below the root."""
    connection = http.client.HTTPConnection(*server.server_address, timeout=10)
    connection.request(method, name if name.startswith("/") else server.path + name, body, headers)
    reply = connection.getresponse()
    return reply.status, reply.read()


def test_the_server_gives_the_page_and_decodes(server, codec, discs):
    assert server.server_address[0] == "127.0.0.1"
    assert address(server).startswith("http://127.0.0.1:")
    status, body = ask(server, "GET", "")
    assert status == 200
    assert b"<!doctype html>" in body[:20]
    status, body = ask(server, "POST", "decode", codec.codes[:3].tobytes())
    assert np.array_equal(np.frombuffer(body, np.float32), codec.levels(codec.codes[:3]).ravel())
    status, body = ask(server, "POST", "encode", discs[:2].astype(np.float32).tobytes())
    assert np.array_equal(np.frombuffer(body, np.float32), codec.encode(discs[:2]).ravel())


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/", None, {}, 404),
        ("GET", "/arrays", None, {}, 404),
        ("POST", "/decode", b"\0" * 24, {}, 404),
        ("GET", "/wrong/", None, {}, 404),
        ("GET", "../../etc/passwd", None, {}, 404),
        ("GET", "", None, {"Host": "evil.example"}, 404),
        ("GET", "", None, {"Sec-Fetch-Site": "cross-site"}, 404),
        ("GET", "arrays", None, {"Sec-Fetch-Site": "same-site"}, 404),
        ("GET", "", None, {"Origin": "null"}, 404),
        ("DELETE", "", None, {}, 404),
        ("POST", "decode", b"abc", {}, 400),
        ("POST", "decode", b"", {}, 400),
        ("POST", "decode", np.full(6, np.nan, np.float32).tobytes(), {}, 400),
        ("POST", "decode", b"\0" * 24, {"Origin": "http://evil.example"}, 404),
        ("POST", "decode", b"\0" * 24, {"Sec-Fetch-Site": "cross-site"}, 404),
        ("POST", "decode", None, {"Content-Length": "99999999999"}, 400),
        ("POST", "decode", None, {"Content-Length": "9" * 400}, 400),
        ("POST", "decode", None, {"Content-Length": "-1"}, 400),
        ("POST", "decode", b"\0" * 24 * 17, {}, 400),
        ("POST", "encode", None, {"Content-Length": str(3 * 16 * 16 * 3 * 4)}, 400),
        ("POST", "train", b"\0" * 24, {}, 404),
        ("GET", "", None, {"Host": "localhost"}, 404),
        ("GET", "%2e%2e/", None, {}, 404),
        ("GET", "?theme=dark", None, {}, 404),
        ("HEAD", "", None, {}, 404),
        ("OPTIONS", "decode", None, {"Origin": "http://evil.example"}, 404),
        ("POST", "decode", b"\0" * 24, {"Origin": "https://127.0.0.1"}, 404),
        ("POST", "decode", None, {"Transfer-Encoding": "chunked"}, 400),
        ("POST", "decode", None, {"Content-Length": "\u00b2"}, 400),
    ],
)
def test_the_server_refuses_what_is_not_its_own_page(server, method, path, body, headers, status):
    assert ask(server, method, path, body, **headers)[0] == status


def test_no_site_may_frame_the_page_and_every_start_has_an_address_of_its_own(server, codec, content):
    connection = http.client.HTTPConnection(*server.server_address, timeout=10)
    connection.request("GET", server.path)
    reply = connection.getresponse()
    assert reply.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert reply.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    with make_server(codec, content) as other:
        assert len(other.path) > 20
        assert other.path != server.path


def opened_socket(server, data: bytes) -> socket.socket:
    client = socket.create_connection(server.server_address, timeout=10)
    client.sendall(data)
    return client


def is_left(client: socket.socket) -> bool:
    """Whether the server ends the connection without a reply."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def is_there(server) -> None:
    """The page is there before a question gives up waiting."""
    assert ask(server, "GET", "")[0] == 200


@pytest.mark.parametrize("half", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_slow_clients_cost_no_threads_and_stop_nobody(server, monkeypatch, half):
    monkeypatch.setattr(
        server_module, "HEAD_SECONDS", 600.0
    )  # nobody leaves by himself: who waited for one would give up
    is_there(server)
    before = threading.active_count()
    clients = [opened_socket(server, half) for _ in range(100)]
    is_there(server)
    assert threading.active_count() == before
    assert len(server._waiting) <= server_module.MAX_WAITING
    assert is_left(clients[0])  # who waited longest has made room
    for client in clients:
        client.close()
    is_there(server)


@pytest.mark.parametrize("name", ["", "decode"])
def test_who_is_too_slow_is_left(server, monkeypatch, name):
    monkeypatch.setattr(server_module, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(server_module, "BODY_SECONDS", 0.2)
    head = f"POST {server.path}{name} HTTP/1.1\r\nHost: 127.0.0.1:{server.server_address[1]}\r\nContent-Length: 24\r\n"
    client = opened_socket(server, (head + ("\r\nabc" if name else "")).encode())
    start = time.monotonic()
    assert is_left(client)
    assert time.monotonic() - start > 0.1
    client.close()


def test_who_does_not_read_is_left(server, monkeypatch):
    monkeypatch.setattr(server_module, "REPLY_SECONDS", 0.2)
    monkeypatch.setitem(server._parts, "large", bytes(64_000_000))  # more than the system's buffers hold
    host = f"Host: 127.0.0.1:{server.server_address[1]}"
    client = opened_socket(server, f"GET {server.path}large HTTP/1.1\r\n{host}\r\n\r\n".encode())
    time.sleep(0.6)
    is_there(server)
    read = 0
    with suppress(ConnectionResetError):
        while data := client.recv(1_000_000):
            read += len(data)
    assert 0 < read < 64_000_000
    client.close()


@pytest.mark.parametrize(
    ("head", "reply"),
    [
        ("GET http://127.0.0.1:{port}{path} HTTP/1.1\r\n{host}", b" 404 "),
        ("GET {path} HTTP/1.1\r\n{host}\r\nHost: evil.example", b" 404 "),
        ("GET {path} HTTP/1.1", b" 404 "),
        ("GET {path}", b" 400 "),
        ("\xff\x00\xfe", b" 400 "),
        ("GET {path} HTTP/1.1\r\n{host}\r\n" + "a: b\r\n" * 200 + "c: d", b" 400 "),
        ("GET {path} HTTP/1.1\r\n{host}\r\na: " + "b" * 20_000, b""),
        ("GET {path} HTTP/1.1\r\n{host}\r\nno header", b" 200 "),
    ],
)
def test_odd_requests_are_answered_or_left_without_a_word(server, capfd, head, reply):
    port = server.server_address[1]
    text = head.format(path=server.path, port=port, host=f"Host: 127.0.0.1:{port}")
    client = opened_socket(server, f"{text}\r\n\r\n".encode("latin-1"))
    with suppress(ConnectionResetError):
        assert reply in client.recv(1000)
    client.close()
    is_there(server)
    assert capfd.readouterr() == ("", "")


def test_who_goes_away_is_not_worth_a_word(server, capfd):
    host = f"Host: 127.0.0.1:{server.server_address[1]}"
    requests = [f"GET {server.path}runtime HTTP/1.1\r\n{host}\r\n\r\n", "GET /", ""]
    requests += [f"POST {server.path}decode HTTP/1.1\r\n{host}\r\nContent-Length: 24\r\n\r\nabc", "x" * 40_000]
    for request in requests:
        client = opened_socket(server, b"")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
        client.sendall(request.encode())
        client.close()
    is_there(server)
    time.sleep(0.2)
    assert capfd.readouterr() == ("", "")


def test_explore_writes_a_file_from_the_command_line(tiny_runs, tmp_path, capsys):
    out = tmp_path / "deep" / "explorer.html"
    assert main(["explore", str(tiny_runs["fcn-ae"]), "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["bytes"] == out.stat().st_size < 10e6
    assert 0 <= told["error"] <= 2


@pytest.mark.parametrize("extra", [["--out", "/proc/none/x.html"], ["--data", "nowhere"], ["--port", "70000"]])
def test_explore_says_what_is_wrong_in_one_line(tiny_runs, extra, capsys):
    assert main(["explore", str(tiny_runs["fcn-ae"]), *extra]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()[-1]) < 400


def test_the_map_has_umap_where_it_is_installed(codec, monkeypatch):
    class Umap:
        def __init__(self, **_):
            pass

        def fit_transform(self, codes):
            return codes[:, :2] * 2

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Umap))
    made = without_nets(monkeypatch, codec)
    entry = made.manifest["arrays"]["map_umap"]
    found = np.frombuffer(made.blob, np.float32, 2 * entry["shape"][0], entry["offset"]).reshape(-1, 2)
    assert np.allclose(found, 2 * real_codes(codec, 60)[:, :2])


def test_the_built_front_end_is_of_these_sources():
    """`make web-check` rebuilds and compares all; this needs no Node and notices a forgotten rebuild."""
    web = Path(__file__).parents[2] / "web"
    names = ["build.mjs", "package-lock.json", *sorted(f"src/{path.name}" for path in (web / "src").iterdir())]
    digest = hashlib.sha256(b"".join(name.encode() + (web / name).read_bytes() for name in names)).hexdigest()
    assert built_file("sources.sha256").decode().strip() == digest, "run make web and commit what it builds"


def test_the_lock_file_holds_hashes_and_no_addresses():
    packages = json.loads((Path(__file__).parents[2] / "web" / "package-lock.json").read_text())["packages"]
    assert all("resolved" not in entry for entry in packages.values())
    assert all(entry["integrity"].startswith("sha512-") for name, entry in packages.items() if name)


def test_the_widget_holds_the_page_and_its_kernel_decodes(codec, content):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        widget = make_widget(codec, content)
    assert widget.decoder == content.nets.decoder
    assert json.loads(widget.manifest)["latent"] == codec.latent
    levels = answer(codec, {"kind": "decode", "id": 1}, codec.codes[:2].tobytes())
    assert np.array_equal(np.frombuffer(levels, np.float32), codec.levels(codec.codes[:2]).ravel())


def test_the_page_says_where_all_pictures_are_alike(codec):
    from latentdial.config import ModelSettings
    from latentdial.recipes import build

    silent = replace(codec, stored_canonical=replace(codec.canonical, levels=0 * codec.canonical.levels))
    assert content_room._about(codec, None)["code"] == "6 dimensions"
    assert content_room._about(silent, None)["code"] == "6 dimensions, all pictures alike"
    made = build(ModelSettings("rvq-vae", {"latent": 2, "words": 4, "width": 8, "depth": 2}), (3, 16, 16)).model
    words = replace(codec, model=made)
    assert content_room._said(words).startswith("4 channels over 8 x 8 places, words: small steps do nothing")
