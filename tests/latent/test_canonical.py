"""Canonical coordinates: known ones of a linear decoder, the same for every basis of a code, and used by name."""

import numpy as np
import pytest
import torch

import latentdial
from latentdial.latent.canonical import Canonical, _sign, _spread, find_canonical, whitening
from latentdial.latent.codec import Codec
from latentdial.latent.effect import dimensions

PIXELS, LATENT = 30, 4
WEIGHT = torch.randn(LATENT, PIXELS, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Pictures (300, 30) in levels, of four factors that are correlated."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(300, LATENT)) @ rng.normal(size=(LATENT, PIXELS)) * [9.0, *[3.0] * (PIXELS - 1)] + 128


@pytest.fixture(scope="module")
def principal(pictures) -> tuple[np.ndarray, np.ndarray]:
    """Principal components (4, 30) of the pictures and their standard deviations, by SVD."""
    _, roots, axes = np.linalg.svd(pictures - pictures.mean(0), full_matrices=False)
    return axes[:LATENT], roots[:LATENT] / np.sqrt(len(pictures))


def bent(z: torch.Tensor) -> torch.Tensor:
    """A smooth decoder of 4 numbers that is not linear."""
    return 128 + 100 * torch.tanh(0.4 * z @ WEIGHT)


def test_of_a_linear_decoder_they_are_the_principal_components_of_its_pictures(pictures, principal):
    axes, sds = principal
    mix = np.random.default_rng(1).normal(size=(LATENT, LATENT))
    codes = ((pictures - pictures.mean(0)) @ axes.T @ mix + 7).astype(np.float32)
    back = torch.tensor(np.linalg.inv(mix) @ axes, dtype=torch.float32)
    found = find_canonical(lambda z: (z - 7) @ back, codes)
    assert found.levels == pytest.approx(sds / np.sqrt(PIXELS), rel=1e-4)
    assert found.shares == pytest.approx(np.cumsum(sds**2) / np.sum(sds**2), abs=1e-6)
    changes = found.steps @ back.numpy()
    assert np.abs(changes @ axes.T) == pytest.approx(np.diag(sds), abs=1e-3 * sds[0])
    coordinates = found.coordinates(codes)
    assert coordinates.mean(0) == pytest.approx(np.zeros(LATENT), abs=1e-5)
    assert np.cov(coordinates.T, bias=True) == pytest.approx(np.eye(LATENT), abs=1e-4)
    assert found.codes(coordinates) == pytest.approx(codes, abs=1e-3)


@pytest.mark.parametrize("seed", [0, 1])
def test_they_are_the_same_for_every_basis_of_the_code_signs_included(seed):
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(200, LATENT)) * [1.0, 2.0, 0.5, 1.5]
    change, shift = rng.normal(size=(LATENT, LATENT)), rng.normal(size=LATENT)
    back = torch.tensor(np.linalg.inv(change), dtype=torch.float64)
    plain = find_canonical(lambda z: bent(z.float()), codes)
    other = find_canonical(lambda z: bent(((z.double() - torch.tensor(shift)) @ back).float()), codes @ change + shift)
    assert other.levels == pytest.approx(plain.levels, rel=1e-3)
    assert other.coordinates(codes @ change + shift) == pytest.approx(plain.coordinates(codes), abs=1e-2)


def test_effects_are_orthogonal_on_average_and_in_order():
    codes = np.random.default_rng(2).normal(size=(24, LATENT)).astype(np.float32)
    found = find_canonical(bent, codes)
    gram = np.zeros((LATENT, LATENT))
    for code in torch.tensor(codes):
        change = torch.autograd.functional.jacobian(bent, code).double().numpy() @ found.steps.T
        gram += change.T @ change / len(codes) / PIXELS
    assert gram == pytest.approx(np.diag(found.levels**2), abs=1e-4 * found.levels[0] ** 2)
    assert (np.diff(found.levels) <= 0).all()


def test_a_decoder_without_derivatives_is_seen_by_differences():
    codes = np.random.default_rng(2).normal(size=(50, LATENT)).astype(np.float32)
    plain, stepped = find_canonical(bent, codes), find_canonical(lambda z: bent((z * 64).round() / 64), codes)
    assert stepped.levels == pytest.approx(plain.levels, rel=0.1)
    assert np.abs(stepped.steps[0] @ plain.readers[0]) == pytest.approx(1, abs=0.02)


def test_a_code_of_lower_rank_few_codes_one_dimension_and_none_that_varies():
    rng = np.random.default_rng(4)
    flat = rng.normal(size=(100, 2)) @ rng.normal(size=(2, LATENT))
    found = find_canonical(bent, flat.astype(np.float32))
    assert found.steps.shape == (2, LATENT)
    assert found.codes(found.coordinates(flat)) == pytest.approx(flat, abs=1e-4)
    few = find_canonical(bent, rng.normal(size=(3, LATENT)).astype(np.float32))
    assert few.steps.shape == (2, LATENT)
    assert few.readers @ few.steps.T == pytest.approx(np.eye(2), abs=1e-9)
    line = find_canonical(lambda z: z * torch.tensor([1.0, -3.0]), rng.normal(size=(40, 1)).astype(np.float32))
    assert line.levels == pytest.approx(np.sqrt(5) / line.readers[0, 0], rel=1e-5) or line.readers[0, 0] < 0
    still = find_canonical(bent, np.ones((9, LATENT), np.float32))
    assert still.steps.shape == (0, LATENT)
    assert still.shares.shape == (0,)
    assert still.coordinates(flat).shape == (100, 0)
    steps, readers = whitening(np.pad(flat - flat.mean(0), ((0, 0), (0, 200))))  # fewer codes than dimensions
    assert steps.shape == (2, LATENT + 200)
    assert readers @ steps.T == pytest.approx(np.eye(2), abs=1e-9)


def one_of(levels: list[float]) -> Canonical:
    n = len(levels)
    return Canonical(np.zeros(n), np.eye(n), np.eye(n), np.array(levels))


def test_shares_say_how_many_coordinates_make_up_a_share_of_the_variance():
    assert one_of([3, 1]).shares == pytest.approx([0.9, 1])
    assert [one_of([4, 2]).needed(share) for share in (0.5, 0.8, 0.81, 1.0, 2.0)] == [1, 1, 2, 2, 2]
    assert [one_of([100, 1]).telling, one_of([10, 1]).telling, one_of([1.0] * 40).telling] == [1, 2, 32]
    assert one_of([0, 0]).shares.tolist() == [1, 1]
    assert one_of([0.5, 0]).shares.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("change", "sign"),
    [
        ([1, 1], 1), ([-1, -1], -1), ([0, 0], 1),
        ([3, -1, -1, -1], 1), ([-3, 1, 1, 1], -1),  # neither brighter nor darker, but skewed
        ([1, 1, 1, -2.5], -1), ([1, 1, 1, -2], 1),  # brighter by 0.07 and by 0.19 of its size
    ],
)  # fmt: skip
def test_plus_is_brighter_or_skewed_upwards(change, sign):
    assert _sign(np.array(change, float)) == sign


def test_codes_that_the_effects_are_averaged_over_are_spread_over_all():
    codes = torch.arange(100.0)[:, None]
    assert _spread(codes, 10).flatten().tolist() == [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]
    assert [len(_spread(codes, count)) for count in (0, 8, 9, 24, 25, 1000)] == [8, 8, 9, 24, 24, 24]
    assert len(_spread(codes[:3], 10)) == 3


def test_fewer_codes_are_taken_where_pictures_are_large(monkeypatch):
    monkeypatch.setattr("latentdial.latent.canonical.WORK", 4 * PIXELS * 10)
    seen = []
    codes = np.random.default_rng(0).normal(size=(50, LATENT)).astype(np.float32)
    find_canonical(lambda z: seen.append(1) or bent(z), codes)
    assert len(seen) == 1 + 10


def test_differences_are_those_of_half_a_standard_deviation_either_way():
    """Of z^3 at 1 and -1 they are 3 + 1 / 4; a decoder that derivatives do not pass has no others."""
    codes = np.array([[-1.0], [1.0]], np.float32)
    found = find_canonical(lambda z: torch.cat([z.detach() ** 3, 3 * z.detach() ** 3], 1), codes)
    assert found.levels == pytest.approx([3.25 * 5**0.5])
    exact = find_canonical(lambda z: torch.cat([z**3, 3 * z**3], 1), codes)
    assert exact.levels == pytest.approx([3 * 5**0.5])


def test_codes_that_make_no_numbers_are_left_out():
    codes, sd = np.array([[-1.0], [1.0], [-2.0], [2.0]], np.float32), 2.5**0.5
    found = find_canonical(lambda z: z * z * torch.where(z > 1.5, torch.nan, 1.0), codes)
    assert found.levels == pytest.approx([sd * (np.mean([4, 4, 16])) ** 0.5], rel=1e-5)
    none = find_canonical(lambda z: z * torch.nan, codes)
    assert none.levels.tolist() == [0]


@pytest.mark.parametrize(("apart", "kept"), [(1e-3, 2), (1e-4, 2), (1e-7, 1)])
def test_what_varies_by_rounding_alone_is_no_coordinate(apart, kept):
    a, b = np.random.default_rng(0).normal(size=(2, 500))
    codes = np.stack([a, a + apart * b], 1) * [1, 1e-3]
    steps, readers = whitening(codes - codes.mean(0))
    assert len(steps) == kept
    assert readers @ steps.T == pytest.approx(np.eye(kept), abs=1e-5)


def test_there_are_1024_coordinates_at_most_whatever_the_code():
    codes = np.random.default_rng(0).normal(size=(1040, 1030))
    assert whitening(codes - codes.mean(0))[0].shape == (1024, 1030)


def test_wrapped_nets_and_grey_pictures_have_them_too():
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 255, (60, 4, 4, 1), np.uint8)
    codec = latentdial.wrap(
        torch.nn.Linear(16, 3), torch.nn.Linear(3, 16), size=4, colour="grey", value_range=(0, 1), images=pixels
    )
    assert [row.name for row in dimensions(codec).rows] == ["c0", "c1", "c2"]
    assert codec.fit(pixels[:2]).canonical.steps.shape == (1, 3)
    assert isinstance(codec, Codec)
