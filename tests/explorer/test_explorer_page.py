"""The explorer in a real browser: Debian's chromium through Playwright, from file://, and once in Firefox ESR."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from PIL import Image
from torch import nn

import latentdial
from latentdial.cli import main
from latentdial.explorer import address, make_server, write_page
from latentdial.latent.effect import effect_of
from latentdial.latent.naming import make_direction
from latentdial.latent.novelty import losses

pytest.importorskip("onnxruntime", reason="needs the extra: pip install 'latentdial[explorer]'")
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'latentdial[dev]'")

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
WIDE = {"width": 1320, "height": 900}

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def file(content, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "explorer.html"
    write_page(content, path)
    return path


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as engine:
        one = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield one
        one.close()


@pytest.fixture
def visit(browser):
    """Opens an address in a fresh profile and waits until it is ready; every error in the page fails the test."""
    opened = []

    def go(url: str, **options):
        context = browser.new_context(viewport=WIDE, accept_downloads=True, **options)
        page = context.new_page()
        page.errors = []
        page.requests = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(url)
        page.wait_for_selector(".ld[data-ready]")
        opened.append(context)
        return page

    yield go
    for context in opened:
        context.close()


@pytest.fixture
def page(visit, file):
    one = visit(file.as_uri())
    yield one
    assert one.errors == []
    assert [url for url in one.requests if not url.startswith(("file:", "data:", "blob:"))] == []


def pixels(page, name="Decoded picture") -> np.ndarray:
    """What a canvas shows, once the newest picture is drawn: float (16, 16, 3)."""
    page.wait_for_timeout(60)
    data = page.get_by_role("img", name=name, exact=True).evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
    )
    return np.array(data, np.float64).reshape(16, 16, 4)[..., :3]


def until(page, expression: str) -> None:
    """Playwright's own wait evaluates text in the page, which the page's policy forbids."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(30)
    raise TimeoutError(expression)


def code_in_link(page) -> np.ndarray:
    page.get_by_role("button", name="Copy link").click()
    until(page, "location.hash.length > 20")
    return code_of(page.evaluate("location.hash"))


def code_of(link: str) -> np.ndarray:
    text = link.split(".")[-1]
    return np.frombuffer(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), np.float32)


def slider(page, nth=0):
    return page.locator(".dial input[type=range]").nth(nth)


def number(page, nth=0):
    return page.locator(".dial input[type=number]").nth(nth)


def set_to(page, value: str, nth=0) -> None:
    number(page, nth).fill(value)
    number(page, nth).press("Enter")
    number(page, nth).blur()


def test_a_typed_number_gives_the_picture_that_torch_gives(page, codec):
    set_to(page, "1.7")
    code = code_in_link(page)
    assert np.abs(pixels(page) - codec.levels(code)[0]).max() <= 1.0  # half a level, and half for rounding
    assert float(number(page).input_value()) == pytest.approx(1.7)


def test_a_number_that_is_none_leaves_the_slider_as_it_was(page):
    own, before = number(page).input_value(), pixels(page)
    set_to(page, "")
    assert number(page).input_value() == own
    assert np.array_equal(pixels(page), before)


def test_the_edit_line_does_what_the_command_line_does(page, codec, discs):
    from latentdial.latent.editing import apply_edits
    from latentdial.latent.grammar import parse_edits

    before = np.asarray(codec.encode(discs[:1])[0])
    line = page.get_by_label("Edit", exact=True)
    line.fill("1*=2; 0+=1.5s; 3=0.25")
    line.press("Enter")
    (expected,), _ = apply_edits(codec, before[None], parse_edits("1*=2; 0+=1.5s; 3=0.25"))
    assert np.abs(code_in_link(page) - expected).max() < 1e-4
    assert np.abs(pixels(page) - codec.levels(expected)[0]).max() <= 1.0


def test_a_wrong_edit_is_explained_and_changes_nothing(page):
    before = pixels(page)
    told = set()
    for text in ("1**2", "99=1", "alert(1)", "1*=2s", "0+=1e999"):
        page.get_by_label("Edit", exact=True).fill(text)
        page.get_by_role("button", name="Apply edit").click()
        told.add(page.locator(".toast").inner_text())
    assert len(told) == 5
    assert min(map(len, told)) > 20
    assert np.array_equal(pixels(page), before)


def test_a_drag_is_one_step_of_undo(page):
    before = pixels(page)
    box = slider(page).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(box["x"] + box["width"] * (0.5 + step / 20), box["y"] + box["height"] / 2)
    page.mouse.up()
    dragged = pixels(page)
    assert np.abs(dragged - before).max() > 3
    page.get_by_role("button", name="Undo").click()
    assert np.array_equal(pixels(page), before)
    assert page.get_by_role("button", name="Undo").is_disabled()
    page.get_by_role("button", name="Redo").click()
    assert np.array_equal(pixels(page), dragged)


def test_keys_turn_undo_redo_reset_and_compare(page):
    before = pixels(page)
    slider(page).focus()
    page.keyboard.press("PageUp")
    page.keyboard.press("PageUp")
    turned = pixels(page)
    assert not np.array_equal(turned, before)
    page.keyboard.down("c")
    assert np.array_equal(pixels(page), before)
    page.keyboard.up("c")
    assert np.array_equal(pixels(page), turned)
    page.get_by_role("button", name="Hold to compare").focus()
    page.keyboard.down("Space")
    assert np.array_equal(pixels(page), before)
    page.keyboard.up("Space")
    assert np.array_equal(pixels(page), turned)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert np.array_equal(pixels(page), before)
    page.keyboard.press("Control+Shift+z")
    page.keyboard.press("Control+Shift+z")
    assert np.array_equal(pixels(page), turned)
    page.keyboard.press("r")
    assert np.array_equal(pixels(page), before)


def test_a_link_restores_the_exact_state(page, visit, file):
    page.get_by_role("group", name="Gallery").get_by_role("button").nth(5).click()
    set_to(page, "-1.25", 1)
    code, shown = code_in_link(page), pixels(page)
    again = visit(file.as_uri() + page.evaluate("location.hash"))
    assert np.array_equal(pixels(again), shown)
    assert np.array_equal(code_in_link(again), code)
    assert again.locator(".gallery [aria-pressed=true]").count() == 1


def test_a_damaged_or_foreign_link_is_refused(visit, file, content):
    one = visit(file.as_uri() + "#v1.00000000.0.")
    assert "another model" in one.locator(".toast").inner_text()
    before = pixels(one)
    for rest in ("9999.", "0.AAAA", "x.", "0." + "_" * 32, "0." + "_" * 33):
        one.evaluate(
            "link => { document.querySelector('.toast').textContent = ''; location.hash = link; }",
            f"#v1.{content.manifest['fingerprint']}.{rest}",
        )
        until(one, "document.querySelector('.toast').textContent.includes('damaged')")
    assert np.array_equal(pixels(one), before)
    assert one.errors == []


def drop(page, name: str, data: bytes, kind: str) -> None:
    page.locator(".ld").evaluate(
        """(element, [name, text, type]) => {
          const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], name, { type }));
          element.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        [name, base64.b64encode(data).decode(), kind],
    )


def test_a_dropped_picture_is_encoded_as_torch_encodes_it(page, codec, discs, tmp_path):
    path = tmp_path / "mine.png"
    Image.fromarray(discs[40]).save(path)
    drop(page, "<b>mine</b>.png", path.read_bytes(), "image/png")
    page.get_by_text("<b>mine</b>.png").wait_for()
    assert np.array_equal(pixels(page, "Source picture"), discs[40])
    assert np.abs(pixels(page) - codec.levels(codec.encode(discs[40:41]))[0]).max() <= 1.0


def test_a_picture_unlike_the_training_pictures_is_told_so_as_an_edit_tells_it(visit, codec, discs, tmp_path):
    lost = losses(discs, codec.levels(codec.encode(discs)))
    known = replace(codec, held_out=codec.encode(discs), held_out_losses=lost)
    latentdial.explore(known, discs, tmp_path / "known.html", "fp16")
    one = visit((tmp_path / "known.html").as_uri())
    sheets = latentdial.edit(known, list(discs[:3]), "c0+=1")
    for i, sheet in enumerate(sheets):
        one.get_by_role("button", name=f"Picture {i + 1}", exact=True).click()
        one.wait_for_timeout(100)
        assert float(one.locator(".ld").get_attribute("data-novelty")) == pytest.approx(sheet.novelty.percentile, abs=5)
    assert one.locator(".unlike").count() == 0
    noise = np.random.default_rng(1).integers(0, 255, (16, 16, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    drop(one, "noise.png", (tmp_path / "noise.png").read_bytes(), "image/png")
    until(one, "document.querySelector('.unlike')?.textContent.includes('unlike the training pictures')")
    said, told = one.locator(".unlike").text_content(), latentdial.edit(known, noise, "c0+=1").novelty
    assert told.place in said
    assert told.reason in said
    assert f"its error is {told.lost:.1f}" in said
    one.get_by_role("button", name="Random", exact=True).click()
    until(one, "!document.querySelector('.unlike') || document.querySelector('.unlike').hidden")


def test_a_picture_can_be_chosen_or_pasted_too(page, discs, tmp_path):
    path = tmp_path / "mine.png"
    Image.fromarray(discs[40]).save(path)
    page.get_by_label("Choose a picture").set_input_files(path)
    page.get_by_text("mine.png").wait_for()
    assert np.array_equal(pixels(page, "Source picture"), discs[40])
    Image.fromarray(discs[41]).save(path)
    page.evaluate(
        """(text) => {
          const clipboardData = new DataTransfer();
          const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          clipboardData.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
          document.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
        }""",
        base64.b64encode(path.read_bytes()).decode(),
    )
    page.get_by_text("pasted.png").wait_for()
    assert np.array_equal(pixels(page, "Source picture"), discs[41])


def test_the_heat_map_shows_the_change_as_bright_as_asked(page):
    name = "Where the edit changed the picture"
    assert np.array_equal(np.unique(pixels(page, name).reshape(-1, 3), axis=0), [[0, 0, 4]])
    set_to(page, "2")
    shown = []
    for gain in (1, 4, 16):
        page.get_by_label("Gain of the difference").fill(str(gain))
        shown.append(pixels(page, name).mean())
    assert shown[0] < shown[1] < shown[2]


def test_a_hostile_file_is_refused_in_words(page):
    before = pixels(page)
    for data in (b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, b""):
        drop(page, "evil.png", data, "image/png")
        until(page, "document.querySelector('.toast').textContent.includes('not a picture')")
        page.evaluate("document.querySelector('.toast').textContent = ''")
    assert np.array_equal(pixels(page), before)


def test_ends_of_sliders_show_what_their_range_gives(page, codec, content):
    page.wait_for_selector(".ld[data-thumbnails]")
    dial = content.manifest["dials"][0]
    table = content.manifest["arrays"]["vectors"]
    vector = np.frombuffer(content.blob, np.float32, codec.latent, table["offset"])
    shown = (
        page.locator(".dial canvas")
        .nth(1)
        .evaluate("canvas => [...canvas.getContext('2d').getImageData(0, 0, 16, 16).data]")
    )
    code = np.frombuffer(content.blob, np.float32, codec.latent, content.manifest["arrays"]["codes"]["offset"])
    expected = code + dial["high"] * dial["sd"] * vector
    found = np.array(shown, np.float64).reshape(16, 16, 4)[..., :3]
    assert np.abs(found - codec.levels(expected)[0]).max() <= 1.0


def test_a_lock_keeps_its_value_when_another_picture_is_loaded(page):
    set_to(page, "0.9")
    page.locator(".dial").first.get_by_role("button").click()
    page.get_by_role("group", name="Gallery").get_by_role("button").nth(7).click()
    assert float(number(page).input_value()) == pytest.approx(0.9, abs=0.01)
    assert slider(page).is_disabled()
    page.get_by_role("button", name="Random", exact=True).click()
    assert float(number(page).input_value()) == pytest.approx(0.9, abs=0.01)


def test_outside_the_safe_range_there_is_a_warning(page, content):
    warning = page.locator(".warning")
    assert warning.is_hidden()
    own, high = float(number(page).input_value()), content.manifest["dials"][0]["high"]
    set_to(page, str(own + high - 0.1))
    assert warning.is_hidden()
    set_to(page, str(own + high + 0.5))
    warning.wait_for()
    assert "may break" in warning.inner_text()
    slider(page).dblclick()
    warning.wait_for(state="hidden")
    set_to(page, str(own + high + 0.5))
    slider(page).press("Delete")
    warning.wait_for(state="hidden")
    assert float(number(page).input_value()) == pytest.approx(own, abs=0.006)


def test_names_are_kept_and_can_be_used_in_edits(page):
    name = page.locator(".dial .head input[type=text]").first
    name.fill("sunshine")
    name.press("Enter")
    page.reload()
    page.wait_for_selector(".ld[data-ready]")
    assert page.locator(".dial .head input[type=text]").first.input_value() == "sunshine"
    page.get_by_label("Edit", exact=True).fill("sunshine=0.5s")
    page.get_by_role("button", name="Apply edit").click()
    assert float(number(page).input_value()) == pytest.approx(0.5, abs=0.01)


def test_dimensions_are_all_there_and_found_by_number(page, codec):
    page.get_by_role("tab", name="Raw").click()
    assert page.get_by_text(f"{codec.latent} of {codec.latent}").is_visible()
    page.get_by_label("Find a dimension").fill("3")
    assert page.locator(".dial").count() == 1
    set_to(page, "2.5")
    mean, sd = codec.moments
    assert code_in_link(page)[3] == pytest.approx(mean[3] + 2.5 * sd[3], abs=1e-3)


def test_attribute_directions_have_a_tab_of_their_own(visit, codec, discs, tmp_path):
    smile = make_direction(codec, "smile", "attribute", np.arange(codec.latent))
    smile = replace(smile, side={"smile": 0.62, "age": -0.3, "hat": 0.04})
    latentdial.explore(replace(codec, directions=(smile,)), discs, tmp_path / "smile.html", "fp16")
    one = visit((tmp_path / "smile.html").as_uri())
    one.get_by_role("tab", name="Attributes").click()
    assert one.locator(".dial").count() == 1
    assert one.locator(".dial .reads").text_content() == "+1 sd: smile +0.6, age -0.3"
    assert one.get_by_text("The line below tells how attributes change").is_visible()
    before = codec.encode(discs[:1])[0]
    own = (before @ smile.vector - smile.mean) / smile.sd
    assert float(number(one).input_value()) == pytest.approx(own, abs=0.006)
    one.get_by_label("Edit", exact=True).fill("smile+=1.5s")
    one.get_by_role("button", name="Apply edit").click()
    assert np.abs(code_in_link(one) - (before + 1.5 * smile.step)).max() < 1e-4
    assert float(number(one).input_value()) == pytest.approx(own + 1.5, abs=0.006)
    set_to(one, "9")
    until(one, "document.querySelector('.warning').textContent.startsWith('Outside the safe range: smile moved by')")
    one.get_by_role("tab", name="Dimensions").click()
    until(one, "!document.querySelector('.warning').textContent.startsWith('Outside the safe range: smile')")


def test_of_many_dimensions_only_those_in_view_are_in_the_page(visit, tmp_path):
    pixels_in = np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3), np.uint8)
    many = latentdial.wrap(nn.Sequential(nn.Flatten(), nn.Linear(768, 300)), nn.Linear(300, 768), 16, images=pixels_in)
    latentdial.explore(many, out=tmp_path / "many.html")
    one = visit((tmp_path / "many.html").as_uri())
    one.get_by_role("tab", name="Raw (300)").click()
    one.get_by_label("Order").select_option("By number")
    assert 5 < one.locator(".dial").count() < 30
    one.locator(".viewport").evaluate("list => list.scrollTo(0, list.scrollHeight)")
    one.get_by_label("Name of 299").wait_for()
    assert one.locator(".dial").count() < 30


def content_codes(content) -> np.ndarray:
    entry = content.manifest["arrays"]["codes"]
    count = int(np.prod(entry["shape"]))
    return np.frombuffer(content.blob, np.float32, count, entry["offset"]).reshape(entry["shape"])


def test_a_direction_is_the_change_that_was_made(page, codec, content):
    page.get_by_label("Edit", exact=True).fill("2+=3")
    page.get_by_role("button", name="Apply edit").click()
    page.get_by_label("Name of the new direction").fill("up")
    with page.expect_download() as download:
        page.get_by_role("button", name="Make a direction").click()
    made = json.loads(Path(download.value.path()).read_text())
    assert made["name"] == "up"
    assert np.abs(np.array(made["vector"]) - np.eye(codec.latent)[2]).max() < 1e-4
    assert made["step"] == pytest.approx(3, abs=1e-4)
    row = page.locator('[data-dial="up"]')
    row.wait_for()
    start = content_codes(content)[:8]
    step = made["sd"] * np.array(made["vector"], np.float32)
    expected = effect_of(codec, start, codec.levels(start), step)
    assert float(row.locator(".effect span").inner_text()) == pytest.approx(expected, abs=0.06)
    row.get_by_role("spinbutton").fill("30")
    row.get_by_role("spinbutton").press("Enter")
    assert "out" not in row.get_attribute("class")  # its safe range is not known
    page.get_by_label("Name of the new direction").fill("up")
    page.get_by_role("button", name="Make a direction").click()
    page.get_by_text("There is a “up” already").wait_for()


def test_a_saved_direction_does_in_latentdial_edit_what_it_does_here(page, codec, discs, tiny_runs, tmp_path, capsys):
    path = tmp_path / "mine.png"
    Image.fromarray(discs[40]).save(path)
    drop(page, "mine.png", path.read_bytes(), "image/png")
    page.get_by_text("mine.png").wait_for()
    page.get_by_label("Edit", exact=True).fill("2+=3; 4-=1s")
    page.get_by_role("button", name="Apply edit").click()
    page.get_by_label("Name of the new direction").fill("smile")
    with page.expect_download() as download:
        page.get_by_role("button", name="Make a direction").click()
    download.value.save_as(tmp_path / "smile.json")
    page.locator('[data-dial="smile"]').wait_for()
    page.get_by_role("button", name="Reset").click()
    page.get_by_label("Edit", exact=True).fill("smile+=1.5s")
    page.get_by_role("button", name="Apply edit").click()
    shown, code = pixels(page), code_in_link(page)
    run = str(tiny_runs["fcn-vae"])
    assert main(["edit", run, str(path), "smile+=1.5s", "--direction", str(tmp_path / "smile.json"), "--json"]) == 0
    edited = np.array(json.loads(capsys.readouterr().out)["edits"][0]["code"], np.float32)
    assert np.abs(code - edited).max() < 2e-3
    assert np.abs(shown - codec.levels(edited)[0]).max() <= 1.0  # half a level, and half for rounding


def test_from_a_to_b_saves_an_animated_gif(page):
    page.get_by_role("tab", name="A to B").click()
    page.get_by_label("From A to B").fill("0.5")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save GIF").click()
    with Image.open(download.value.path()) as gif:
        assert gif.format == "GIF"
        assert gif.n_frames == 30
        assert gif.size == (256, 256)


def test_the_map_loads_a_picture_and_random_and_mean_can_be_undone(page):
    before = pixels(page)
    page.get_by_role("tab", name="Map").click()
    page.locator(".map button").nth(4).evaluate("button => button.click()")
    assert page.locator(".gallery button").nth(4).get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Mean").click()
    page.get_by_role("button", name="Random", exact=True).click()
    for _ in range(3):
        page.get_by_role("button", name="Undo").click()
    assert np.array_equal(pixels(page), before)


def test_save_png_saves_the_decoded_picture(page):
    with page.expect_download() as download:
        page.get_by_role("button", name="Save PNG").click()
    with Image.open(download.value.path()) as saved:
        assert saved.size == (1024, 1024)
        small = np.asarray(saved.convert("RGB"))[32::64, 32::64]
    assert np.array_equal(small, pixels(page))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility_rules_hold(visit, file, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    one = visit(file.as_uri(), color_scheme=scheme, bypass_csp=True)
    set_to(one, "9")  # outside the safe range, and then locked
    one.locator(".warning").wait_for()
    one.locator(".dial").first.get_by_role("button").click()
    for tab in ("Dimensions", "Raw", "A to B", "Map"):
        one.get_by_role("tab", name=tab).click()
        one.mouse.move(0, 0)
        one.wait_for_timeout(200)
        results = axe.Axe().run(one, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]})
        assert [(v["id"], v["nodes"][0]["html"][:120]) for v in results.response["violations"]] == [], tab


def test_a_narrow_screen_does_not_scroll_sideways(browser, file):
    context = browser.new_context(viewport={"width": 360, "height": 740})
    one = context.new_page()
    one.goto(file.as_uri())
    one.wait_for_selector(".ld[data-ready]")
    assert one.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()


def test_on_a_narrow_screen_the_picture_stays_in_view_beside_the_sliders(visit, file):
    one = visit(file.as_uri())
    one.set_viewport_size({"width": 390, "height": 844})
    last = one.locator(".dial").last
    last.evaluate("row => row.scrollIntoView({ block: 'end' })")
    picture, row = one.locator(".big canvas").bounding_box(), last.bounding_box()
    assert 0 <= picture["y"] < picture["y"] + picture["height"] <= row["y"]
    assert row["y"] + row["height"] <= 845  # rows end at parts of a pixel


@pytest.mark.parametrize(("motion", "moves"), [("reduce", False), ("no-preference", True)])
def test_nothing_moves_by_itself_where_motion_is_reduced(visit, file, motion, moves):
    one = visit(file.as_uri(), reduced_motion=motion)
    durations = "[...document.querySelectorAll('.ld *')].map(e => getComputedStyle(e).transitionDuration)"
    assert any(set(text.split(", ")) != {"0s"} for text in one.evaluate(durations)) == moves


def test_tabs_are_walked_with_arrows_and_the_theme_is_kept(page):
    page.get_by_role("tab", name="Dimensions").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-axis"
    assert page.get_by_role("tab", name="Raw").get_attribute("aria-selected") == "true"
    page.get_by_role("button", name="Light or dark").click()
    page.reload()
    page.wait_for_selector(".ld.dark[data-ready]")


def test_two_dimensions_show_their_whole_plane(visit, tmp_path):
    pixels_in = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), np.uint8)
    plane = latentdial.wrap(nn.Sequential(nn.Flatten(), nn.Linear(768, 2)), nn.Linear(2, 768), 16, images=pixels_in)
    latentdial.explore(plane, out=tmp_path / "plane.html")
    one = visit((tmp_path / "plane.html").as_uri())
    one.get_by_role("tab", name="Map").click()
    one.wait_for_selector("canvas[data-done]")
    shown = one.locator(".grid2d canvas").evaluate(
        "c => [...c.getContext('2d').getImageData(6 * 16, 6 * 16, 16, 16).data]"
    )
    middle = np.array(shown, np.float64).reshape(16, 16, 4)[..., :3]
    assert np.abs(middle - plane.levels(plane.moments[0])[0]).max() <= 1.5
    one.get_by_role("button", name="The whole plane of codes").press("Enter")
    assert np.abs(code_in_link(one) - plane.moments[0]).max() < 1e-3
    one.get_by_role("button", name="The whole plane of codes").press("ArrowRight")
    mean, sd = plane.moments
    right = NormalDist().inv_cdf(7.5 / 13)
    assert np.abs(code_in_link(one) - (mean + sd * [right, 0])).max() < 1e-3
    one.locator(".grid2d").click(position={"x": 9, "y": 9})
    corner = NormalDist().inv_cdf(0.5 / 13)
    assert np.abs(code_in_link(one) - (mean + sd * [corner, -corner])).max() < 1e-3


def serve(codec, content):
    server = make_server(codec, content)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_the_local_page_works_and_stays_local(visit, codec, content):
    server = serve(codec, content)
    one = visit(address(server))
    set_to(one, "1.1")
    assert np.abs(pixels(one) - codec.levels(code_in_link(one))[0]).max() <= 1.0
    assert all(url.startswith((address(server), "data:")) for url in one.requests)
    server.shutdown()
    server.server_close()


def test_nets_without_onnx_form_are_decoded_by_the_local_server(visit, codec, content):
    bare = replace(content, manifest=content.manifest | {"weights": None, "error": None}, nets=None)
    server = serve(codec, bare)
    one = visit(address(server))
    set_to(one, "-1.4")
    one.wait_for_timeout(300)
    assert np.abs(pixels(one) - codec.levels(code_in_link(one))[0]).max() <= 0.51
    server.shutdown()
    server.server_close()


def test_the_widget_module_shows_the_page_in_a_host(visit, codec, content, tmp_path):
    """The module as anywidget loads it: an ES module with render({model, el}), its data in traits."""
    from latentdial.explorer.page import built_file

    parts = content.parts | {"runtime": built_file("runtime.wasm.gz")}
    traits = {name: base64.b64encode(data).decode() for name, data in parts.items()}
    module = base64.b64encode(built_file("widget.js")).decode()
    host = f"""<!doctype html><title>host</title><div id="cell"></div><script type="module">
      const traits = {json.dumps(traits)};
      const bytes = (t) => new DataView(Uint8Array.from(atob(t), (c) => c.charCodeAt(0)).buffer);
      const manifest = {json.dumps(json.dumps(content.manifest))};
      const get = (name) => name === "manifest" ? manifest : bytes(traits[name]);
      const model = {{ get, on() {{}}, send() {{}} }};
      const {{ default: widget }} = await import("data:text/javascript;base64,{module}");
      await widget.render({{ model, el: document.getElementById("cell") }});
    </script>"""
    (tmp_path / "host.html").write_text(host)
    one = visit((tmp_path / "host.html").as_uri())
    set_to(one, "1.3")
    assert float(number(one).input_value()) == pytest.approx(1.3)
    columns = (
        "() => getComputedStyle(document.querySelector('#cell').shadowRoot.querySelector('main')).gridTemplateColumns"
    )
    assert len(one.evaluate(columns).split()) == 2
    one.evaluate("document.querySelector('#cell').style.width = '500px'")
    assert len(one.evaluate(columns).split()) == 1
    assert one.errors == []


class Firefox:
    """Firefox over its own Marionette protocol: one JSON list a message, its length in front."""

    def __init__(self, folder: Path):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        (folder / "user.js").write_text(f'user_pref("marionette.port", {port});')
        command = [FIREFOX, "--headless", "--no-remote", "--marionette", "--profile", str(folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.socket = self._connect(port)
        self._read()
        self.ask("WebDriver:NewSession", {})

    def ask(self, name: str, values: dict):
        text = json.dumps([0, 1, name, values])
        self.socket.sendall(f"{len(text)}:{text}".encode())
        _, _, error, result = self._read()
        assert error is None, error
        return result

    def close(self) -> None:
        self.socket.close()
        self.process.terminate()
        self.process.wait(30)

    def _connect(self, port: int) -> socket.socket:
        for _ in range(150):
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=60)
            except OSError:
                time.sleep(0.2)
        self.process.terminate()
        raise TimeoutError("Firefox did not start in 30 s")

    def _read(self):
        length = b""
        while (byte := self.socket.recv(1)) != b":":
            length += byte
        data = b""
        while len(data) < int(length):
            data += self.socket.recv(int(length) - len(data))
        return json.loads(data)


@pytest.mark.skipif(FIREFOX is None, reason="no Firefox here: apt-get install firefox-esr")
def test_the_file_works_in_firefox(file, codec, tmp_path):
    firefox = Firefox(tmp_path)
    try:
        firefox.ask("WebDriver:Navigate", {"url": file.as_uri()})
        script = """
            const done = arguments[arguments.length - 1];
            const until = (test, then) => test() ? then() : setTimeout(() => until(test, then), 50);
            const page = () => document.querySelector(".ld");
            until(() => page()?.dataset.ready, () => {
              const slider = document.querySelector(".dial input[type=range]");
              slider.value = 1.5;
              slider.dispatchEvent(new Event("input"));
              slider.dispatchEvent(new Event("change"));
              until(() => page().dataset.frames > 1, () => {
                [...document.querySelectorAll("button")].find((one) => one.textContent === "Copy link").click();
                const canvas = document.querySelector(".big canvas");
                const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                done([[...data], location.hash]);
              });
            });"""
        data, link = firefox.ask("WebDriver:ExecuteAsyncScript", {"script": script, "args": []})["value"]
    finally:
        firefox.close()
    shown = np.array(data, np.float64).reshape(16, 16, 4)[..., :3]
    assert np.abs(shown - codec.levels(code_of(link))[0]).max() <= 1.0
