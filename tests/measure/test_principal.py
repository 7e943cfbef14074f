"""Principal components of a few pictures, by hand."""

from __future__ import annotations

import pytest
import torch

from latentdial import LatentdialError
from latentdial.measure.principal import principal_components

# Four pictures about (1, 2, 3), of which two are 6 away along the last axis and two are 2 away along the first.
ROWS = torch.tensor([1.0, 2, 3]) + torch.tensor([[0, 0, 6.0], [0, 0, -6], [-2, 0, 0], [2, 0, 0]])


@pytest.mark.parametrize("parts", [1, 3, 4])
def test_components_of_four_pictures(parts):
    asked = []
    found = principal_components(lambda: asked.append(1) or ROWS.view(4, 3, 1).split(parts), 5, rounds=3)
    assert len(asked) == 3 + 2
    torch.testing.assert_close(found.mean, torch.tensor([1.0, 2, 3]))
    torch.testing.assert_close(found.variances, torch.tensor([18.0, 2.0]))
    torch.testing.assert_close(found.components, torch.eye(3)[[2, 0]], atol=1e-5, rtol=0)
    assert found.total == pytest.approx(20)
    assert found.rest == pytest.approx(0, abs=1e-4)
    assert principal_components(lambda: ROWS.split(parts), 1).variances.tolist() == pytest.approx([18])


def test_a_component_that_is_a_millionth_of_the_first_counts_and_a_hundredth_of_that_is_rounding():
    rows = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, 1e-3, 0], [0, -1e-3, 0], [0, 0, 1e-4], [0, 0, -1e-4]])
    found = principal_components(lambda: [rows], 3)
    assert found.variances.tolist() == pytest.approx([1 / 3, 1e-6 / 3], rel=1e-3)
    assert principal_components(lambda: [rows * 1e-6], 3).variances.tolist() == pytest.approx(
        [1e-12 / 3, 1e-18 / 3], rel=1e-2
    )
    still = principal_components(lambda: [torch.ones(3, 4)], 2)
    assert (len(still.variances), still.total, still.components.shape) == (0, 0, (0, 4))


def test_one_seed_gives_the_same_bits_and_bad_values_are_refused():
    first, again = (principal_components(lambda: [ROWS], 2, seed=3) for _ in range(2))
    assert torch.equal(first.components, again.components)
    with pytest.raises(LatentdialError, match="not finite"):
        principal_components(lambda: [ROWS, ROWS * torch.inf], 1)
    with pytest.raises(LatentdialError, match="no pictures to find"):
        principal_components(list, 1)
