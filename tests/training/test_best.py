"""Which validation was the best so far."""

from __future__ import annotations

import pytest

from latentdial import LatentdialError
from latentdial.config import ModelSettings, TrainSettings
from latentdial.recipes import build
from latentdial.training.best import Best, best_of


def noted(best: Best, *values: float) -> list[tuple[bool, int]]:
    """Whether each of these validations was the best, and how many there were since that, from step 10 on."""
    found = []
    for step, value in enumerate(values, best.step + 10):
        found.append((best.better({"split": "validation", "step": step, "nll": value, "kl": 0.0}), best.waited))
    return found


def test_the_smallest_value_is_the_best_and_the_first_of_equal_ones():
    best = Best("nll")
    nan = float("nan")
    assert noted(best, 3.0, 3.0, 4.0, 2.0, nan) == [(True, 0), (False, 1), (False, 2), (True, 0), (False, 1)]
    assert (best.value, best.step, best.weights) == (2.0, 13, None)


def test_before_the_first_of_them_nothing_is_the_best_and_bad_ones_are_waited_for():
    best = Best("nll")
    assert noted(best, float("inf"), float("nan")) == [(False, 1), (False, 2)]
    assert best.step == 0


def test_what_can_be_monitored_is_told():
    with pytest.raises(LatentdialError, match="no validation term 'psnr': --monitor takes kl, nll"):
        Best("psnr").better({"split": "validation", "step": 1, "epoch": 1.0, "seconds": 2.0, "nll": 1.0, "kl": 0.0})


def test_a_loss_against_a_critic_is_never_the_best_and_nothing_waits_for_it():
    rivals, alone = (build(ModelSettings(name, {"latent": 2}), (3, 16, 16)) for name in ("vae-gan", "conv-vae"))
    best = best_of(rivals, TrainSettings())
    assert [best.better({"loss": value, "step": 1}) for value in (3.0, 2.0)] == [False, False]
    assert (best.waited, best.step) == (0, 0)
    with pytest.raises(LatentdialError, match="--monitor nll"):
        best_of(rivals, TrainSettings(patience=2))
    named = best_of(rivals, TrainSettings(patience=2, monitor="nll"))
    assert named.better({"nll": 3.0, "step": 1})
    assert best_of(alone, TrainSettings(patience=2)).better({"loss": 3.0, "step": 1})
