"""How a diffusion of codes is trained: its rates, its batches and the average that is looked at."""

from __future__ import annotations

from math import cos, pi

import numpy as np
import pytest
import torch

from latentdial.priors import diffusion
from latentdial.priors.diffusion import Diffusion


@pytest.fixture
def often(monkeypatch):
    """A look after every step, a warm-up of four and an average that keeps three tenths."""
    for name, value in {"EVERY": 1, "WARM_UP": 4, "KEPT": 0.3}.items():
        monkeypatch.setattr(diffusion, name, value)


def codes(n: int = 40) -> torch.Tensor:
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(0))


def weights(net: torch.nn.Module) -> torch.Tensor:
    return torch.cat([one.detach().flatten() for one in net.parameters()])


def test_what_is_looked_at_is_a_mean_of_late_nets(often):
    """Of the first ones a true mean; later the last net counts seven tenths."""
    torch.manual_seed(0)
    net = Diffusion(3, 8)
    expected = weights(net)
    looks = diffusion._trained(net, codes(), 6, "float32")
    for done, (step, average) in enumerate(looks):
        assert step == done
        if done:
            expected = expected.lerp(weights(net), 1 - min(0.3, done / (done + 9)))
        torch.testing.assert_close(weights(average), expected)
        assert not average.training
        assert net.training
    assert done == 6
    assert (weights(net) - expected).abs().max() > 1e-4


def test_a_rate_rises_over_the_warm_up_and_falls_to_nothing(often, monkeypatch):
    rates = []

    class Recording(torch.optim.AdamW):
        def step(self, *args, **kwargs):
            rates.append(self.param_groups[0]["lr"])
            return super().step(*args, **kwargs)

    monkeypatch.setattr(torch.optim, "AdamW", Recording)
    list(diffusion._trained(Diffusion(3, 8), codes(), 8, "float32"))
    shares = [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]
    expected = [diffusion.RATE * share * cos(0.5 * pi * step / 8) for step, share in enumerate(shares)]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize(("count", "size"), [(40, 128), (600, 150), (9000, 1024)])
def test_a_batch_is_a_quarter_of_the_codes_within_bounds_and_its_times_are_spread(count, size, monkeypatch):
    seen = []
    loss = diffusion._loss
    monkeypatch.setattr(diffusion, "_loss", lambda *args: seen.append(args[1:3]) or loss(*args))
    w = codes(count)
    list(diffusion._trained(Diffusion(3, 8), w, 2, "float32"))
    for batch, times in seen:
        assert len(batch) == size
        assert (times[:, 0] * size).long().tolist() == pytest.approx(range(size), abs=1)
        assert (batch[:, None] == w).all(2).any(1).all()
    assert not torch.equal(seen[0][0], seen[1][0])


def test_few_codes_are_kept_apart_and_each_is_judged_often(monkeypatch):
    """A fifth of few, some 400 of many, at eight times and noises each."""
    judged = []
    monkeypatch.setattr(diffusion, "_trained", lambda net, w, *_: judged.append(len(w)) or iter([(0, net)]))
    monkeypatch.setattr(
        diffusion, "_loss", lambda net, w, t, noise, precision: judged.append((len(w), t, noise)) or torch.zeros(())
    )
    for count, apart in ((50, 10), (4000, 400)):
        judged.clear()
        diffusion.fit_diffusion(np.zeros((count, 3), np.float32), width=8, steps=1)
        left, (kept, times, noise) = judged
        assert (left, kept) == (count - apart, 8 * apart)
        assert 0 <= times.min() < 0.1 < 0.9 < times.max() <= 1
        assert noise.std().item() == pytest.approx(1, abs=0.1)


def test_codes_come_out_of_the_noise_in_32_steps_from_first_to_last_time():
    times = []

    class Watched(Diffusion):
        def forward(self, u, t):
            times.append(float(t.flatten()[0]))
            return super().forward(u, t)

    Watched(2, 8).eval().sample(3, np.random.default_rng(0))
    steps = np.linspace(0, 1, 33)
    assert times == pytest.approx(np.stack([steps[:-1], steps[1:]], 1).ravel().tolist(), abs=1e-6)
