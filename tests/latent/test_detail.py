"""Detail that moves along with an edit: shifted, darkened and redrawn pictures, where the right answer is known."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter, zoom
from skimage.registration import optical_flow_ilk

from latentdial.images.avatars import draw_all, draw_factors
from latentdial.latent.detail import preserve
from latentdial.latent.motion import blur, flow, warp

INSIDE = slice(10, -10)


def blurred(pictures, sd=1.5):
    """What a codec leaves of pictures (N, H, W, C)."""
    return gaussian_filter(np.asarray(pictures, float), (0, sd, sd, 0), mode="nearest")


def textures(n=3, side=64, channels=3, seed=0):
    """Pictures with large shapes and fine grain."""
    rng = np.random.default_rng(seed)
    shapes = gaussian_filter(rng.normal(size=(n, side, side, channels)), (0, 5, 5, 0))
    grain = gaussian_filter(rng.normal(size=(n, side, side, channels)), (0, 0.7, 0.7, 0))
    return np.clip(128 + 45 * shapes / shapes.std() + 12 * grain / grain.std(), 0, 255)


def left(made, truth):
    """Squared error inside the picture."""
    return np.square(made - truth)[:, INSIDE, INSIDE].mean()


def tensor(pictures):
    return torch.from_numpy(np.moveaxis(pictures / 255, -1, 1)).float()


def test_a_picture_that_was_not_edited_is_its_source():
    sources = textures()
    before = blurred(sources)
    np.testing.assert_allclose(preserve(sources, before, before), sources, atol=0.01)


@pytest.mark.parametrize("shift", [(3, 0), (-2, 4), (0, 5)])
def test_detail_moves_with_the_picture(shift):
    sources = textures()
    truth = np.roll(sources, shift, (1, 2))
    before, after = blurred(sources), blurred(truth)
    lost = left(after, truth)
    assert left(preserve(sources, before, after), truth) < 0.15 * lost
    assert left(after + sources - before, truth) > 1.5 * lost  # in place it does harm


def test_detail_takes_on_the_contrast_of_the_edit():
    sources = textures()
    before = blurred(sources)
    for share in (0.4, 0.7):
        made = preserve(sources, before, share * before + 20)
        assert left(made, share * sources + 20) < 0.02 * left(share * before + 20, share * sources + 20)


def test_detail_fades_where_something_new_is_drawn():
    sources = textures()
    before = blurred(sources)
    after = before.copy()
    after[:, :, 32:] = blurred(textures(seed=1))[:, :, 32:]
    added, detail = preserve(sources, before, after) - after, sources - before
    assert np.abs(added[:, :, 40:]).mean() < 0.2 * np.abs(detail[:, :, 40:]).mean()
    assert np.abs(added - detail)[:, :, :22].mean() < 0.1 * np.abs(detail[:, :, :22]).mean()


def test_light_is_no_motion():
    pictures = tensor(blurred(textures()))
    assert flow(pictures, 0.5 * pictures + 0.2).abs().max() < 0.1
    across = torch.linspace(0.3, 1, 64)
    assert flow(pictures, pictures * across).abs().mean() < 0.3


def test_flow_of_a_growing_picture_is_linear():
    """A magnification by s about the centre moves p by (1 - 1/s)(p - centre)."""
    picture = blurred(textures(1, 80))[0]
    grown = zoom(picture, (1.08, 1.08, 1), order=3)
    start = (len(grown) - 64) // 2
    then, now = picture[None, 8:72, 8:72], grown[None, start : start + 64, start : start + 64]
    found = flow(tensor(then), tensor(now))[0, :, INSIDE, INSIDE]
    place = torch.arange(64.0)[INSIDE] - 31.5
    right = (1 - 1 / 1.08) * torch.stack(torch.meshgrid(place, place, indexing="xy"))
    assert (found - right).abs().mean() < 0.25
    assert right.abs().mean() > 0.7


def test_flow_is_that_of_scikit_image_or_nearer():
    pictures = blurred(textures(2), 2)
    moved = np.roll(pictures, (2, -3), (1, 2))
    ours = flow(tensor(pictures), tensor(moved))[:, :, INSIDE, INSIDE]
    truth = torch.tensor([-3.0, 2.0])[:, None, None]
    greys = [(p.mean(-1) / 255, m.mean(-1) / 255) for p, m in zip(pictures, moved, strict=True)]
    theirs = [-optical_flow_ilk(now, then, radius=5)[::-1][:, INSIDE, INSIDE] for then, now in greys]
    assert (ours - truth).abs().mean() <= max(0.1, (torch.tensor(np.stack(theirs)) - truth).abs().mean())


def test_detail_of_known_edits():
    """Avatars, and the same with one factor changed: the truth, whose blur is the edited picture."""
    factors = draw_factors(10, seed=5)
    changed = {name: values.copy() for name, values in factors.items()}
    for i, name in enumerate(("skin", "hair_colour", "clothes", "mouth", "glasses")):
        changed[name][i] = (factors[name][i] + 1) % 3
    changed["x"][5:8] += 3
    changed["scale"][8:] += 0.06
    sources, truth = draw_all(factors, 64), draw_all(changed, 64)
    before, after = blurred(sources), blurred(truth)
    made = preserve(sources, before, after)
    lost = np.square(after - truth).mean((1, 2, 3))
    ratios, still = (
        np.square(one - truth).mean((1, 2, 3)) / lost for one in (made, np.clip(after + sources - before, 0, 255))
    )
    assert ratios.max() < 0.95
    assert np.exp(np.log(ratios).mean()) < 0.45
    assert (ratios[5:] < 0.5 * still[5:]).all()


@pytest.mark.parametrize("shape", [(1, 8, 8, 1), (2, 28, 28, 1), (33, 20, 12, 3), (1, 96, 96, 3)])
def test_any_number_and_size_of_pictures(shape):
    sources = np.random.default_rng(0).uniform(0, 255, shape)
    before, after = blurred(sources), blurred(sources) * 0.8
    together = preserve(sources, before, after)
    assert together.shape == shape
    assert np.isfinite(together).all()
    assert together.min() >= 0
    assert together.max() <= 255
    each = np.concatenate([preserve(*(x[i : i + 1] for x in (sources, before, after))) for i in range(len(sources))])
    np.testing.assert_allclose(together, each, atol=0.05)


def test_warp_and_blur():
    x = torch.rand(2, 1, 20, 16, generator=torch.Generator().manual_seed(0))
    motion = torch.tensor([2.0, -1.0])[None, :, None, None].expand(2, 2, 20, 16)
    inside = (..., slice(3, -3), slice(3, -3))
    torch.testing.assert_close(warp(x, motion)[inside], x.roll((-1, 2), (2, 3))[inside], atol=1e-4, rtol=0)
    constant = torch.full((1, 1, 9, 7), 0.3)
    torch.testing.assert_close(blur(constant, (2.0, 1.0)), constant)
    wanted = gaussian_filter(x[0, 0].double().numpy(), (1.0, 2.0), truncate=12)
    assert blur(x, (1.0, 2.0))[0, 0, 10, 8].item() == pytest.approx(wanted[10, 8], abs=0.01)


def test_preserve_takes_bytes():
    source = np.asarray(Image.new("RGB", (16, 16), (10, 20, 30)))[None]
    made = preserve(source, source.astype(np.float32) - 4, source.astype(np.float32))
    assert made.dtype.kind == "f"
    np.testing.assert_allclose(made, source + 4, atol=0.1)
