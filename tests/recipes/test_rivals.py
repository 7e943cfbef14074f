"""What models with opponents claim: density ratios of optimal critics, who learns what, and going on bit for bit."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

import latentdial
from latentdial.config import ModelSettings, TrainSettings
from latentdial.parts.critics import code_critic, density_ratio, shuffle, telling
from latentdial.posteriors import Point
from latentdial.recipes import build
from latentdial.training.loop import Loop
from latentdial.types import Batch, Level, Pass

SHAPE = (3, 16, 16)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def correlated(n: int, r: float, seed: int = 0) -> torch.Tensor:
    noise = torch.randn(n, 2, generator=seeded(seed))
    return torch.stack([noise[:, 0], r * noise[:, 0] + math.sqrt(1 - r**2) * noise[:, 1]], 1)


def pass_of(codes: torch.Tensor) -> Pass:
    x = torch.zeros(len(codes), 1, 1, 1)
    return Pass(x, x[None], x[None, :, 0, 0, 0], {"z": Level(codes[None], Point(codes))})


def test_shuffled_codes_keep_their_marginals_and_lose_their_correlation():
    codes = correlated(4000, 0.9)
    mixed = shuffle(codes, torch.randn(codes.shape, generator=seeded(1)))
    assert torch.equal(mixed.sort(0).values, codes.sort(0).values)
    assert abs(torch.corrcoef(mixed.T)[0, 1].item()) < 0.05


class Exact(nn.Module):
    """log q(z) - log q(z_1) q(z_2) of two standard normal numbers of correlation r."""

    def __init__(self, r: float):
        super().__init__()
        self.joint = torch.distributions.MultivariateNormal(torch.zeros(2), torch.tensor([[1, r], [r, 1]]))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.joint.log_prob(z) - torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)


def test_the_mean_logit_of_the_optimal_critic_is_the_total_correlation():
    """-log(1 - r^2) / 2; and no other critic has a lower loss: moving it either way raises it."""
    codes, shuffled = correlated(40_000, 0.8), correlated(40_000, 0.0, seed=1)
    exact = Exact(0.8)
    assert exact(codes).mean().item() == pytest.approx(-0.5 * math.log(1 - 0.64), abs=0.01)
    least = telling(exact(codes), exact(shuffled))
    for factor, shift in ((0.8, 0.0), (1.2, 0.0), (1.0, 0.3), (1.0, -0.3)):
        assert telling(factor * exact(codes) + shift, factor * exact(shuffled) + shift) > least
    assert telling(torch.zeros(3), torch.zeros(5)).item() == pytest.approx(math.log(2))


def test_a_critic_learns_the_total_correlation():
    torch.manual_seed(0)
    term, rival = density_ratio(2, [32, 32], 1.0)
    optimizer = torch.optim.Adam(rival.net.parameters(), 3e-3)
    for step in range(400):
        codes = correlated(256, 0.8, seed=step)
        batch = Batch(codes, {"shuffle": torch.randn(1, 256, 2, generator=seeded(1000 + step))})
        optimizer.zero_grad()
        rival.value(pass_of(codes), batch).backward()
        optimizer.step()
    found = term.value(pass_of(correlated(20_000, 0.8, seed=-1)), Batch(torch.zeros(1)))
    assert found.item() == pytest.approx(-0.5 * math.log(1 - 0.64), abs=0.1)


def made(name: str, discs, steps: int = 10, **options) -> Loop:
    torch.manual_seed(0)
    recipe = build(ModelSettings(name, {"latent": 4, "layers": [6, 8], "critic": [8, 6], **options}), SHAPE)
    pixels = torch.from_numpy(discs)
    return Loop(recipe, TrainSettings(batch=16, steps=steps, lr=3e-3), pixels, pixels, "cpu", "float32")


@pytest.mark.parametrize("name", ["factor-vae", "adversarial-ae", "vae-gan"])
def test_each_player_learns_from_its_own_loss_alone(name, discs):
    """A rival's loss has no gradient in the model; the model's step leaves the rival's weights to the rival."""
    loop = made(name, discs)
    model, (rival,) = loop.recipe.model, loop.recipe.rivals
    x = model.scale(loop.pixels[:8])
    noise = {key: torch.randn(1, 8, *shape, generator=seeded()) for key, shape in loop._draws.items()}
    batch = Batch(x, noise, pictures=8)
    loss = rival.value(model(batch), batch)
    slopes = torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad], allow_unused=True)
    assert all(slope is None or not slope.any() for slope in slopes)
    for parameter in loop.players[1].trained:
        parameter.grad = None
    losses, _ = loop._losses_of(model, x, noise)
    loop._learn(loop.players[0], losses[0], 1e-3)
    assert all(p.grad is None for p in loop.players[1].trained)


def test_only_the_decoder_of_a_vae_gan_learns_to_deceive(discs):
    loop = made("vae-gan", discs)
    model, terms = loop.recipe.model, {term.name: term for term in loop.recipe.objective}
    x = model.scale(loop.pixels[:8])
    batch = Batch(x, {key: torch.randn(1, 8, *shape) for key, shape in loop._draws.items()})
    value = terms["deceive"].value(model(batch), batch)
    value.backward()
    assert all(p.grad is None for p in model.encoder.parameters())
    assert any(p.grad is not None and p.grad.any() for p in model.decoder.parameters())


def test_critics_that_nobody_has_trained_know_nothing():
    torch.manual_seed(0)
    critic = code_critic(3, [8])
    assert critic(torch.randn(5, 3)).shape == (5,)


@pytest.mark.parametrize("monitor", ["loss", "nll"])
def test_weights_after_the_last_step_are_published_unless_a_term_is_named(monitor, discs_file, tmp_path):
    """A critic that learns raises the loss, which says nothing of the model."""
    options = {"latent": 3, "layers": [6, 8], "critic": [8]}
    latentdial.train(
        "vae-gan", discs_file, tmp_path / "run", options=options, size=16, batch=16, steps=40, lr=3e-3, monitor=monitor
    )
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    seen = {record["step"]: record[monitor] for record in records if record["split"] == "validation"}
    best = min(seen, key=seen.__getitem__)
    assert best < 40  # the case that matters: the smallest is an earlier one
    published = json.loads((tmp_path / "run" / "summary.json").read_text())["published_step"]
    assert published == (40 if monitor == "loss" else best)


def test_a_run_with_a_rival_that_was_stopped_ends_byte_for_byte_like_one_that_was_not(discs_file, tmp_path):
    options = {"latent": 3, "layers": [6, 8], "critic": [8]}
    settings = {"size": 16, "batch": 16, "schedule": "constant", "warmup": 2, "keep_checkpoint": True}
    for out, steps in (("whole", [20]), ("parts", [9, 20])):
        for n in steps:
            latentdial.train(
                "factor-vae",
                discs_file,
                tmp_path / out,
                options=options,
                steps=n,
                resume=n == 20 > steps[0],
                **settings,
            )
    whole, parts = ((tmp_path / out / "model.safetensors").read_bytes() for out in ("whole", "parts"))
    assert whole == parts
    held = latentdial.load(tmp_path / "whole").model.state_dict()
    assert not any("critic" in name for name in held)
