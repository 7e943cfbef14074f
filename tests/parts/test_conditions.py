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
    assert torch.equal(seen, x)  # before a start, pictures of labels are zero
    means = torch.randn(4, 40)
    condition.start(means)
    torch.testing.assert_close(condition.picture(x, torch.tensor([3, 0, 1])), x - means[[3, 0, 1]].view_as(x))
    code = condition.code(like, torch.tensor([3, 0, 1]))
    assert code.shape == (3, 13)
    assert torch.equal(code[0, 7:], condition.words.weight[3])
