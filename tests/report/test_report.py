"""The report: what it claims, what it finds odd, and a page that fits a phone."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import latentdial
from latentdial.attributes.known import blank_attributes
from latentdial.attributes.reader import Part
from latentdial.config import Geometry, ModelSettings, RunConfig
from latentdial.images import Pictures
from latentdial.measure.likelihood import bits_per_dim
from latentdial.measure.paired import Interval
from latentdial.priors.fitted import gaussian_of
from latentdial.recipes import build, options_of
from latentdial.report import odd as odd_room
from latentdial.report.attributes import one_at_a_time
from latentdial.report.compare import compare
from latentdial.report.comparison import Claim, Measured
from latentdial.report.figures import Cell, Row, Sheet
from latentdial.report.odd import oddest
from latentdial.report.page import _short
from latentdial.runs.loading import codec_of
from latentdial.runs.pictures import run_pictures

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
NAMES = ("pca", "fcn-ae", "fcn-vae")


@pytest.fixture(scope="module")
def runs(discs_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name in NAMES:
        options = {"latent": 6} if name == "pca" else {"latent": 6, "widths": [32]}
        how = {"size": 16, "batch": 16, "holdout": 0.6}
        latentdial.train(
            name, discs_file, folder / name, options=options, **(how if name == "pca" else {**how, "steps": 80})
        )
    return [folder / name for name in NAMES]


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "index.html"
    return compare(runs, out, explorer="explorer.html"), out


def test_likelihoods_stand_beside_that_of_pca(page, runs):
    found, _ = page
    pca, ae, vae = found.runs
    assert (pca.bits == found.pca_bits).all()
    assert ae.bits is None
    likely = latentdial.likelihood(latentdial.load(runs[2]), found.test[:128], 16)
    assert vae.bits == pytest.approx([bits_per_dim(one, found.test[0].size) for one in likely.log_px])
    assert likely.nll < -likely.elbo.mean()
    claim = next(one for one in found.claims() if "likelier under fcn-vae" in one.text)
    assert claim.difference.mean == pytest.approx((found.pca_bits - vae.bits).mean())
    assert any("Only fcn-vae says how likely" in sentence for sentence in found.conclusion())


def test_a_run_of_pca_has_the_likelihood_of_its_own_numbers(page, runs, discs_file, tmp_path):
    """Beside a run with more of them."""
    found, _ = page
    small = tmp_path / "small"
    latentdial.train("pca", discs_file, small, options={"latent": 2}, size=16, batch=16, holdout=0.6)
    both = compare([small, runs[2]], None)
    alone = compare([small], None)
    assert both.runs[0].bits == pytest.approx(alone.runs[0].bits, rel=1e-3)
    assert abs(both.runs[0].bits.mean() - found.runs[0].bits.mean()) > 0.1
    claims = {one.text: one for one in both.claims()}
    assert "fcn-vae compresses better than PCA (6 numbers against 2)" in claims
    likelier = claims["Pictures are likelier under fcn-vae than under PCA (6 numbers against 2)"]
    assert likelier.difference.mean == pytest.approx((both.runs[0].bits - both.runs[1].bits).mean())
    assert not any("numbers against" in one.text for one in found.claims())


def test_only_differences_beyond_noise_are_called_differences(page):
    found, _ = page
    for claim in found.claims():
        if claim.difference is not None:
            low, high = claim.difference.low, claim.difference.high
            assert claim.holds is (True if low > 0 else False if high < 0 else None)
    same = replace(found, runs=[found.runs[1], replace(found.runs[1], codec=found.runs[2].codec)])
    value = f"{found.runs[1].decibels.mean():.2f}"
    assert same.conclusion()[0] == f"To store pictures, fcn-ae and fcn-vae are equally good: {value} and {value} dB."
    assert same.short().startswith("To store pictures: either.")


def test_nets_are_compared_by_what_is_drawn_from_them_where_no_prior_is_named(page):
    found, _ = page
    _, ae, vae = found.runs
    assert vae.drawn.prior == vae.codec.prior_named()
    near, far = (replace(ae.samples[0], distances=np.full(9, distance)) for distance in (1.0, 5.0))
    fitted = replace(vae.codec, fitted=gaussian_of(vae.codec.codes))
    for codec, own, better in ((fitted, far, True), (fitted, near, False), (replace(fitted, fitted=None), near, True)):
        middle = replace(near, distances=np.full(9, 3.0))
        samples = [own, near if own is far else far]
        two = replace(found, runs=[replace(ae, samples=[middle]), replace(vae, codec=codec, samples=samples)])
        claims = {claim.text: claim.holds for claim in two.claims()}
        assert claims["A VAE generates better than an AE"] is better
        told = "fcn-vae: kernel distance 1.00 against 3.00" if better else "fcn-ae: kernel distance 3.00 against 5.00"
        assert f"To draw new ones, take {told}." in two.conclusion()
    rows = {title: texts for title, *texts in found.table()[1]}
    assert rows["which prior that is"] == [run.samples[-1].prior for run in found.runs]


def test_the_oddest_is_the_one_that_does_not_belong(runs):
    codec = latentdial.load(runs[1])
    _, held_out = run_pictures(codec)
    pixels = held_out.pixels[:]
    pixels[3] = np.random.default_rng(0).integers(0, 256, pixels[3].shape, np.uint8)
    found = oddest(codec, runs[1], replace(held_out, pixels=Pictures.of(pixels)))
    assert found.cards[0].name == held_out.names[3]
    assert (found.cards[0].picture == pixels[3]).all()
    assert [one.score for one in found.cards] == sorted((one.score for one in found.cards), reverse=True)
    assert found.total == len(pixels)


@pytest.mark.parametrize(("channels", "told"), [(1, "unusual brightness, top left"), (3, "unusual colours, top left")])
def test_grey_pictures_have_no_colours(channels, told, monkeypatch):
    monkeypatch.setattr(odd_room, "heat_of", lambda *_: np.zeros((0,)))
    codec = SimpleNamespace(geometry=SimpleNamespace(channels=channels, size=4), reconstruct=lambda pictures: pictures)
    pictures = SimpleNamespace(pixels=np.zeros((1, 4, 4, channels), np.uint8))
    found = SimpleNamespace(reason=["colours"], where=["top left"], detector=None, names=["a"], score=np.ones(1))
    (card,) = odd_room._cards(codec, found, pictures, np.array([0]))
    assert card.words == told


def test_too_few_pictures_have_no_oddest(tiny_runs):
    codec = latentdial.load(tiny_runs["fcn-ae"])
    assert oddest(codec, tiny_runs["fcn-ae"], run_pictures(codec)[1]) is None


def test_what_is_said_in_short_leads_to_where_it_is_shown(page):
    text = page[1].read_text()
    led = re.findall(r'href="#(\w+)"', text)
    assert set(led) >= {"which", "dimension", "odd"}
    assert all(f'id="{one}"' in text for one in led)
    assert 'href="explorer.html"' in text
    assert "http://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)


def test_attributes_that_no_code_tells_are_not_shown(runs, discs):
    codec = latentdial.load(runs[0])
    unread = blank_attributes([Part("number", ("smile",))], codec.latent)
    assert one_at_a_time([codec, replace(codec, attributes=unread)], discs) == []


def test_markdown_says_the_same(runs, page, tmp_path):
    compare(runs[1:], tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text()
    assert "## What is odd?" in text
    pictures = re.findall(r"\]\(([^)]*\.(?:png|webp))\)", text)
    assert len(pictures) > 50
    assert all((tmp_path / one).is_file() for one in pictures)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
def test_the_page_fits_a_phone_and_tables_reflow(page):
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'latentdial[dev]'")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        one = browser.new_page(viewport={"width": 390, "height": 844})
        errors = []
        one.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        one.goto(page[1].as_uri())
        assert one.evaluate("document.documentElement.scrollWidth") <= 390
        shown = "[...document.querySelectorAll('table,.row,section')]"
        wide = f"{shown}.filter(e => e.scrollWidth > e.clientWidth + 1).length"
        assert one.evaluate(wide) == 0
        one.set_viewport_size({"width": 900, "height": 900})  # charts in two lines, the last of which is not full
        charts = "[...document.querySelectorAll('.plots svg')].map(e => e.getBoundingClientRect())"
        assert one.evaluate(f"new Set({charts}.map(box => Math.round(box.top))).size") == 2
        assert one.evaluate(f"new Set({charts}.map(box => Math.round(box.width))).size") == 1
        assert errors == []
        browser.close()


def test_white_pictures_end_somewhere_on_a_sheet():
    sprite = np.full((8, 8, 3), 255, np.uint8)
    sprite[3:5, 3:5] = 0
    drawn = np.asarray(Sheet([Row([Cell(sprite), Cell(np.full_like(sprite, 255))])]).draw(40))
    inked = np.argwhere((drawn < 255).any(2))
    assert np.ptp(inked, axis=0).tolist() == [41, 41]  # a hairline around the one, and nothing of the other


def test_of_two_pictures_nothing_is_claimed(tiny_runs):
    found = compare([tiny_runs["fcn-vae"]], None)
    assert len(found.test) == 2
    assert {claim.answer for claim in found.claims()} == {"cannot be said"}
    assert found.odd is None


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [("pca", "PCA"), ("fcn-ae", "AE"), ("rae-l2", "AE"), ("fcn-vae", "VAE"), ("info-vae", "VAE"), ("factor-vae", "VAE"),
     ("wae-mmd", "other"), ("adversarial-ae", "other")],
)  # fmt: skip
def test_a_model_is_called_what_it_is(recipe, kind):
    tiny = {"latent": 4, "widths": [8], "layers": [4, 4], "critic": [8]}
    settings = ModelSettings(recipe, {name: value for name, value in tiny.items() if name in options_of(recipe)})
    config = RunConfig(settings, Geometry(size=16))
    codec = codec_of(build(settings, config.geometry.shape).model, config, recipe)
    assert Measured.kind.fget(SimpleNamespace(codec=codec)) == kind


def test_runs_that_are_no_ae_and_vae_are_ranked(page):
    found, _ = page
    pca, ae, _ = found.runs
    alike = replace(found, runs=[pca, ae, replace(ae, codec=replace(ae.codec, name="other"))])
    assert alike.conclusion() == []
    assert alike.short() == ""
    texts = [claim.text for claim in alike.claims()]
    assert sum("compresses better than PCA" in text for text in texts) == 2
    assert [text for text in texts if "PCA" not in text] == [
        "fcn-ae compresses better than other",
        "fcn-ae generates better than other",
    ]


def test_a_difference_of_nothing_has_no_sign():
    claim = Claim("An AE is quicker than a VAE", Interval(0.2, -0.3, 1.6), "%")
    assert claim.numbers() == ("+0 %", "+0 to +2")


@pytest.mark.parametrize(
    ("names", "told"), [(["y"], "y changes alone."), (["x", "y"], "x and y change one at a time.")]
)  # fmt: skip
def test_one_attribute_changes_alone(names, told):
    rows = [SimpleNamespace(name=name) for name in names]
    found = SimpleNamespace(claims=list, short=str, attributes=[SimpleNamespace(rows=rows)], odd=None)
    asked = [{"title": "dimension 1", "effect": 1.0}, {"title": "c1", "effect": 2.0}]
    assert dict(_short(found, [{"name": "vae", "asked": asked}]))["attributes"] == told
