"""What few pictures stand for: copies moved and blurred as far as serves pictures that were left out."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import latentdial
from latentdial.config import ModelSettings
from latentdial.measure.principal import principal_components, principal_within
from latentdial.recipes import build
from latentdial.training import few
from latentdial.training.few import COPIES, EVERY, FEW, TRIED, WIDTHS, Varied, vary
from latentdial.training.starting import components, stand_ins, start_at_pca

SIDE, LATENT = 16, 12


def fields(n: int, seed: int, smooth: float) -> torch.Tensor:
    """Grey pictures of noise, blurred by so many pixels: uint8 (N, 16, 16, 1)."""
    noise = np.random.default_rng(seed).normal(size=(n, SIDE, SIDE))
    field = gaussian_filter(noise, (0, smooth, smooth), mode="nearest") if smooth else noise
    levels = 128 + 40 * field / field.std()
    return torch.from_numpy(levels.clip(0, 255).astype(np.uint8)[..., None])


def model(recipe: str = "fcn-ae", **options):
    torch.manual_seed(0)
    return build(ModelSettings(recipe, {"latent": LATENT, **options}), (1, SIDE, SIDE)).model


def squared_error(net, pixels: torch.Tensor) -> float:
    x = net.scale(pixels)
    with torch.no_grad():
        return float((net.decode(net.encode(x)) - x).square().mean())


def searched(
    pixels: torch.Tensor, errors: dict[float, float], flip: bool = False, at_random: float = 99.0
) -> tuple[Varied, list[Varied]]:
    """What `vary` gives where the error at each width is as told, and what it tried."""
    tried: list[Varied] = []

    def error(varied: Varied, others: torch.Tensor) -> tuple[float, float]:
        assert torch.equal(others, pixels[EVERY - 1 :: EVERY])
        tried.append(varied)
        return errors[varied.width], at_random

    return vary(pixels, flip, error), tried


def test_the_search_ends_where_the_error_of_pictures_left_out_rises():
    found, tried = searched(fields(40, 0, 1.0), {0.0: 5.0, 0.5: 4.0, 0.75: 3.0, 1.0: 3.0, 1.5: 0.0})
    assert [one.width for one in tried] == [0.0, 0.5, 0.75, 1.0]
    assert found.width == 0.75
    assert found.most == 2  # three standard deviations, rounded
    assert [len(one.pixels) for one in tried] == [32, *[TRIED // 32 * 32 + 32] * 3]
    assert COPIES <= len(found.pixels) < COPIES + 40


def test_widths_are_tried_one_after_the_other_as_far_as_the_picture_is_wide():
    """Of 16 pixels, 12 are the farthest that three standard deviations go."""
    widths = [0.0, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0]
    found, tried = searched(fields(10, 0, 1.0), {width: 9.0 - width for width in widths})
    assert [one.width for one in tried] == widths
    assert found.most == 12


@pytest.mark.parametrize(("at_random", "varied"), [(3.1, False), (3.2, True)])
def test_pictures_of_which_no_directions_tell_more_than_those_at_random_stay_as_they_are(at_random, varied):
    pixels = fields(10, 0, 1.0)
    found, _ = searched(pixels, {0.0: 5.0, 0.5: 3.0, 0.75: 4.0}, at_random=at_random)
    assert (found.width, found.pixels is not pixels) == (0.5 * varied, varied)


def test_copies_are_the_pictures_moved_by_whole_pixels_and_mirrored_where_they_may_be():
    pixels = fields(10, 0, 0.0)
    found, tried = searched(pixels, {0.0: 2.0, 0.5: 1.0, 0.75: 3.0}, flip=True)
    assert [len(one.pixels) for one in tried] == [16, 512, 512]  # of eight that are not left out, and mirrored
    assert found.most == 2
    both = torch.cat([pixels, pixels.flip(2)])
    padded = np.pad(both.numpy(), ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    moves = [(a, b) for a in range(5) for b in range(5)]
    used = set()
    for row, copy in enumerate(found.pixels.numpy()):
        own = padded[row % len(both)]
        (move,) = [(a, b) for a, b in moves if np.array_equal(copy, own[a : a + SIDE, b : b + SIDE])]
        used.add(move)
    assert {(2, 2), (1, 2), (2, 3)} <= used
    still, _ = searched(pixels, {0.0: 1.0, 0.5: 2.0}, flip=True)
    assert torch.equal(still.pixels, both)
    assert still.most == 0


@pytest.mark.parametrize(("n", "varied"), [(EVERY - 1, False), (EVERY, True), (FEW, True), (FEW + 1, False)])
def test_many_pictures_and_too_few_to_leave_any_out_come_back_as_they_are(n, varied):
    pixels = torch.zeros(n, 4, 4, 1, dtype=torch.uint8)
    found = vary(pixels, True, lambda varied, others: (1.0, 2.0)).pixels
    assert len(found) == (2 * n if varied else n)
    assert (found is pixels) != varied


def test_every_copy_is_moved_on_its_own_by_about_the_width_up_or_down_and_to_a_side():
    """Points in the middle of pictures are where these were moved to."""
    points = torch.zeros(10, 21, 21, 1, dtype=torch.uint8)
    points[:, 10, 10] = 255
    found, _ = searched(points, {width: 1 / (1 + width) if width <= 2 else 1.0 for width in WIDTHS})
    places = torch.stack([torch.nonzero(one[..., 0])[0] for one in found.pixels]).double() - 10
    assert (found.width, found.most) == (2.0, 6)
    assert places.abs().max() <= 6
    np.testing.assert_allclose(places.std(0), [2, 2], rtol=0.08)  # rounded, and none beyond three
    np.testing.assert_allclose(np.corrcoef(places.T)[0, 1], 0, atol=0.1)
    np.testing.assert_allclose(places.mean(0), [0, 0], atol=0.2)


@pytest.mark.parametrize("shape", [(10, 3, 3, 1), (10, 3, 20, 1), (10, 20, 3, 1)])
def test_no_picture_is_moved_beyond_its_side(shape):
    tiny = torch.arange(np.prod(shape)).view(shape).to(torch.uint8)
    found, _ = searched(tiny, {width: 1 / (1 + width) for width in WIDTHS})
    assert found.most < 3


def test_components_within_a_whole_basis_are_the_principal_ones():
    x = fields(60, 0, 1.0).flatten(1).float() / 127.5 - 1
    turned = torch.linalg.qr(torch.randn(256, 256, generator=torch.Generator().manual_seed(0)))[0]
    ours, known = principal_within(lambda: x.split(25), turned), principal_components(lambda: [x], 10)
    torch.testing.assert_close(ours.variances[:10], known.variances, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close((ours.components[:5] @ known.components[:5].T).abs(), torch.eye(5), atol=1e-3, rtol=0)
    assert ours.total == pytest.approx(known.total)


def test_smooth_pictures_are_moved_and_those_of_independent_pixels_are_not():
    smooth, rough = fields(50, 1, 1.5), torch.repeat_interleave(fields(50, 1, 0.0)[:, :, :1], SIDE, 2)
    assert stand_ins(model(), smooth, flip=False).width >= 0.75
    rough[:, 1::2] = 255 - rough[:, ::2]  # rows in pairs, the second of which is the first inverted
    assert stand_ins(model(), rough, flip=False).width == 0
    both = stand_ins(model(), rough, flip=True).pixels
    assert torch.equal(both[50:], rough.flip(2))


@pytest.mark.parametrize("n", [30, 200])
def test_pictures_of_noise_stay_as_they_are(n):
    """Though their mean would gain a little by being moved."""
    noise = fields(n, 1, 0.0) // 4  # all of them are dark, which they have in common
    assert stand_ins(model(), noise, flip=True).pixels is noise


def test_pictures_are_moved_the_farther_the_farther_apart_their_shapes_lie():
    """Mixtures of three shapes, put somewhere with a standard deviation of so many pixels."""
    rng, shapes = np.random.default_rng(1), fields(3, 9, 1.5)[..., 0].numpy() - 128.0
    mixed = np.einsum("nk,kxy->nxy", rng.normal(size=(40, 3)), shapes) * 0.6
    moves, widths = rng.normal(size=(40, 2)), []
    for spread in (0, 2, 4):
        put = [
            np.roll(one, tuple(move), (0, 1))
            for one, move in zip(mixed, (spread * moves).round().astype(int), strict=True)
        ]
        pixels = torch.from_numpy((128 + np.stack(put)).clip(0, 255).astype(np.uint8)[..., None])
        widths.append(stand_ins(model(latent=6), pixels, flip=False).width)
    assert widths[0] == 0 < widths[1] < widths[2]


def test_components_in_smooth_directions_are_those_of_the_pictures_themselves():
    """White codes are of the pictures as they are, whose mean and variances these are."""
    net, pixels = model(), fields(60, 1, 1.0)
    found = components(net, pixels, width=1.0)
    rows = net.scale(pixels).flatten(1)
    torch.testing.assert_close(found.mean, rows.mean(0), atol=1e-5, rtol=0)
    seen = found.project(rows)
    torch.testing.assert_close(seen.T @ seen / 60, found.variances.diag(), atol=1e-4, rtol=1e-4)
    plain = components(net, pixels)
    assert found.variances.sum() < 0.99 * plain.variances.sum()
    step = found.components.view(-1, SIDE, SIDE).diff(dim=2).square().sum((1, 2))
    assert step.mean() < 0.8 * plain.components.view(-1, SIDE, SIDE).diff(dim=2).square().sum((1, 2)).mean()


@pytest.mark.parametrize("recipe", ["fcn-ae", "fcn-vae"])
def test_a_net_that_starts_from_few_smooth_pictures_is_better_than_pca_with_others(recipe):
    pixels, others = fields(50, 1, 1.5), fields(200, 2, 1.5)
    net = model(recipe, widths=[64])
    varied = stand_ins(net, pixels, flip=False)
    start_at_pca(net, varied.pixels, components(net, varied.pixels, width=varied.width))
    plain = model("pca")
    start_at_pca(plain, pixels, components(plain, pixels))
    assert squared_error(net, others) < 0.88 * squared_error(plain, others)


def test_the_same_pictures_give_the_same_copies_whatever_was_drawn_before():
    net, found = model(), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(stand_ins(net, fields(30, 0, 1.5), flip=True))
    assert found[0].width == found[1].width > 0
    assert torch.equal(found[0].pixels, found[1].pixels)


def test_blurring_is_gaussian_in_every_picture_and_colour_on_its_own():
    point = torch.zeros(3, 2, 9, 9)
    point[1, 1, 4, 4] = 1
    seen = few.blurred(point, 1.0)
    assert seen[1, 1, 4, 4] / seen[1, 1, 4, 5] == pytest.approx(np.exp(0.5), rel=1e-4)
    assert seen[1, 1, 4, 4] / seen[1, 1, 5, 4] == pytest.approx(np.exp(0.5), rel=1e-4)
    assert seen[1, 1].sum() == seen.sum() == pytest.approx(1, abs=1e-5)


def test_training_with_few_pictures_says_so_moves_them_and_is_judged_by_plain_pca(tmp_path, capsys):
    np.save(tmp_path / "few.npy", fields(90, 3, 1.5).numpy())
    settings = {"size": SIDE, "steps": 4, "batch": 16, "priors": False, "checkpoint": 0, "show": True}
    said, pca_mse = {}, {}
    for name, options in {"fcn-ae": {"latent": LATENT, "widths": [64]}, "pca": {"latent": LATENT}}.items():
        latentdial.train(name, tmp_path / "few.npy", tmp_path / name, options=options, **settings)
        said[name] = "".join(capsys.readouterr())
        pca_mse[name] = json.loads((tmp_path / name / "summary.json").read_text())["pca_mse"]
    assert "few pictures: the net starts from copies" in said["fcn-ae"]
    assert "trains on such (--crop 0 does not)" in said["fcn-ae"]
    assert "copies" not in said["pca"]
    assert pca_mse["fcn-ae"] == pytest.approx(pca_mse["pca"], rel=1e-4)
