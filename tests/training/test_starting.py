"""Nets that start as the best linear codec of their pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from latentdial import LatentdialError
from latentdial.config import ModelSettings
from latentdial.layers import Dense
from latentdial.measure.principal import principal_components
from latentdial.model import Autoencoder
from latentdial.parts.bottlenecks import Gaussian
from latentdial.parts.likelihoods import Gaussian as GaussianLikelihood
from latentdial.parts.networks import mlp
from latentdial.parts.objectives import kl, nll, total
from latentdial.parts.priors import StandardNormal
from latentdial.recipes import build
from latentdial.training.starting import components, start_at_pca, told_of
from latentdial.types import Affine

LATENT = 6


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    """300 grey 8x8 pictures of eight factors, the strongest first, with a little noise: uint8 (300, 8, 8, 1)."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(300, 8)) * np.linspace(30, 5, 8)
    shapes = np.linalg.qr(rng.normal(size=(64, 8)))[0].T * 3
    levels = 128 + factors @ shapes + rng.normal(size=(300, 64))
    return torch.from_numpy(levels.clip(0, 255).astype(np.uint8).reshape(300, 8, 8, 1))


def rows(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.flatten(1).float() / 127.5 - 1


def batches(pixels: torch.Tensor):
    return lambda: rows(pixels).split(70)


def started(recipe: str, pixels: torch.Tensor, **options):
    torch.manual_seed(0)
    made = build(ModelSettings(recipe, {"latent": LATENT, **options}), (1, *pixels.shape[1:3]))
    start_at_pca(made.model, pixels, components(made.model, pixels), made.beta)
    return made


def by_sklearn(pixels: torch.Tensor) -> PCA:
    return PCA(LATENT, svd_solver="full").fit(rows(pixels).double().numpy())


# components -----------------------------------------------------------------------------------------------------------


def test_components_are_those_of_scikit_learn(pixels):
    found, known = principal_components(batches(pixels), LATENT), by_sklearn(pixels)
    np.testing.assert_allclose(found.mean, known.mean_, atol=1e-6)
    np.testing.assert_allclose(found.variances, known.explained_variance_ * 299 / 300, rtol=1e-4)
    np.testing.assert_allclose(np.abs((found.components.double().numpy() * known.components_).sum(1)), 1, atol=1e-5)
    assert found.total == pytest.approx(rows(pixels).double().var(0, correction=0).sum().item(), rel=1e-6)
    assert found.rest == pytest.approx(known.noise_variance_ * 299 / 300, rel=1e-3)


def test_of_many_components_the_first_are_found_well_though_in_fewer_rounds():
    """Pictures whose variances fall slowly, as those of photographs do."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(256, 256)))[0]
    levels = 128 + 40 * (rng.normal(size=(400, 256)) * np.arange(1, 257) ** -0.5) @ turn
    slow = torch.from_numpy(levels.clip(0, 255).round().astype(np.uint8).reshape(400, 16, 16, 1))
    model = build(ModelSettings("fcn-ae", {"latent": 8, "widths": [16]}), (1, 16, 16)).model
    found = components(model, slow, 32).components[:8].double()
    centred = (rows(slow) - rows(slow).mean(0)).double()
    best = torch.linalg.svdvals(centred)[:8].square().sum()
    assert (centred @ found.T).square().sum() / best > 0.9995


def test_components_are_the_same_bits_each_time_and_have_a_sign(pixels):
    first, again = (principal_components(batches(pixels), 3).components for _ in range(2))
    assert torch.equal(first, again)
    assert (first.gather(1, first.abs().argmax(1, keepdim=True)) > 0).all()


@pytest.mark.parametrize(("count", "found"), [(1, 0), (2, 1), (5, 4)])
def test_no_more_components_than_vary(pixels, count, found):
    assert len(principal_components(batches(pixels[:count]), LATENT).variances) == found


def test_constant_pictures_have_no_components_and_not_finite_ones_are_refused(pixels):
    assert len(principal_components(batches(torch.full_like(pixels[:9], 7)), LATENT).variances) == 0
    with pytest.raises(LatentdialError, match="not finite"):
        principal_components(lambda: [torch.full((2, 4), torch.nan)], 1)
    with pytest.raises(LatentdialError, match="no pictures"):
        principal_components(list, 1)


# nets -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("widths", [(64, 24), (64, 8, 30), (9,), ()])
@pytest.mark.parametrize(("inputs", "outputs"), [(20, 4), (4, 20), (5, 5)])
def test_dense_layers_become_an_affine_map(widths, inputs, outputs):
    torch.manual_seed(0)
    wanted = Affine(torch.randn(outputs, inputs) / 5, torch.randn(outputs))
    net = mlp((1, 1, inputs), outputs, 1, widths).encoder
    assert isinstance(net, Dense)
    net.become(wanted)
    x = torch.randn(50, inputs)
    torch.testing.assert_close(net(x.view(50, 1, 1, inputs)), x @ wanted.weight.T + wanted.bias, atol=2e-5, rtol=1e-5)


def test_a_dense_layer_that_is_too_narrow_carries_the_first_numbers():
    wanted = Affine(torch.randn(6, 30), torch.randn(6))
    net = mlp((1, 1, 30), 6, 1, (3,)).encoder
    net.become(wanted)
    x = torch.randn(9, 30) / 5
    made = net(x.view(9, 1, 1, 30))
    torch.testing.assert_close(made[:, :3], (x @ wanted.weight.T + wanted.bias)[:, :3], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(made[:, 3:], wanted.bias[3:].expand(9, 3))


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("pca", {}),
        ("fcn-ae", {"widths": [64, 24]}),
        ("conv-ae", {"channels": [8, 8]}),
        ("res-ae", {"width": 8, "blocks": [1, 1]}),
    ],
)
def test_started_codes_are_white_principal_components(recipe, options, pixels):
    model, known = started(recipe, pixels, **options).model, by_sklearn(pixels)
    codes = model.encode(model.scale(pixels)).detach()
    scores = known.transform(rows(pixels).double().numpy())
    expected = torch.from_numpy(scores / scores.std(0)).float()
    torch.testing.assert_close(codes.abs(), expected.abs(), atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("contrast", [1, 8])
def test_pca_reconstructs_as_scikit_learn_does(pixels, contrast):
    """Also pictures of black and white, which the linear codec overshoots."""
    pixels = ((pixels.float() - 128) * contrast + 128).clamp(0, 255).to(torch.uint8)
    model, known = started("pca", pixels).model, by_sklearn(pixels)
    made = model.decode(model.encode(model.scale(pixels))).flatten(1).detach()
    expected = known.inverse_transform(known.transform(rows(pixels).double().numpy()))
    torch.testing.assert_close(made.double(), torch.from_numpy(expected), atol=2e-4, rtol=0)


@pytest.mark.parametrize(
    ("recipe", "options"),
    [("fcn-ae", {"widths": [64]}), ("conv-ae", {"channels": [8]}), ("logistic-vae", {"channels": [8]})],
)
def test_a_started_net_is_about_as_good_as_pca(recipe, options, pixels):
    x = rows(pixels)
    model, known = started(recipe, pixels, **options).model, by_sklearn(pixels)
    made = model.decode(model.encode(model.scale(pixels))).flatten(1).detach()
    expected = known.inverse_transform(known.transform(x.double().numpy())) - x.double().numpy()
    assert (made - x).square().mean().item() < 1.1 * np.square(expected).mean()


@pytest.mark.parametrize(
    "recipe", ["fcn-ae", "fcn-vae", "conv-ae", "conv-vae", "res-ae", "res-vae", "binary-vae", "logistic-vae"]
)
def test_gradients_reach_every_weight_of_a_started_net(recipe, pixels):
    """After one step: what the last layer does not read yet gets its gradient from the second step on."""
    kind = recipe.split("-")[0]
    options = (
        {"width": 8} if kind == "res" else {"widths": [64, 40]} if kind in ("fcn", "binary") else {"channels": [8, 8]}
    )
    made = started(recipe, pixels, **options)
    optimizer = torch.optim.Adam(made.model.parameters(), 1e-3)
    batch = made.model.batch(made.model.scale(pixels[:64]), generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        optimizer.zero_grad()
        total(made.objective, made.model(batch), batch)[0].backward()
        optimizer.step()
    still = [name for name, p in made.model.named_parameters() if p.requires_grad and not p.grad.any()]
    assert not still


def test_a_mixture_of_logistics_learns_from_its_start_and_its_components_apart(pixels):
    """From random weights beside no linear map, it drew one picture for all codes."""
    made = started("logistic-vae", pixels, channels=[8, 8], components=3)
    model, x = made.model, made.model.scale(pixels)
    batch = model.batch(x, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = total(made.objective, model(batch), batch)[0].item()
        model.likelihood.at_first += 1.0
        assert total(made.objective, model(batch), batch)[0].item() > before  # the scales fit the errors
        model.likelihood.at_first -= 1.0
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(30):
        optimizer.zero_grad()
        loss = total(made.objective, model(batch), batch)[0]
        loss.backward()
        optimizer.step()
    assert loss.item() < before - 1
    own = model.decoder.net(torch.randn(4, LATENT))[:, 1:].detach()  # behind the picture
    logits, means = own[:, :3], own[:, 3:6]
    assert all((one[:, i] - one[:, j]).abs().max() > 1e-4 for one in (logits, means) for i, j in ((0, 1), (1, 2)))


def test_pseudo_inputs_start_at_pictures_so_that_the_prior_draws_such(pixels):
    model = started("vamp-vae", pixels, net="fcn", layers=[40], inputs=50).model
    x = model.scale(pixels)
    assert torch.equal(model.prior.inputs, x[torch.linspace(0, 299, 50).long()])
    few = started("vamp-vae", pixels[:20], net="fcn", layers=[40], inputs=50).model
    assert torch.equal(few.prior.inputs[20:40], few.scale(pixels[:20]))
    with torch.no_grad():
        drawn, made = (
            model.decode(z).std(0).mean()
            for z in (model.sample(300, torch.Generator().manual_seed(0)), model.encode(x))
        )
    assert 0.85 < drawn / made < 1.2


# from labels ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def labels() -> torch.Tensor:
    return torch.arange(300) % 3


def labelled(pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The pictures with a label's own square in each, from which it can be told: uint8 (300, 8, 8, 1)."""
    marked = pixels.clone()
    for label in range(3):
        marked[labels == label, 2 * label : 2 * label + 3, :4] -= 60
    return marked


def conditional(marked: torch.Tensor, labels: torch.Tensor, known: int = 3) -> Autoencoder:
    torch.manual_seed(0)
    options = {"latent": LATENT, "channels": [4], "numbers": 4}
    made = build(ModelSettings("conditional-vae", options, tuple("abcd"[:known])), (1, 8, 8))
    told = told_of(made.model, marked, labels)
    principal = components(made.model, marked, told=told)
    start_at_pca(made.model, marked, principal, made.beta, told=told)
    return made.model


def test_labels_come_with_their_mean_pictures_and_one_without_pictures_with_that_of_all(pixels, labels):
    model = build(ModelSettings("conditional-vae", {"channels": [4]}, tuple("abcd")), (1, 8, 8)).model
    told = told_of(model, pixels, labels)
    x = rows(pixels)
    for row, wanted in enumerate([x, x[labels == 0], x[labels == 1], x[labels == 2], x]):
        torch.testing.assert_close(told.means[row], wanted.mean(0), atol=1e-5, rtol=0)
    alone = told_of(model, pixels, torch.where(torch.arange(300) == 7, 3, 0))
    torch.testing.assert_close(alone.means[4], x[7])  # of one picture it is that
    copies = told_of(model, torch.cat([pixels, pixels.flip(2)]), labels)
    torch.testing.assert_close(copies.means[2], torch.cat([x, rows(pixels.flip(2))])[copies.labels == 1].mean(0))
    assert torch.equal(copies.labels[torch.tensor([1, 301, 302])], torch.tensor([1, 1, 2]))


def test_components_within_labels_know_nothing_of_labels(pixels, labels):
    marked = labelled(pixels, labels)
    model = build(ModelSettings("conditional-vae", {"latent": LATENT, "channels": [4]}, tuple("abc")), (1, 8, 8)).model
    within = components(model, marked, told=told_of(model, marked, labels))
    x = rows(marked).double().numpy()
    residues = np.concatenate([x[labels == i] - x[labels == i].mean(0) for i in range(3)])
    known = PCA(LATENT, svd_solver="full").fit(residues)
    torch.testing.assert_close(
        within.variances.double(), torch.from_numpy(known.explained_variance_ * 299 / 300), rtol=1e-3, atol=1e-6
    )
    assert components(model, marked).variances[0] > within.variances[0]


def test_a_model_that_learns_from_labels_starts_at_their_mean_pictures(pixels, labels):
    """A code of zeros is the mean picture of its label, and codes say of a picture what its label does not."""
    marked = labelled(pixels, labels)
    model, x = conditional(marked, labels).eval(), rows(marked)
    with torch.no_grad():
        codes = model.encode(x.view(300, 1, 8, 8), labels)
        again = model.decode(codes, labels).flatten(1)
        middle = model.decode(torch.zeros(3, LATENT), torch.arange(3)).flatten(1)
    means = torch.stack([x[labels == i].mean(0) for i in range(3)])
    assert (middle - means).abs().max() < 0.03
    assert (codes.view(-1, 3, LATENT).mean(0)).abs().max() < 1e-3
    told = told_of(model, marked, labels)
    by_plain = components(model, marked)
    plain = by_plain.restore(by_plain.project(x))
    assert (again - x).square().mean() < 0.9 * (plain - x).square().mean()
    torch.testing.assert_close(model.condition.pictures[0].weight.detach(), told.means)


@pytest.mark.parametrize("beta", [1.0, 8.0])
def test_directions_start_as_sure_and_as_stretched_as_serves_the_bound(beta, pixels):
    """Also where the KL is weighed: noise is PCA's, whose rest it stands for."""
    made = started("sphere-vae", pixels, net="fcn", layers=[64], beta=beta)
    model, x = made.model, made.model.scale(pixels)
    principal = components(model, pixels)

    @torch.no_grad()
    def bound() -> float:
        batch = model.batch(x.repeat(8, 1, 1, 1), generator=torch.Generator().manual_seed(0))
        one = model(batch)
        square = (model.likelihood.mean(one.output) - one.x).square().mean().item()
        divergence = (one.levels["z"].log_qz - one.levels["z"].log_pz).mean().item()
        return square * 64 / (2 * principal.rest * beta) + divergence

    least, last = bound(), model.encoder[-1]
    with torch.no_grad():
        for factor in (0.6, 1.7):
            last.bias[-1] += np.log(factor)
            assert bound() > least
            last.bias[-1] -= np.log(factor)


def test_a_direction_is_stretched_by_the_fourth_root_of_variances(pixels):
    """Half the components' usual whitening; the last feature, how sure it is, is the same for all pictures."""
    model, known = started("sphere-vae", pixels, net="fcn", layers=[64]).model, by_sklearn(pixels)
    features = model.encoder(model.scale(pixels)).detach()
    wanted = torch.from_numpy(known.transform(rows(pixels).double().numpy()) / known.explained_variance_**0.25).float()
    torch.testing.assert_close(features[:, :-1].abs(), wanted.abs(), atol=3e-3, rtol=2e-3)
    assert features[:, -1].std() < 1e-5


def linear_vae(pixels: torch.Tensor) -> Autoencoder:
    code = Gaussian(LATENT)
    net = mlp((1, 8, 8), code.features, LATENT, (40,))
    model = Autoencoder(net, code, GaussianLikelihood(squash=False), StandardNormal(LATENT))
    start_at_pca(model, pixels, components(model, pixels))
    return model


def test_a_started_vae_has_the_likelihood_of_probabilistic_pca_as_its_elbo(pixels):
    """The optimum of a linear VAE leaves no gap (arXiv 1911.02469, section 3)."""
    model, x = linear_vae(pixels), rows(pixels)
    exact = torch.from_numpy(by_sklearn(pixels).score_samples(x.double().numpy())).mean().item()
    bounds = []
    for seed in range(40):
        batch = model.batch(model.scale(pixels), generator=torch.Generator().manual_seed(seed))
        bounds.append(-total([nll(), kl()], model(batch), batch)[0].item())
    assert np.mean(bounds) == pytest.approx(exact, abs=1.0)


def test_a_linear_vae_reaches_the_likelihood_of_probabilistic_pca_from_a_random_start(pixels):
    """There are no worse optima to be caught in (arXiv 1911.02469, section 4)."""
    torch.manual_seed(0)
    code = Gaussian(3)
    net = mlp((1, 8, 8), code.features, 3, ())
    model = Autoencoder(net, code, GaussianLikelihood(squash=False), StandardNormal(3))
    x, generator, steps = model.scale(pixels), torch.Generator().manual_seed(0), 1000
    optimizer = torch.optim.Adam(model.parameters(), 2e-2)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    bounds = []
    for _ in range(steps):
        batch = model.batch(x, generator=generator)
        loss = total([nll(), kl()], model(batch), batch)[0]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        fall.step()
        bounds.append(-loss.item())
    data = rows(pixels).double().numpy()
    exact = PCA(3, svd_solver="full").fit(data).score(data)
    assert bounds[0] < exact - 50
    assert np.mean(bounds[-60:]) == pytest.approx(exact, abs=0.3)


def test_the_codes_of_a_started_vae_are_the_prior_together(pixels):
    model = linear_vae(pixels)
    posterior = model.posterior(model.scale(pixels))
    together = posterior.mean.T.cov(correction=0) + posterior.log_variance.exp().mean(0).diag()
    torch.testing.assert_close(together, torch.eye(LATENT), atol=2e-3, rtol=0)
    torch.testing.assert_close(posterior.mean.mean(0), torch.zeros(LATENT), atol=1e-4, rtol=0)


def test_samples_of_a_started_vae_vary_as_the_pictures_do(pixels):
    model = started("fcn-vae", pixels, widths=[64]).model
    made = model.decode(model.sample(2000, torch.Generator().manual_seed(0))).flatten(1)
    assert made.var(0).sum().item() == pytest.approx(rows(pixels).var(0).sum().item(), rel=0.1)


def test_components_below_the_noise_keep_the_prior(pixels):
    model = started("fcn-vae", pixels, widths=[64], beta=1e5).model
    posterior = model.posterior(model.scale(pixels))
    torch.testing.assert_close(posterior.mean, torch.zeros_like(posterior.mean), atol=1e-5, rtol=0)
    torch.testing.assert_close(posterior.log_variance, torch.zeros_like(posterior.mean), atol=1e-5, rtol=0)


def test_a_start_tells_how_far_it_is_until_it_is_done(pixels):
    told: list[tuple[int, int]] = []
    model = build(ModelSettings("fcn-ae", {"latent": LATENT, "widths": [16]}), (1, 8, 8)).model
    start_at_pca(model, pixels, components(model, pixels), advance=lambda *done: told.append(done))
    assert told
    assert told == [(done, len(told)) for done in range(1, len(told) + 1)]


@pytest.mark.parametrize("count", [1, 3])
def test_a_start_from_fewer_pictures_than_dimensions(count, pixels):
    for recipe in ("pca", "fcn-ae", "fcn-vae"):
        options = {} if recipe == "pca" else {"widths": [32]}
        model = started(recipe, pixels[:count], **options).model
        made = model.decode(model.encode(model.scale(pixels[:count]))).flatten(1)
        assert (made - rows(pixels[:count])).square().mean().item() < 1e-3


def test_a_start_from_few_pictures_is_not_fitted_to_their_noise():
    """Forty noisy pictures for 24 numbers: fitted to them alone the decoder is 1.01 times as wrong as PCA on others."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(24, 192, generator=generator) * 0.9 ** torch.arange(24)[:, None]

    def drawn(n: int) -> torch.Tensor:
        shown = 128 + 60 * (torch.randn(n, 24, generator=generator) @ factors)
        noisy = shown + 40 * torch.randn(n, 192, generator=generator)
        return noisy.clamp(0, 255).to(torch.uint8).view(n, 8, 8, 3)

    few, others = drawn(40), drawn(300)
    model = build(ModelSettings("fcn-ae", {"latent": 24, "widths": [64]}), (3, 8, 8)).model
    principal = components(model, few)
    start_at_pca(model, few, principal)
    x = model.scale(others)
    codes = (x.flatten(1) - principal.mean) @ principal.components.T
    linear = (codes @ principal.components + principal.mean).clamp(-1, 1).view_as(x)
    with torch.no_grad():
        own = model.decode(model.encode(x))
    assert (own - x).square().mean() < 0.98 * (linear - x).square().mean()
