"""When a net was best."""

from __future__ import annotations

import torch
from torch import nn

from latentdial.priors.kept import best_state


def told(losses: list[float], patience: int) -> tuple[float, float, int]:
    """The least loss, the weight that the net had then, and how many losses were asked for."""
    net, asked = nn.Linear(1, 1), []

    def looks():
        for i, loss in enumerate(losses):
            asked.append(loss)
            nn.init.constant_(net.weight, i)
            yield loss, net

    loss, state = best_state(looks(), patience)
    return loss, state["weight"].item(), len(asked)


def test_the_best_is_kept_as_it_was():
    assert told([3.0, 1.0, 2.0], 9) == (1.0, 1, 3)


def test_the_first_of_equal_ones_is_the_best_and_only_less_is_gain():
    assert told([1.0, 1.0, 1.0, 0.0], 2) == (1.0, 0, 3)


def test_looks_without_gain_count_anew_after_one():
    assert told([5.0, 6.0, 4.0, 6.0, 6.0, 0.0], 2) == (4.0, 2, 5)


def test_a_loss_that_is_no_number_is_never_the_best():
    assert told([float("nan"), 2.0, float("nan")], 9) == (2.0, 1, 3)


def test_all_of_a_net_is_kept():
    net = nn.BatchNorm1d(2)
    state = best_state([(1.0, net)], 1)[1]
    assert state.keys() == net.state_dict().keys()
    assert not any(tensor.requires_grad for tensor in state.values())
    net.running_mean.add_(1)
    assert torch.equal(state["running_mean"], torch.zeros(2))
