"""Measures against cases known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio

from latentdial.measure.change import change
from latentdial.measure.reconstruction import reconstruction

pixels = arrays(np.uint8, (3, 5, 5, 3))


@given(pixels, pixels)
def test_mse_and_psnr_agree_with_another_library(first, second):
    result = reconstruction(first, second)
    pairs = list(zip(first / 255.0, second / 255.0, strict=True))
    assert result.mse == pytest.approx(np.mean([mean_squared_error(a, b) for a, b in pairs]))
    if all((a != b).any() for a, b in pairs):
        expected = np.mean([peak_signal_noise_ratio(a, b, data_range=1) for a, b in pairs])
        assert result.psnr == pytest.approx(expected)


def test_a_perfect_reconstruction_is_finite():
    same = np.zeros((2, 4, 4, 3), np.uint8)
    assert reconstruction(same, same).psnr == pytest.approx(100)


@given(arrays(np.uint8, (6, 6, 3)), arrays(np.uint8, (6, 6, 3)))
def test_change_is_symmetric_and_bounded(first, second):
    there, back = change(first, second), change(second, first)
    assert (there.mean, there.largest, there.share) == (back.mean, back.largest, back.share)
    assert 0 <= there.mean <= there.largest <= 255
    assert change(first, first).mean == 0


@given(st.integers(0, 2), st.integers(0, 2))
def test_change_says_where(row, column):
    before, after = np.zeros((9, 9, 3)), np.zeros((9, 9, 3))
    after[3 * row : 3 * row + 3, 3 * column : 3 * column + 3] = 100
    words = change(before, after).where
    expected = [["top left", "top centre", "top right"], ["middle left", "centre", "middle right"],
                ["bottom left", "bottom centre", "bottom right"]]  # fmt: skip
    assert words == expected[row][column]
    assert change(before, after).share == pytest.approx(1 / 9)
    assert f"most in the {words}" in change(before, after).sentence()
