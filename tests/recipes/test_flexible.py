"""Learnt priors and posteriors: where each of them is the plain VAE, and densities against numbers that are known."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from latentdial import LatentdialError
from latentdial.anomaly.evidence import has_evidence, has_regret, regret, surplus
from latentdial.config import ModelSettings, RunConfig
from latentdial.parts.flows import Autoregressive, FlowPrior
from latentdial.parts.objectives import total
from latentdial.parts.priors import Mixture, StandardNormal, Vamp
from latentdial.posteriors import Diagonal
from latentdial.recipes import Recipe, build
from latentdial.runs.loading import codec_of
from latentdial.types import Batch, Level

SHAPE = (3, 16, 16)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(name: str, **options) -> Recipe:
    torch.manual_seed(0)
    return build(ModelSettings(name, {"latent": 3, "layers": [6, 8], **options}), SHAPE)


def batch_of(recipe: Recipe, n: int = 6, samples: int = 1) -> Batch:
    x = recipe.model.scale(torch.randint(0, 256, (n, 16, 16, 3), dtype=torch.uint8, generator=seeded(1)))
    return recipe.model.batch(x, samples, seeded())


def integral(density, low: float = -9.0, high: float = 9.0, n: int = 301) -> float:
    """Of a density of two numbers over a square."""
    line = torch.linspace(low, high, n)
    points = torch.cartesian_prod(line, line)
    return float(density(points).double().exp().sum() * ((high - low) / (n - 1)) ** 2)


def silence(flow: FlowPrior) -> FlowPrior:
    with torch.no_grad():
        for transform in flow.flow.transform.transforms:
            for parameter in transform.hyper[-1].parameters():
                parameter.zero_()
    return flow


# priors ---------------------------------------------------------------------------------------------------------------


def test_a_mixture_of_one_is_the_vae():
    mixture, plain = made("mixture-vae", components=1), made("beta-tcvae", beta=1.0)
    plain.model.load_state_dict(mixture.model.state_dict(), strict=False)
    batch = batch_of(mixture)
    ours, theirs = (total(one.objective, one.model(batch), batch)[0] for one in (mixture, plain))
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)
    ours.backward()
    theirs.backward()
    for name, parameter in plain.model.named_parameters():
        torch.testing.assert_close(dict(mixture.model.named_parameters())[name].grad, parameter.grad)


def test_a_mixture_is_a_density_and_draws_from_it():
    torch.manual_seed(0)
    prior = Mixture(2, 3).requires_grad_(False)
    with torch.no_grad():
        prior.mean.mul_(4)
        prior.logits.copy_(torch.tensor([0.0, 1.0, 2.0]))
        prior.log_variance.copy_(torch.randn(3, 2, generator=seeded()) - 1)
    assert integral(lambda z: prior.log_prob(z[None])[0, :, 0]) == pytest.approx(1, abs=1e-3)
    share = prior.logits.softmax(0)
    spread = torch.distributions.Normal(prior.mean, (0.5 * prior.log_variance).exp())
    reference = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(share), torch.distributions.Independent(spread, 1)
    )
    z = torch.randn(2, 5, 2, generator=seeded(3))
    torch.testing.assert_close(prior.log_prob(z)[..., 0], reference.log_prob(z))
    drawn = prior.sample(20_000, seeded())
    torch.testing.assert_close(drawn.mean(0), reference.mean, atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.var(0), reference.variance, atol=0.08, rtol=0)
    assert abs(StandardNormal(2).kl(z[0], z[1]).sum() - Mixture(2, 1).kl(z[0], z[1]).sum()) < 1e-4


def test_one_component_that_has_moved_has_a_closed_form_and_two_can_part():
    torch.manual_seed(0)
    one, mean, spread = Mixture(2, 1).requires_grad_(False), torch.randn(4, 2), torch.rand(4, 2) + 0.5
    one.mean.copy_(torch.tensor([[0.5, -1.0]]))
    one.log_variance.copy_(torch.tensor([[-1.0, 0.7]]))
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mean, spread), normal(one.mean, (0.5 * one.log_variance).exp()))
    torch.testing.assert_close(one.kl(mean, 2 * spread.log()), expected)
    two = Mixture(2, 2)
    assert not torch.equal(two.mean[0], two.mean[1])  # else they would learn the same for ever


def test_vamp_whose_pseudo_inputs_are_the_pictures_is_the_aggregated_posterior():
    """log p(z) is then log 1/N sum q(z|x_n), whatever the pictures; and its samples are samples of those posteriors."""
    recipe = made("vamp-vae", inputs=6)
    model, batch = recipe.model, batch_of(recipe)
    with torch.no_grad():
        model.prior.inputs.copy_(batch.x)
        posterior = model.posterior(batch.x)
    uniform = torch.distributions.Categorical(torch.ones(6))
    spread = torch.distributions.Normal(posterior.mean, (0.5 * posterior.log_variance).exp())
    reference = torch.distributions.MixtureSameFamily(uniform, torch.distributions.Independent(spread, 1))
    z = torch.randn(3, 6, 3, generator=seeded())
    torch.testing.assert_close(model.prior.log_prob(z)[..., 0], reference.log_prob(z))
    torch.testing.assert_close(model.sample(20_000, seeded()).mean(0), reference.mean, atol=0.05, rtol=0)
    run = model(model.batch(batch.x, 200, seeded(5)), 200)
    assert 0 < run.levels["z"].kl.mean().item() < math.log(6)  # the information about which of six


def test_a_copy_of_a_vamp_asks_its_own_encoder():
    """The moving average of the weights is such a copy."""
    model = made("vamp-vae", inputs=4).model
    twin = copy.deepcopy(model)
    z = torch.randn(1, 2, 3, generator=seeded())
    before = twin.prior.log_prob(z)
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.mul_(2)
    assert torch.equal(twin.prior.log_prob(z), before)
    assert not torch.equal(model.prior.log_prob(z), before)
    assert not any("posterior" in name for name in model.state_dict())
    assert isinstance(model.prior, Vamp)


def test_a_flow_that_does_nothing_is_standard_normal():
    torch.manual_seed(0)
    flow, z = silence(FlowPrior(3, 2, [8])), torch.randn(2, 5, 3, generator=seeded())
    torch.testing.assert_close(flow.log_prob(z)[..., 0], StandardNormal(3).log_prob(z).sum(-1))
    torch.testing.assert_close(flow.sample(5, seeded(1)), torch.randn(5, 3, generator=seeded(1)))


def test_a_flow_is_a_density_and_draws_from_it():
    torch.manual_seed(0)
    flow = FlowPrior(2, 2, [16]).requires_grad_(False)
    for transform in flow.flow.transform.transforms:
        transform.hyper[-1].weight.mul_(200)
    assert integral(lambda z: flow.log_prob(z[None])[0, :, 0]) == pytest.approx(1, abs=5e-3)
    line = torch.linspace(-9, 9, 301)
    points = torch.cartesian_prod(line, line)
    weights = flow.log_prob(points[None])[0, :, 0].exp()
    mean = (weights[:, None] * points).sum(0) / weights.sum()
    assert mean.abs().max() > 0.02
    torch.testing.assert_close(flow.sample(20_000, seeded()).mean(0), mean, atol=0.04, rtol=0)


def test_a_flow_that_could_not_fit_is_refused_before_it_is_made():
    with pytest.raises(LatentdialError, match="a flow takes 512 dimensions"):
        made("flow-vae", latent=600)


# posterior ------------------------------------------------------------------------------------------------------------


def loud(latent: int = 2, steps: int = 2) -> Autoregressive:
    torch.manual_seed(0)
    bottleneck = Autoregressive(latent, steps, [16], 3).requires_grad_(False)
    for net in bottleneck.steps:
        net[-1].weight.mul_(200)
    return bottleneck


def test_an_autoregressive_posterior_is_a_density_and_knows_its_samples():
    bottleneck = loud()
    features = torch.cat([torch.zeros(1, 4), torch.randn(1, 3, generator=seeded())], 1)
    posterior = bottleneck(features)
    drawn = posterior.sample(torch.randn(50, 1, 2, generator=seeded(1)), 50)
    said = posterior.log_prob(drawn)
    again = posterior.log_prob(drawn.clone())  # taken back, dimension by dimension
    torch.testing.assert_close(again, said, atol=1e-3, rtol=1e-4)
    assert integral(lambda z: posterior.log_prob(z[:, None])[:, 0, 0]) == pytest.approx(1, abs=5e-3)


def test_the_determinant_of_the_steps_is_that_of_their_jacobian():
    bottleneck = loud(4)
    posterior = bottleneck(torch.cat([torch.zeros(1, 8), torch.randn(1, 3, generator=seeded())], 1))
    start = torch.randn(4, generator=seeded(1))
    jacobian = torch.func.jacrev(lambda z: posterior._moved(z[None, None])[0][0, 0])(start)
    found = posterior._moved(start[None, None])[1].item()
    assert found == pytest.approx(torch.linalg.slogdet(jacobian)[1].item(), rel=1e-4)


def test_steps_that_do_nothing_are_the_vae():
    recipe = made("iaf-vae", transforms=1)
    (net,) = recipe.model.bottleneck.steps
    with torch.no_grad():
        net[-1].weight.zero_()
        net[-1].bias.zero_()
        net[-1].bias[:3] = 40.0  # gates that are open
    batch = batch_of(recipe, samples=4)
    posterior = recipe.model.posterior(batch.x)
    base = posterior.base
    z = posterior.sample(batch.noise["z"], 4)
    torch.testing.assert_close(z, base.sample(batch.noise["z"], 4).flip(-1))
    torch.testing.assert_close(posterior.log_prob(z)[..., 0], base.log_prob(z.flip(-1)).sum(-1))
    torch.testing.assert_close(posterior.mean, base.mean.flip(-1))


# what else asks them --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mixture-vae", "vamp-vae", "flow-vae", "iaf-vae"])
def test_scores_of_anomalies_take_sampled_divergences(name, discs):
    recipe = made(name)
    codec = codec_of(recipe.model.eval().requires_grad_(False), RunConfig(), name)
    codec = copy.copy(codec)
    object.__setattr__(codec, "geometry", RunConfig().geometry.__class__(size=16))
    assert has_evidence(codec)
    assert surplus(codec, discs[:3]).shape == (3,)
    assert has_regret(codec) == (name != "iaf-vae")
    if has_regret(codec):
        assert (regret(codec, discs[:2]) >= 0).all()


def test_the_sampled_divergence_has_the_analytic_one_as_its_mean():
    posterior = Diagonal(torch.tensor([[0.7, -0.2]]), torch.tensor([[-1.0, 0.3]]))
    z = posterior.sample(torch.randn(40_000, 1, 2, generator=seeded()), 40_000)
    exact = Level(z, posterior, Mixture(2, 1)).kl.sum().item()
    torch.manual_seed(0)
    sampled = Level(z, posterior, silence(FlowPrior(2, 1, [4]))).kl.sum().item()
    assert sampled == pytest.approx(exact, abs=0.02)
