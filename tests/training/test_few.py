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


def searched(pixels: torch.Tensor, errors: dict[float, float], flip: bool = False) -> tuple[Varied, list[Varied]]:
    """What `vary` gives where the error at each width is as told, and what it tried."""
    tried: list[Varied] = []

    def error(varied: Varied, others: torch.Tensor) -> float:
        assert torch.equal(others, pixels[EVERY - 1 :: EVERY])
        tried.append(varied)
        return errors[varied.width]

    return vary(pixels, flip, error), tried


def test_the_search_ends_where_the_error_of_pictures_left_out_rises():
    found, tried = searched(fields(40, 0, 1.0), {0.0: 5.0, 0.5: 4.0, 0.75: 3.0, 1.0: 3.0, 1.5: 0.0})
    assert [one.width for one in tried] == [0.0, 0.5, 0.75, 1.0]
    assert found.width == 0.75
    assert found.most == 2  # three standard deviations, rounded
    assert [len(one.pixels) for one in tried] == [32, *[TRIED // 32 * 32 + 32] * 3]
    assert COPIES <= len(found.pixels) < COPIES + 40


def test_copies_are_the_pictures_moved_by_whole_pixels_and_mirrored_where_they_may_be():
    pixels = fields(10, 0, 0.0)
    found, _ = searched(pixels, {0.0: 2.0, 0.5: 1.0, 0.75: 3.0}, flip=True)
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


def test_many_pictures_and_too_few_to_leave_any_out_come_back_as_they_are():
    for n in (EVERY - 1, FEW + 1):
        pixels = torch.zeros(n, 4, 4, 1, dtype=torch.uint8)
        assert vary(pixels, True, lambda varied, others: 0.0).pixels is pixels


def test_no_picture_is_moved_beyond_its_side():
    tiny = torch.arange(10 * 9, dtype=torch.uint8).view(10, 3, 3, 1)
    found, _ = searched(tiny, {width: -width for width in WIDTHS})
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


@pytest.mark.parametrize("recipe", ["fcn-ae", "fcn-vae"])
def test_a_net_that_starts_from_few_smooth_pictures_is_better_than_pca_with_others(recipe):
    pixels, others = fields(50, 1, 1.5), fields(200, 2, 1.5)
    net = model(recipe, widths=[64])
    varied = stand_ins(net, pixels, flip=False)
    start_at_pca(net, varied.pixels, components(net, varied.pixels, width=varied.width))
    plain = model("pca")
    start_at_pca(plain, pixels, components(plain, pixels))
    assert squared_error(net, others) < 0.88 * squared_error(plain, others)


def test_the_same_pictures_give_the_same_copies():
    one, two = (stand_ins(model(), fields(30, 0, 1.5), flip=True) for _ in range(2))
    assert one.width == two.width > 0
    assert torch.equal(one.pixels, two.pixels)


def test_blurring_is_gaussian():
    point = torch.zeros(1, 1, 9, 9)
    point[..., 4, 4] = 1
    seen = few.blurred(point, 1.0)[0, 0]
    assert seen[4, 4] / seen[4, 5] == pytest.approx(np.exp(0.5), rel=1e-4)
    assert seen.sum() == pytest.approx(1, abs=1e-5)


def test_training_with_few_pictures_says_so_moves_them_and_is_judged_by_plain_pca(tmp_path, capsys):
    np.save(tmp_path / "few.npy", fields(90, 3, 1.5).numpy())
    settings = {"size": SIDE, "steps": 4, "batch": 16, "priors": False, "checkpoint": 0, "show": True}
    said, pca_mse = {}, {}
    for name, options in {"fcn-ae": {"latent": LATENT, "widths": [64]}, "pca": {"latent": LATENT}}.items():
        latentdial.train(name, tmp_path / "few.npy", tmp_path / name, options=options, **settings)
        said[name] = "".join(capsys.readouterr())
        pca_mse[name] = json.loads((tmp_path / name / "summary.json").read_text())["pca_mse"]
    assert "few pictures: the net starts from copies" in said["fcn-ae"]
    assert "trains on such" in said["fcn-ae"]
    assert "copies" not in said["pca"]
    assert pca_mse["fcn-ae"] == pytest.approx(pca_mse["pca"], rel=1e-4)
