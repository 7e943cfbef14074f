"""What labels tell the nets."""

from __future__ import annotations

import torch

from latentdial.parts.conditions import Condition


def test_labels_are_rows_and_row_zero_is_none():
    condition = Condition(3, (2, 4, 5), 6, 0.25)
    y, like = torch.tensor([0, 2, 1]), torch.zeros(3, 7)
    assert condition.rows(None, like).tolist() == [0, 0, 0]
    assert condition.rows(y, like).tolist() == [1, 3, 2]
    noise = torch.special.ndtri(torch.tensor([0.24, 0.26, 0.9]))
    assert condition.rows(y, like, noise).tolist() == [0, 3, 2]
    x = torch.randn(3, 2, 4, 5)
    seen = condition.picture(x, torch.tensor([3, 0, 1]))
    assert seen.shape == (3, 3, 4, 5)
    assert torch.equal(seen[:, :2], x)
    assert torch.equal(seen[0, 2].flatten(), condition.plane[0].weight[3])
    code = condition.code(like, torch.tensor([3, 0, 1]))
    assert code.shape == (3, 13)
    assert torch.equal(code[0, 7:], condition.words.weight[3])
