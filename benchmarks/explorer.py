"""The explorer in a browser: time to write the page, its size, time until ready, slider to pixels; beside it the same
slider in Gradio.

Command:  python benchmarks/explorer.py RUN [RUN ...] [--weights auto fp16]     (with Gradio: pip install gradio)
Time:     about 1 minute a run on 2 cores, after the page is written
Expected: at 64x64 a median slider-to-pixels of at most 10 ms for fcn-ae and 8 ms for conv; ready within 3 s (fcn-ae),
          1.5 s (conv); a page of at most 10 MB (conv); Gradio several times slower than the page

Slider-to-pixels is the time from a slider's input event until the new picture is on its canvas (in Gradio: until the
new <img> has loaded), in headless Chromium; moves of both take turns in rounds, and the table shows medians.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import latentdial
from latentdial.explorer import make_content, write_page

MOVES = 20
ROUNDS = 3
PORT = 17_860

MOVE = """(sds) => new Promise((done) => {
  const page = document.querySelector(".ld");
  const slider = document.querySelector(".dial input[type=range]");
  const drawn = new MutationObserver(() => {
    drawn.disconnect();
    done(performance.now() - began);
  });
  drawn.observe(page, { attributeFilter: ["data-frames"] });
  const began = performance.now();
  slider.value = sds;
  slider.dispatchEvent(new Event("input"));
})"""

GRADIO_MOVE = """(sds) => new Promise((done) => {
  const slider = document.querySelector("input[type=range]");
  const before = document.querySelector("img").src;
  const look = () => {
    const image = document.querySelector("img");
    if (!image || image.src === before || !image.complete) return;
    changed.disconnect();
    document.removeEventListener("load", look, true);
    done(performance.now() - began);
  };
  const changed = new MutationObserver(look);
  changed.observe(document.body, { subtree: true, childList: true, attributeFilter: ["src"] });
  document.addEventListener("load", look, true);
  const began = performance.now();
  slider.value = sds;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
})"""

GRADIO_APP = """
import sys
import gradio
import numpy as np
import latentdial
from latentdial.latent.naming import direction_of

codec = latentdial.load(sys.argv[1])
step = direction_of(codec, "c0").step
base = codec.codes[0]
show = lambda sds: codec.decode(base + float(sds) * step)[0]
with gradio.Blocks() as app:
    slider = gradio.Slider(-3, 3, value=0, step=0.01)
    picture = gradio.Image(show(0), format="png")
    slider.input(show, slider, picture, show_progress="hidden", trigger_mode="always_last")
app.launch(server_name="127.0.0.1", server_port=int(sys.argv[2]), quiet=True)
"""


def main(argv: list[str] | None = None) -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--weights", default=["auto"], nargs="+", choices=["auto", "int8", "fp16", "float32"])
    options = parser.parse_args(argv)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with sync_playwright() as engine, tempfile.TemporaryDirectory() as folder:
        browser = engine.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        print(f"Chromium {browser.version}")
        for run in options.runs:
            for weights in options.weights:
                measure(browser, run, Path(folder) / "explorer.html", weights)
        browser.close()


def measure(browser, run: str, out: Path, weights: str) -> None:
    began = time.perf_counter()
    content = make_content(latentdial.load(run), weights=weights)
    write_page(content, out)
    wrote = time.perf_counter() - began
    ready = statistics.median(time_until_ready(browser, out) for _ in range(ROUNDS))
    page = open_page(browser, out)
    page.wait_for_selector(".ld[data-thumbnails]")
    server = start_gradio(run)
    other = None if server is None else open_gradio(browser)
    ours, theirs = [], []
    for turn in range(ROUNDS):
        ours += moves(page, MOVE, turn)
        if other is not None:
            theirs += moves(other, GRADIO_MOVE, turn)
    page.close()
    if server is not None:
        server.terminate()
        server.wait(20)
    size = out.stat().st_size / 1e6
    gradio = f"Gradio {statistics.median(theirs):.0f} ms" if theirs else "Gradio not installed"
    spread = statistics.quantiles(ours, n=20)
    assert content.nets is not None
    print(
        f"{Path(run).name}, {content.nets.weights}: page {size:.1f} MB in {wrote:.0f} s, ready {ready:.0f} ms, "
        f"slider to pixels {statistics.median(ours):.1f} ms (5% {spread[0]:.1f}, 95% {spread[-1]:.1f}), {gradio}, "
        f"at most {content.nets.error:.2f} levels from torch",
        flush=True,
    )


def time_until_ready(browser, out: Path) -> float:
    page = open_page(browser, out)
    ready = float(page.get_attribute(".ld", "data-ready"))
    page.close()
    return ready


def open_page(browser, out: Path):
    page = browser.new_page()
    page.goto(out.as_uri())
    page.wait_for_selector(".ld[data-ready]", timeout=120_000)
    return page


def moves(page, script: str, turn: int) -> list[float]:
    values = [(-1) ** i * (0.5 + 2 * i / MOVES) + 0.01 * turn for i in range(MOVES)]
    return [page.evaluate(script, value) for value in values]


def start_gradio(run: str) -> subprocess.Popen | None:
    if importlib.util.find_spec("gradio") is None:
        return None
    environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False", "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen([sys.executable, "-c", GRADIO_APP, run, str(PORT)], env=environment)
    for _ in range(300):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=5).close()
            return server
        except OSError:
            time.sleep(0.2)
    server.terminate()
    raise TimeoutError("Gradio did not start in 60 s")


def open_gradio(browser):
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{PORT}/")
    page.wait_for_selector("img")
    page.wait_for_selector("input[type=range]")
    page.wait_for_timeout(1500)
    return page


if __name__ == "__main__":
    main()
