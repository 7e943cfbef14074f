"""A run goes to a hub and comes back; the hub is a stand-in on loopback, and the client's own offline mode."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

from latentdial.config import DataSettings, ModelSettings, RunConfig
from latentdial.errors import LatentdialError
from latentdial.runs.card import card, named
from latentdial.runs.hub import parse_address, travelling
from latentdial.runs.loading import load
from latentdial.runs.records import read_config
from latentdial.sharing.staging import stage
from processes import start
from sharing_stand_in import TOKEN, serve

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytest.importorskip("huggingface_hub", reason="needs the extra: pip install 'latentdial[hub]'")

THERE_AND_BACK = """
import json, sys
import numpy as np
import latentdial
from latentdial.errors import LatentdialError

run, discs = sys.argv[1], np.load(sys.argv[2])
first = latentdial.push(run, "hub:anna/discs", license="apache-2.0")
second = latentdial.push(run, "hub:anna/discs@v2", public=True)
own, there = latentdial.load(run), latentdial.load("hub:anna/discs")
np.testing.assert_array_equal(own.encode(discs), there.encode(discs))
np.testing.assert_array_equal(own.decode(own.codes), there.decode(there.codes))
assert there.config.data.source == "discs.npy", there.config.data.source
pinned = latentdial.load(str(first.address))
np.testing.assert_array_equal(own.encode(discs), pinned.encode(discs))
for odd, said in {"hub:anna/none": "cannot fetch hub:anna/none", "hub:discs": "no address of a hub"}.items():
    try:
        latentdial.load(odd)
    except LatentdialError as error:
        assert said in str(error) and "\\n" not in str(error), error
    else:
        raise AssertionError(odd)
print(json.dumps({"first": str(first.address), "url": first.url, "second": str(second.address)}))
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = serve()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def environment(hub, tmp_path_factory) -> dict[str, str]:
    """What the client reads when it is imported: where the hub is, who asks, and where it keeps files."""
    home = tmp_path_factory.mktemp("home")
    ours = {"HF_ENDPOINT": hub, "HF_HOME": str(home), "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "*"}
    return {**os.environ, **ours, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "LATENTDIAL_CACHE": str(home / "latentdial")}


def test_a_run_goes_to_a_hub_and_comes_back_also_offline(tiny_runs, discs_file, hub, environment):
    run = tiny_runs["fcn-vae"]
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    argv = [sys.executable, "-c", THERE_AND_BACK, run, discs_file]
    done = subprocess.run(argv, env=environment | paths, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert re.fullmatch(r"hub:anna/discs@[0-9a-f]{40}", told["first"])
    assert told["url"] == f"{hub}/anna/discs"

    kept = Path(environment["LATENTDIAL_CACHE"]) / "hub" / "anna--discs" / told["first"].split("@")[1]
    assert not any(path.is_symlink() for path in kept.iterdir()), "storage reads no links"
    assert {path.name for path in kept.iterdir()} == {path.name for path in travelling(run)}
    with urlopen(f"{hub}/anna/discs/resolve/main/README.md") as answer:
        text = answer.read().decode()
    assert text.startswith("---\nlibrary_name: latentdial\n")
    assert "license: apache-2.0" in text
    assert "latentdial edit hub:anna/discs picture.jpg" in text
    assert str(run.parent) not in text
    for picture in re.findall(r"\]\((\w+\.png)\)", text):
        with urlopen(f"{hub}/anna/discs/resolve/main/{picture}") as answer:
            assert answer.read(8) == b"\x89PNG\r\n\x1a\n"
    with urlopen(f"{hub}/seen") as answer:
        assert json.loads(answer.read())["private"] == [False]  # as the last push said

    argv = ["dimensions", "hub:anna/discs", "--json"]
    offline = start(*argv, **environment | {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"})
    refused = start(*argv, **environment | {"HF_HUB_OFFLINE": "1", "HF_HOME": environment["HF_HOME"] + "/none"})
    said, error = offline.communicate()
    assert offline.returncode == 0, error
    assert json.loads(said)["codes"] > 0
    _, error = refused.communicate()
    assert refused.returncode == 1
    assert len(error.strip().splitlines()) == 1
    assert "cannot fetch hub:anna/discs" in error


@pytest.fixture(scope="module")
def space(tiny_runs, hub, environment) -> str:
    """The address of a Space that holds the explorer of a run."""
    pytest.importorskip("onnxruntime", reason="needs the extra: pip install 'latentdial[explorer]'")
    pushed = start("push", tiny_runs["fcn-ae"], "hub:anna/turned", "--space", "--json", **environment)
    said, error = pushed.communicate()
    assert pushed.returncode == 0, error[-3000:]
    return json.loads(said)["space"]


def test_a_space_holds_the_explorer_and_none_of_the_pictures(hub, space):
    assert space == f"{hub}/spaces/anna/turned"
    with urlopen(f"{hub}/api/spaces/anna/turned") as answer:
        held = {one["rfilename"] for one in json.loads(answer.read())["siblings"]}
    assert held == {"README.md", "index.html"}


CANVAS = "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_slider_of_a_space_turns_the_picture_in_a_browser(hub, space):
    """As a hub shows it: from its host, in a frame of another page."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'latentdial[dev]'")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page, asked, errors = browser.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        shown = f"{hub}/static/anna/turned/"
        page.set_content(f'<iframe src="{shown}" width="1200" height="800" sandbox="allow-scripts allow-same-origin">')
        frame = page.frame_locator("iframe")
        frame.locator(".ld[data-ready]").wait_for()
        slider, picture = (frame.locator(css).first for css in (".dial input[type=range]", ".big canvas"))
        before = np.array(picture.evaluate(CANVAS))
        for key in ("PageUp", "PageUp", "PageUp"):
            slider.press(key)
        page.wait_for_timeout(200)
        turned = np.array(picture.evaluate(CANVAS))
        browser.close()
    assert before.std() > 1
    assert np.abs(turned - before).max() > 10
    assert errors == []
    assert all(url.startswith((shown, "data:", "blob:")) for url in asked), asked


def test_without_a_token_one_line_says_so(tiny_runs, environment):
    refused = start("push", tiny_runs["fcn-ae"], "hub:anna/discs", **environment | {"HF_TOKEN": ""})
    _, error = refused.communicate()
    assert refused.returncode == 1
    assert len(error.strip().splitlines()) == 1
    assert "hf auth login" in error


@pytest.mark.parametrize("odd", ["hub:", "hub:a", "hub:a/b/c", "hub:a/b@", "hub:../b c", "hub:a/b@x y"])
def test_what_is_no_address_is_refused(odd):
    with pytest.raises(LatentdialError, match="no address of a hub"):
        parse_address(odd)


def test_only_data_travels(tmp_path):
    for name in ("model.safetensors", "config.json", "trackers.json", "x.pt", "x.pkl", "code.py", "README.md"):
        (tmp_path / name).write_text("")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "a.json").write_text("")
    assert [path.name for path in travelling(tmp_path)] == ["README.md", "config.json", "model.safetensors"]


def test_what_a_link_in_a_run_names_does_not_travel(tiny_runs, tmp_path):
    run = shutil.copytree(tiny_runs["fcn-ae"], tmp_path / "run")
    codec = load(run)
    os.truncate(run / "README.md", 2**36)  # is written anew, so it is not even read
    stage(codec, run, tmp_path / "first", "hub:anna/discs")
    assert (tmp_path / "first" / "README.md").stat().st_size < 100_000
    (tmp_path / "secret").write_text('{"token": "mine"}')
    (run / "more.json").symlink_to(tmp_path / "secret")
    with pytest.raises(LatentdialError, match="it is a link"):
        stage(codec, run, tmp_path / "second", "hub:anna/discs")


def test_a_card_tells_figures_data_and_limits(tiny_runs):
    run = tiny_runs["fcn-vae"]
    summary = json.loads((run / "summary.json").read_text())
    text = card(read_config(run), summary, "discs", "runs/discs")
    for part in (f"{summary['test_psnr']:.2f}", f"{summary['pca_psnr']:.2f}", "`discs.npy`, 48 pictures", "16x16 rgb"):
        assert part in text
    assert "codes of training pictures" in text
    bare = card(RunConfig(ModelSettings("fcn-ae", {}), data=DataSettings("")), {}, "mine", "runs/mine")
    assert "latentdial evaluate" in bare
    assert "Not said" in bare


@pytest.mark.parametrize(
    ("source", "shown"),
    [("/home/anna/faces/", "faces"), ("C:\\anna\\faces", "faces"), ("hf:a/b", "hf:a/b"), ("lfw", "lfw")],
)
def test_a_source_is_named_without_the_folders_above_it(source, shown):
    assert named(source) == shown
