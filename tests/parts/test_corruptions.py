"""How pictures are spoilt, by hand."""

from __future__ import annotations

import pytest
import torch

from latentdial.parts.corruptions import Mask, Noise


def test_pictures_are_spoilt_by_their_definition():
    x, noise = torch.full((1, 2, 1, 4), 0.5), torch.zeros(1, 2, 1, 4)
    noise[0, 0, 0] = torch.tensor([-5.9, -0.1, 0.0, 5.9])
    for share, black in ((0.0, []), (0.5, [0, 1]), (1.0, [0, 1, 2, 3])):
        spoilt = Mask((2, 1, 4), share, -1.0)(x, noise)
        assert (spoilt == -1).all(1).nonzero()[:, 2].tolist() == black
        assert (spoilt[spoilt != -1] == 0.5).all()
    assert Noise((2, 1, 4), 0.25)(x, noise)[0, 0, 0].tolist() == pytest.approx([-0.975, 0.475, 0.5, 1.975])
