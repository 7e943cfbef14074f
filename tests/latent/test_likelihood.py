"""How likely pictures are: a linear VAE against its closed form, and what may be called a likelihood."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from latentdial import Codec, LatentdialError, likelihood
from latentdial.config import Geometry, ModelSettings, RunConfig
from latentdial.latent import likelihood as module
from latentdial.latent.likelihood import Likelihood
from latentdial.measure.likelihood import information
from latentdial.model import Autoencoder, Model
from latentdial.parts.bottlenecks import Gaussian
from latentdial.parts.likelihoods import Gaussian as GaussianLikelihood
from latentdial.parts.networks import linear
from latentdial.parts.priors import StandardNormal
from latentdial.recipes import build
from latentdial.report.compare import _nats
from latentdial.report.pca_codec import fit_pca
from latentdial.runs.loading import codec_of
from latentdial.types import Affine

SIGMA, SIZE = 0.3, 4
GREY = Geometry(size=SIZE, colour="grey")


def codec_for(model: Model) -> Codec:
    codes = np.zeros((2, model.latent), np.float32)
    return codec_of(model.eval().requires_grad_(False), RunConfig(geometry=GREY), "vae", codes=codes)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Grey pictures of two causes, uint8 (150, 4, 4, 1)."""
    rng = np.random.default_rng(0)
    levels = (
        128 + 25 * rng.standard_normal((150, 2)) @ rng.standard_normal((2, 16)) + 8 * rng.standard_normal((150, 16))
    )
    return levels.clip(0, 255).round().astype(np.uint8).reshape(150, SIZE, SIZE, 1)


def linear_vae(widen: float = 1.0) -> tuple[Codec, np.ndarray]:
    """A linear VAE whose posterior is exact, but for a factor of its variance, and the covariance of its pictures."""
    torch.manual_seed(0)
    code = Gaussian(2)
    net = linear((1, SIZE, SIZE), code.features, 2)
    axes, lengths, _ = torch.linalg.svd(0.4 * torch.randn(16, 2), full_matrices=False)
    weight, precision = axes * lengths, 1 + lengths.square() / SIGMA**2  # orthogonal, so the posterior is diagonal
    reader = (weight / SIGMA**2 / precision).T
    net.decoder.become(Affine(weight, torch.zeros(16)))
    net.encoder.become(Affine(torch.cat([reader, 0 * reader]), torch.cat([torch.zeros(2), (widen / precision).log()])))
    model = Autoencoder(net, code, GaussianLikelihood(SIGMA, squash=False), StandardNormal(2))
    return codec_for(model), (weight @ weight.T + SIGMA**2 * torch.eye(16)).numpy()


def exact(pictures: np.ndarray, covariance: np.ndarray) -> float:
    """Mean log p in nats of levels that are spread evenly over their width, by many draws of that."""
    rng = np.random.default_rng(1)
    x = (pictures.reshape(-1, 16)[None] + rng.random((100, len(pictures), 16)) - 0.5) * 2 / 255 - 1
    return float(multivariate_normal(np.zeros(16), covariance).logpdf(x).mean() + 16 * np.log(2 / 255))


def test_an_exact_posterior_gives_the_closed_form_with_one_code(pictures):
    codec, covariance = linear_vae()
    found = likelihood(codec, pictures, samples=1)
    assert found.nll == pytest.approx(-exact(pictures, covariance), abs=0.02)
    assert found.bits_per_dim == pytest.approx(found.nll / 16 / np.log(2))


def test_many_codes_come_to_the_closed_form_from_below(pictures):
    codec, covariance = linear_vae(widen=3.0)
    known = -exact(pictures, covariance)
    few, many = (likelihood(codec, pictures, samples=samples) for samples in (1, 5000))
    assert few.nll > many.nll + 0.3
    assert many.nll == pytest.approx(known, abs=0.03)
    gap = 0.5 * 2 * (3 - 1 - np.log(3))  # KL of two Gaussians that differ in scale
    assert -many.elbo.mean() == pytest.approx(known + gap, abs=0.03)
    assert np.allclose(many.elbo, -many.distortion - many.rate)
    assert many.rate.mean() == pytest.approx(few.rate.mean())
    assert few.log_px.shape == many.rate.shape == (150,)


def test_the_seed_says_all_and_memory_is_bounded(pictures, monkeypatch):
    codec, _ = linear_vae(widen=3.0)
    first, again, other = (likelihood(codec, pictures, samples=70, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.log_px, again.log_px)
    assert not np.array_equal(first.log_px, other.log_px)
    seen, encoded = [], []
    codec.model.decoder.register_forward_hook(lambda _net, _given, output: seen.append(output.numel()))
    codec.model.encoder.register_forward_hook(lambda _net, given, _output: encoded.append(len(given[0])))
    monkeypatch.setattr(module, "VALUES", 16 * 64)
    monkeypatch.setattr(module, "INFORMED", 50)
    assert likelihood(codec, pictures, samples=70).nll == pytest.approx(first.nll, abs=0.1)
    assert max(seen) <= 16 * 64
    assert sum(encoded) <= 2 * 150 + 50 + 1  # once for the figures, once for the codes


def test_pca_gives_its_own_figures_as_a_linear_vae_does(pictures):
    pca = fit_pca(pictures, 2)
    found = pca.likelihood(pictures)
    assert found.distortion == pytest.approx(-found.log_px - found.rate)
    assert found.rate.mean() == pytest.approx(found.informed[0], rel=0.05)  # its aggregated posterior is the prior
    assert found.active == 2
    covariance = pca.axes.T @ np.diag(pca.variances - pca.left) @ pca.axes + pca.left * np.eye(16)
    rng = np.random.default_rng(0)
    levels = pictures.reshape(150, 16) + rng.random((150, 16)) - 0.5
    assert found.nll == pytest.approx(-multivariate_normal(pca.mean, covariance).logpdf(levels).mean(), abs=0.05)


def known(log_px: list[float], **more) -> Likelihood:
    figures = np.array(log_px)
    given = {"informed": (0.0, 0.0), "active": 1, "latent": 2, "samples": 3, "values": 4, "kind": "density", "how": ""}
    return Likelihood(figures, figures, figures, figures, **(given | more))


def test_figures_of_a_few_pictures_by_hand():
    found = known([-1.0, -3.0, -8.0])
    assert found.nll == 4
    assert found.error == pytest.approx(13**0.5 / 3**0.5)
    assert found.bits_per_dim == pytest.approx(1 / np.log(2))
    assert np.isnan(known([-1.0]).error)
    assert known([-1.0, -3.0]).error == pytest.approx(1)
    assert known([-1.0], unlikely="no").bits_per_dim is None


def test_pictures_are_looked_at_32_at_a_time_and_told_so(pictures):
    codec, told = linear_vae()[0], []
    found = likelihood(codec, pictures[:70], samples=2, progress=lambda *one: told.append(one))
    assert told == [("likelihood", done, 70) for done in (0, 32, 64, 70)]
    assert np.array_equal(found.log_px, likelihood(codec, pictures[:70], samples=2, seed=0).log_px)
    assert (found.samples, found.values, found.kind, found.latent) == (2, 16, "density", 2)
    assert found.how == "levels spread evenly over their width"
    assert len({*found.rate.tolist()}) == 70
    alone = likelihood(codec, pictures[32:64], samples=2)
    assert alone.distortion != pytest.approx(found.distortion[32:64], rel=1e-9)  # every block has noise of its own


def test_levels_are_spread_over_their_width():
    model, pixels = linear_vae()[0].model, np.full((2000, SIZE, SIZE, 1), 200, np.uint8)
    apart = module._prepared(model, pixels, "cpu", torch.Generator().manual_seed(0)) - (200 / 127.5 - 1)
    assert apart.abs().max().item() == pytest.approx(1 / 255, rel=1e-3)
    assert abs(apart.mean().item()) < 1e-4
    assert apart.std().item() == pytest.approx(2 / 255 / 12**0.5, rel=0.01)
    sharp = binary("none").model
    assert module._prepared(sharp, pixels, "cpu", torch.Generator()).unique().tolist() == [pytest.approx(200 / 255)]
    assert module._volume(model, 16).flatten().tolist() == pytest.approx(
        [16 * np.log(2 / 255), -16 * np.log(2 / 255), 0]
    )
    assert module._volume(sharp, 16).flatten().tolist() == [0, 0, 0]


def test_a_net_that_has_gone_bad_is_told_so(pictures):
    codec = linear_vae()[0]
    torch.nn.init.constant_(codec.model.decoder[0].weight, torch.nan)
    with pytest.raises(LatentdialError, match="is no finite number: train it again with a lower --lr"):
        likelihood(codec, pictures[:3], samples=1)


def test_information_is_between_its_bounds_and_is_none_where_codes_are_all_alike():
    generator = torch.Generator().manual_seed(0)
    apart, count = torch.tensor([0.0, 0.1, 3.0, 100.0]), 400
    known = 0.5 * (1 + apart.square()).log()  # of a Gaussian x and x plus noise of sd 1
    for spread, wanted in zip(apart.tolist(), known.tolist(), strict=True):
        x = spread * torch.randn(count, generator=generator)
        z = x + torch.randn(count, generator=generator)
        least, most = information(-0.5 * (z[:, None] - x).square().double())
        assert least <= most + 1e-9
        assert least <= np.log(count) + 1e-9
        assert least == pytest.approx(wanted, abs=0.12 if spread < 50 else 1.0)
    assert least > 4


def binary(binarise: str) -> Codec:
    torch.manual_seed(0)
    return codec_for(build(ModelSettings("binary-vae", {"latent": 2, "binarise": binarise}), (1, SIZE, SIZE)).model)


def test_grey_pixels_have_a_likelihood_only_where_it_is_declared_how_they_become_binary(pictures):
    grey = likelihood(binary("none"), pictures, samples=2)
    assert "binarise" in grey.unlikely
    assert grey.bits_per_dim is None
    sharp = np.where(pictures > 127, 255, 0).astype(np.uint8)
    found, declared = likelihood(binary("none"), sharp, samples=2), likelihood(binary("threshold"), pictures, samples=2)
    assert not found.unlikely
    assert not declared.unlikely
    assert found.nll == pytest.approx(declared.nll)
    assert found.nll == pytest.approx(16 * np.log(2), rel=0.2)  # an untrained net knows next to nothing
    sampled = likelihood(binary("sampled"), pictures, samples=2)
    assert sampled.how.startswith("pixels white")
    assert sampled.nll == pytest.approx(16 * np.log(2), rel=0.2)


def test_pixels_have_no_likelihood_where_it_is_of_features(pictures):
    torch.manual_seed(0)
    options = {"latent": 2, "net": "fcn", "layers": [8], "critic": [4]}
    codec = codec_for(build(ModelSettings("vae-gan", options), (1, SIZE, SIZE)).model)
    found = likelihood(codec, pictures, samples=2)
    assert "pixels have none: train a VAE" in found.unlikely
    assert found.bits_per_dim is None
    assert (found.rate > 0).all()
    assert _nats(codec, pictures) is None
    assert len(_nats(linear_vae()[0], pictures)) == len(pictures)


def test_a_plain_autoencoder_has_no_likelihood(codec, discs, tiny_runs):
    from latentdial import load

    with pytest.raises(LatentdialError, match="no densities"):
        likelihood(load(tiny_runs["fcn-ae"]), discs)
    with pytest.raises(LatentdialError, match="at least one code"):
        likelihood(codec, discs, samples=0)
    found = likelihood(codec, discs, samples=3)
    assert 0 <= found.informed[0] <= found.informed[1] <= found.rate.mean() + 1e-6
    assert found.latent == 6
