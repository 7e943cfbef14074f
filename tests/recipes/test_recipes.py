"""One contract for every recipe, and recipes of other packages; a new recipe is tested by being there."""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import latentdial
from latentdial import LatentdialError
from latentdial.config import AugmentSettings, ModelSettings, TrainSettings
from latentdial.latent.effect import measure_effect
from latentdial.model import Model, prefix
from latentdial.parts.objectives import total
from latentdial.pixels import to_float, to_levels
from latentdial.recipes import RECIPES, Recipe, build, options_of, registry
from latentdial.runs.loading import load_weights, save_model
from latentdial.runs.probing import check_probe
from latentdial.storage import tensor_metadata
from latentdial.training.augment import augment
from latentdial.training.loop import Loop
from latentdial.training.session import _codes_and_kl

SHAPE = (3, 16, 16)
TINY = {"latent": 4, "widths": [24], "channels": [6, 8], "width": 8, "layers": [6, 8], "k": 3, "critic": [8, 6]}


def tiny(name: str) -> Recipe:
    torch.manual_seed(0)
    return build(ModelSettings(name, {k: v for k, v in TINY.items() if k in options_of(name)}), SHAPE)


TRAINED = [name for name in RECIPES if tiny(name).steps]  # the others are nothing but their start


def make_loop(name: str, discs: np.ndarray, **settings) -> Loop:
    pixels = torch.from_numpy(discs)
    train = TrainSettings(**{"batch": 16, "steps": 12, "ema": 0.5, "lr": 3e-3, "schedule": "constant", **settings})
    return Loop(tiny(name), train, pixels[:40], pixels[40:], "cpu", "float32")


def run(loop: Loop, until: int | None = None) -> list[dict]:
    records: list[dict] = []
    loop.run(records.append, lambda: loop.step == until)
    return records


def same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_speaks_of_pictures_and_flat_codes(name, discs):
    """Shapes and ranges; encoding is deterministic and independent of the batch; samples are codes."""
    recipe = tiny(name)
    model = recipe.model.eval().requires_grad_(False)
    x = model.scale(torch.from_numpy(discs[:6]))
    batch = model.batch(x, 3, torch.Generator().manual_seed(0))
    passed, again = model(batch, 3), model(batch, 3)
    assert passed.log_px.shape == (3, 6)
    assert passed.output.shape[:2] == (3, 6)
    assert torch.equal(passed.output, again.output)
    codes, kl = model.codes_and_kl(x)
    assert codes.shape == (6, model.latent)
    assert kl is None or (kl.shape == codes.shape and kl.min() > -1e-5)
    assert torch.equal(codes, model.encode(x))
    torch.testing.assert_close(torch.cat([model.encode(one[None]) for one in x]), codes, rtol=1e-4, atol=1e-5)
    low, high = model.likelihood.range
    for pictures in (model.decode(codes), model.decode(10 * torch.randn(6, model.latent))):
        assert pictures.shape == x.shape
        assert not recipe.steps or low <= pictures.min() <= pictures.max() <= high
    assert model.bottleneck.read(codes.unflatten(1, model.code)).flatten(1).shape == (6, model.seen)
    if model.prior is not None:
        drawn = [model.sample(5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
        assert drawn[0].shape == (5, model.latent)
        assert torch.equal(drawn[0], drawn[1])
        assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("name", TRAINED)
def test_gradients_reach_every_parameter_of_every_player(name, discs):
    loop = make_loop(name, discs, steps=1)
    loop.train_step(*loop.next_batch())
    for player in loop.players:
        named = [(n, p) for n, p in player.net.named_parameters() if p.requires_grad]
        assert [n for n, p in named if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("name", TRAINED)
def test_fifty_steps_improve_and_every_term_is_recorded(name, discs):
    loop = make_loop(name, discs, steps=50, ema=0.0)
    before = loop.evaluate(loop.pixels)
    records = run(loop)
    told = "nll" if loop.recipe.rivals else "loss"  # a rival that learns raises the loss
    assert loop.evaluate(loop.pixels)[told] < before[told]
    assert all(before.keys() <= record.keys() for record in records)
    assert np.isfinite([[record[term] for term in before] for record in records]).all()


@pytest.mark.parametrize("name", RECIPES)
def test_training_goes_on_bit_for_bit_and_weights_come_back_as_they_were(name, discs, tmp_path):
    whole, first, second = (make_loop(name, discs) for _ in range(3))
    run(whole)
    run(first, until=5)
    second.restore({key: tensor.clone() for key, tensor in first.state().items()})
    second.step, second.count = first.step, first.count
    run(second)
    assert same(whole.state(), second.state())
    trained, fresh, path = whole.recipe.model.eval(), tiny(name).model.eval(), tmp_path / "model.safetensors"
    save_model(tmp_path, trained, (3, 16, 16))
    probe, image = tensor_metadata(path)["probe"], (3, 16, 16)
    if name in TRAINED:
        with pytest.raises(LatentdialError, match="fit, but make of a test picture another"):
            check_probe(fresh, image, probe, "run")
    load_weights(fresh, path)
    assert same(fresh.state_dict(), trained.state_dict())
    check_probe(fresh, image, probe, "run")


class Pair(nn.Module):
    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, levels: torch.Tensor, code: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        value_range = self.model.likelihood.range
        return self.model.encode(to_float(levels, value_range)), to_levels(self.model.decode(code), value_range)


@pytest.mark.parametrize("name", RECIPES)
def test_nets_can_be_traced_for_other_runtimes(name, discs):
    pair = Pair(tiny(name).model.eval().requires_grad_(False))
    levels, code = torch.from_numpy(discs[:5]), torch.randn(3, pair.model.latent)
    any_number = ({0: torch.export.Dim("pictures")}, {0: torch.export.Dim("codes")})
    program = torch.export.export(pair, (levels[:2], code[:2]), dynamic_shapes=any_number, strict=False).module()
    for ours, theirs in zip(program(levels, code), pair(levels, code), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_every_recipe_is_in_the_table_of_its_papers():
    told = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text()
    assert [name for name in RECIPES if f"`{name}`" not in told] == []


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_short_and_tells_its_paper(name):
    told, builder = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(), RECIPES[name]
    assert len(inspect.getsource(builder).splitlines()) <= 20
    assert builder.__doc__
    row = next(line for line in told.splitlines() if f"`{name}`" in line)
    assert re.search(r"\d{4}\.\d{4,5}|(19|20)\d\d", row.split("|")[2])


# finding and checking -------------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that is installed, with a recipe `small-ae` and a broken one."""
    source = """
from latentdial.recipes import RECIPES
def small_ae(image, latent: int = 2, ordered: bool = False):
    '''A small autoencoder.'''
    assert isinstance(ordered, bool)
    return RECIPES["fcn-ae"](image, latent, [8])
"""
    (tmp_path / "theirs.py").write_text(source)
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    points = "[latentdial.recipes]\nsmall-ae = theirs:small_ae\nbroken-ae = theirs:nothing\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)
    registry._elsewhere.cache_clear()
    yield
    sys.modules.pop("theirs", None)
    registry._elsewhere.cache_clear()


def test_a_recipe_of_another_package_trains_and_loads(package, discs_file, tmp_path):
    out = tmp_path / "run"
    options = {"latent": 3, "ordered": True}
    codec = latentdial.train("small-ae", discs_file, out, options=options, size=16, batch=16, steps=3)
    assert np.array_equal(latentdial.load(out).codes, codec.codes)
    assert options_of("small-ae") == {"latent": 2, "ordered": False, "sharpness": 0.0}
    assert registry.names()[-2:] == ["broken-ae", "small-ae"]
    with pytest.raises(LatentdialError, match="'broken-ae' of theirs:nothing cannot be loaded"):
        build(ModelSettings("broken-ae"), SHAPE)
    with pytest.raises(LatentdialError, match="did you mean small-ae"):
        options_of("smal-ae")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ordered": 1}, "ordered must be true or false"),
        ({"latent": True}, "latent must be a whole number"),
        ({"latent": 0}, "latent must be a whole number"),
        ({"depth": 2}, "no option 'depth': it takes latent, ordered, sharpness"),
    ],
)
def test_options_are_of_the_kind_of_their_defaults(package, options, words):
    with pytest.raises(LatentdialError, match=words):
        build(ModelSettings("small-ae", options), SHAPE)


def test_options_are_read_from_words():
    given = ["beta=0.5", "widths=3,2", "ordered=true", "lower=false", "net=conv", "k=5"]
    read = {"beta": 0.5, "widths": [3, 2], "ordered": True, "lower": False, "net": "conv", "k": 5}
    assert registry.parse_options(given) == read
    for odd in ("beta=1;2", "beta=", "beta=X"):
        with pytest.raises(LatentdialError, match="cannot read --set"):
            registry.parse_options([odd])


# faults that were there -----------------------------------------------------------------------------------------------


@pytest.fixture
def normalised(monkeypatch):
    """A recipe whose net has batch normalisation."""

    def norm_vae(image, latent: int = 4):
        made = RECIPES["fcn-vae"](image, latent, [24])
        made.model.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(768, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 2 * latent)
        )
        return made

    monkeypatch.setitem(RECIPES, "norm-vae", norm_vae)


def test_a_net_with_batch_normalisation_trains_loads_and_goes_on(normalised, discs_file, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    settings = {"size": 16, "batch": 16, "ema": 0.9, "schedule": "constant", "warmup": 2, "keep_checkpoint": True}
    codec = latentdial.train("norm-vae", discs_file, whole, steps=20, **settings)
    assert np.array_equal(latentdial.load(whole).codes, codec.codes)
    latentdial.train("norm-vae", discs_file, parts, steps=10, **settings)
    latentdial.train("norm-vae", discs_file, parts, steps=20, resume=True, **settings)
    assert (parts / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_validation_is_in_evaluation_mode_and_changes_nothing(normalised, discs):
    loop = make_loop("norm-vae", discs, ema=0.0)
    run(loop, until=4)
    torch.manual_seed(0)
    before, first = {k: t.clone() for k, t in loop.state().items()}, loop.evaluate(loop.pixels)
    torch.manual_seed(1)
    assert loop.evaluate(loop.pixels) == first
    assert same(loop.state(), before)
    assert loop.recipe.model.training


def test_the_average_holds_buffers_too(normalised, discs):
    loop = make_loop("norm-vae", discs, ema=0.5)
    norm = loop.recipe.model.encoder[2]
    expected = norm.running_mean.clone()
    for step in range(1, 13):
        loop.train_step(*loop.next_batch())
        keep = min(0.5, step / (step + 9))
        expected = keep * expected + (1 - keep) * norm.running_mean
    average = loop.average.encoder[2]
    torch.testing.assert_close(average.running_mean, expected)
    assert average.num_batches_tracked == norm.num_batches_tracked == 12


# deliberate faults that no test had noticed ---------------------------------------------------------------------------


def test_the_average_remembers_so_many_steps(discs):
    """With a decay of 0.9 the average of a weight that jumps once is on its way there, not at either end."""
    loop = make_loop("fcn-ae", discs, ema=0.9)
    loop.step = 1000
    with torch.no_grad():
        for p in (loop.recipe.model.encoder[1].weight, loop.average.encoder[1].weight):
            p.zero_()
        loop.recipe.model.encoder[1].weight.fill_(1.0)
    loop._follow(loop.average)
    assert loop.average.encoder[1].weight.unique().item() == pytest.approx(0.1, rel=1e-5)


def test_validation_looks_at_the_averaged_weights(discs):
    loop = make_loop("fcn-vae", discs, ema=0.9)
    run(loop)
    averaged, loop.average = loop.average, None
    raw = loop.evaluate(loop.validation)
    loop.recipe.model.load_state_dict(averaged.state_dict())
    expected, loop.average = loop.evaluate(loop.validation), averaged
    assert loop.evaluate(loop.validation) == expected != raw


def test_the_kl_of_a_dimension_is_a_mean_over_pictures(discs):
    model, pixels = tiny("fcn-vae").model.eval(), torch.from_numpy(discs).repeat(12, 1, 1, 1)
    _, few = _codes_and_kl(model, pixels[:48])
    codes, many = _codes_and_kl(model, pixels)
    assert codes.shape == (576, 4)
    np.testing.assert_allclose(many, few, rtol=1e-5)
    posterior = model.posterior(model.scale(pixels[:48]))
    by_hand = 0.5 * (posterior.mean**2 + posterior.log_variance.exp() - 1 - posterior.log_variance).mean(0)
    np.testing.assert_allclose(few, by_hand.detach().numpy(), rtol=1e-4)


def test_every_process_and_every_step_has_noise_of_its_own(discs):
    """The processor's generator looks at the lower 32 bits of a seed alone: these must differ."""
    loop, drawn = make_loop("fcn-vae", discs), []
    for rank, step in ((0, 0), (1, 0), (0, 1), (0, 2), (0, 1 << 16), (1, 1)):
        loop.world = SimpleNamespace(rank=rank)
        drawn.append(torch.randn(400, generator=loop._noise(step)))
    between = torch.corrcoef(torch.stack(drawn)) - torch.eye(6)
    assert between.abs().max() < 0.25


def test_the_interval_of_an_effect_is_that_of_a_mean():
    """A picture of one pixel, the square of its code: for +-1 it changes by the larger of 2|c| and 1 on average."""
    codes = np.linspace(0, 9, 40)[:, None]
    codec = SimpleNamespace(levels=lambda z: (z**2)[:, None, None, :])
    effect = measure_effect(codec, SimpleNamespace(step=np.ones(1)), codes, codec.levels(codes))
    each = np.maximum(2 * codes[:, 0], 1)
    assert effect.levels == pytest.approx(each.mean())
    assert effect.high - effect.levels == pytest.approx(1.96 * stats.sem(each), rel=1e-6)
    assert effect.levels - effect.low == pytest.approx(1.96 * stats.sem(each), rel=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_codes_spread_in_proportion_to_the_temperature(codec, temperature):
    """sd, not variance; 4,000 draws know it to about 1%."""
    for source, spread in (("model", 1.0), ("gaussian", codec.codes.std(0, ddof=1))):
        drawn = codec.sample_codes(4000, seed=1, temperature=temperature, prior=source)
        np.testing.assert_allclose(drawn.std(0), temperature * np.broadcast_to(spread, 6), rtol=0.05)


def test_saturation_is_varied_too():
    """Brightness and contrast keep the ratio of two channels' distances from grey-level mean; saturation does not."""
    x = torch.tensor([0.7, 0.5, 0.3])[None, :, None, None].repeat(300, 1, 2, 2)
    varied = augment(x, AugmentSettings(jitter=0.2), (0.0, 1.0), torch.Generator().manual_seed(0))
    contrast = (varied[:, 0] - varied[:, 2])[:, 0, 0] / 0.4
    alone = augment(x[:, :1], AugmentSettings(jitter=0.2), (0.0, 1.0), torch.Generator().manual_seed(0))
    assert contrast.std() > 0.15
    assert alone.std() < 0.1


def test_prefixes_keep_the_first_numbers_all_of_them_for_a_quarter():
    noise = torch.randn(40_000, generator=torch.Generator().manual_seed(0))
    masks = prefix(noise, 16)
    counts = masks.sum(-1)
    assert (masks.diff(dim=-1) <= 0).all()
    assert (counts == 16).float().mean() == pytest.approx(0.25, abs=0.01)
    for low, high in ((1, 2), (2, 4), (4, 8), (8, 16)):
        assert ((counts >= low) & (counts < high)).float().mean() == pytest.approx(0.75 / 4, abs=0.01)


@pytest.mark.parametrize("name", ["fcn-ae", "conv-ae", "fcn-vae"])
def test_an_ordered_code_is_cut_in_training_alone(name):
    options = {k: v for k, v in TINY.items() if k in options_of(name)} | {"ordered": True}
    model = build(ModelSettings(name, options), SHAPE).model
    x = torch.rand(6, *SHAPE)
    batch = model.batch(x, generator=torch.Generator().manual_seed(1))
    whole = replace(batch, noise={key: value for key, value in batch.noise.items() if key != "kept"})
    assert not torch.equal(model(batch).output, model(whole).output)
    model.eval()
    assert torch.equal(model(batch).output, model(whole).output)
    model.train()
    first = replace(batch, noise=batch.noise | {"kept": torch.full((1, 6), -9.0)})
    kept = model(whole).z.clone()
    kept[..., 1:] = 0
    assert torch.allclose(model(first).output[0], model.decoder(kept[0]), atol=1e-6)


def test_a_code_that_is_no_row_of_numbers_cannot_be_ordered():
    class Spatial(Model):
        pass

    Spatial.__abstractmethods__ = frozenset()
    with pytest.raises(LatentdialError, match="no row of numbers"):
        Spatial().order()


@pytest.mark.parametrize("name", ["fcn-ae", "res-vae", "two-level-vae", "iwae"])
def test_sharpness_is_an_option_of_recipes_with_a_gaussian_picture(name):
    options = {k: v for k, v in TINY.items() if k in options_of(name)}
    plain, sharp = (build(ModelSettings(name, options | {"sharpness": weight}), SHAPE) for weight in (0.0, 0.5))
    assert [term.name for term in sharp.objective] == [*(term.name for term in plain.objective), "sharpness"]
    batch = sharp.model.batch(torch.rand(6, *SHAPE), sharp.samples)
    loss, terms = total(sharp.objective, sharp.model(batch, sharp.samples), batch)
    loss.backward()
    assert terms["sharpness"] > 0
    assert all(p.grad is not None for p in sharp.model.decoder.parameters()) if name == "fcn-ae" else True


@pytest.mark.parametrize(("name", "words"), [("binary-vae", "a Gaussian picture"), ("pca", "that are trained")])
def test_sharpness_is_refused_where_it_means_nothing(name, words):
    with pytest.raises(LatentdialError, match=words):
        build(ModelSettings(name, {"latent": 2, "sharpness": 0.1}), SHAPE)
