"""Optimizers and schedules as the settings name them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from latentdial.config import TrainSettings
from latentdial.training.optimizers import kl_schedule, lr_schedule, make_optimizers, set_rate, warmup_steps


def test_rates_rise_within_a_twentieth_of_the_run_and_a_hundred_steps_at_most():
    plain = TrainSettings()
    assert [warmup_steps(plain, steps) for steps in (9, 39, 40, 1000, 2000, 10_000)] == [1, 1, 2, 50, 100, 100]
    assert [warmup_steps(TrainSettings(warmup=given), 1000) for given in (0, 1, 700)] == [1, 1, 700]


def test_schedules_are_those_that_the_settings_name():
    def factors(schedule):
        return [round(schedule(done), 6) for done in (0.0, 0.25, 0.5, 1.0)]

    assert factors(lr_schedule(TrainSettings(schedule="constant"))) == [1, 1, 1, 1]
    assert factors(lr_schedule(TrainSettings(schedule="cosine"))) == [1, 0.853553, 0.5, 0]
    assert factors(lr_schedule(TrainSettings(schedule="step", decay_at=[0.25], decay=0.1))) == [1, 0.1, 0.1, 0.1]
    assert factors(kl_schedule(TrainSettings(kl_schedule="constant"))) == [1, 1, 1, 1]
    assert factors(kl_schedule(TrainSettings(kl_schedule="linear", kl_rise=0.5))) == [0, 0.5, 1, 1]
    cyclic = kl_schedule(TrainSettings(kl_schedule="cyclic", kl_rise=0.5, kl_cycles=2))
    assert factors(cyclic) == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("name", "kind", "fused"),
    [
        ("adam", torch.optim.Adam, True),
        ("adamw", torch.optim.AdamW, True),
        ("sgd", torch.optim.SGD, True),
        ("adagrad", torch.optim.Adagrad, True),
    ],
)
def test_an_optimizer_has_the_settings_and_trains_what_can_be_trained(name, kind, fused):
    model = nn.Sequential(nn.Conv2d(1, 2, 32), nn.Linear(3, 4)).requires_grad_()
    model[1].bias.requires_grad_(False)
    for start in ("pca", "random"):
        settings = TrainSettings(optimizer=name, lr=0.02, weight_decay=0.3, start=start)
        (optimizer,) = make_optimizers(model, settings, "cpu")
        assert type(optimizer) is kind
        assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (0.02, 0.3)
        assert optimizer.defaults["fused"] == fused
        held = [p for group in optimizer.param_groups for p in group["params"]]
        assert len(held) == 3
        set_rate(optimizer, 0.5)
        shared = start == "pca" and name in ("adam", "adamw")
        assert sorted({group["lr"] for group in optimizer.param_groups}) == ([0.25, 0.5] if shared else [0.5])
    on_apple = make_optimizers(model, TrainSettings(optimizer="sgd"), "mps:0")[0]
    assert not on_apple.defaults["fused"]
    assert not make_optimizers(model, TrainSettings(optimizer="adagrad"), "cuda")[0].defaults["fused"]


def test_muon_alone_trains_a_net_of_matrices():
    settings = TrainSettings(optimizer="muon", lr=0.02, weight_decay=0.3)
    muon, rest = make_optimizers(nn.Linear(3, 4), settings, "cpu")
    assert (muon.defaults["lr"], muon.defaults["weight_decay"]) == (0.02, 0.3)
    assert [tuple(p.shape) for p in rest.param_groups[0]["params"]] == [(4,)]
    assert len(make_optimizers(nn.Linear(3, 4, bias=False), settings, "cpu")) == 1
