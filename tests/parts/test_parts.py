"""The numbers: densities and KL against closed forms and Monte Carlo, losses against cases computed by hand."""

from __future__ import annotations

import math
from copy import deepcopy
from itertools import pairwise

import pytest
import torch
from scipy import stats
from torch import nn

from latentdial.config import ModelSettings
from latentdial.errors import LatentdialError
from latentdial.layers import ChannelsLast, Network
from latentdial.parts import schedules
from latentdial.parts.bottlenecks import Deterministic
from latentdial.parts.bottlenecks import Gaussian as GaussianBottleneck
from latentdial.parts.bounds import importance
from latentdial.parts.likelihoods import PIXELS, Bernoulli, Gaussian
from latentdial.parts.networks import conv
from latentdial.parts.objectives import kl, nll, total
from latentdial.parts.penalties import details, sharpness
from latentdial.parts.priors import StandardNormal
from latentdial.parts.residual import Block, ChannelToSpace, SpaceToChannel, grid_of, residual, spatial
from latentdial.posteriors import Diagonal
from latentdial.recipes import build, parse_options
from latentdial.types import Batch, Level, Pass, Term

SHAPE = (3, 16, 16)
SMALL = {"fcn-ae": {"widths": [24]}, "fcn-vae": {"widths": [24]}, "binary-vae": {"widths": [24]}}
SMALL |= {name: {"channels": [6, 8]} for name in ("conv-ae", "conv-vae")}


def small(name: str, latent: int = 5):
    torch.manual_seed(0)
    return build(ModelSettings(name, {"latent": latent, **SMALL[name]}), SHAPE)


def pictures(model, n: int = 6) -> torch.Tensor:
    pixels = torch.randint(0, 256, (n, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return model.scale(pixels)


@pytest.mark.parametrize("sigma", [0.05, 0.7, 1.0, 3.0])
def test_gaussian_likelihood_is_the_normal_density(sigma):
    output, x = torch.randn(2, 3, 1, 4, 4), torch.rand(3, 1, 4, 4) * 2 - 1
    expected = stats.norm.logpdf(x.numpy(), output.tanh().numpy(), sigma).sum((2, 3, 4))
    torch.testing.assert_close(
        Gaussian(sigma).log_prob(output, x), torch.tensor(expected).float(), rtol=1e-4, atol=1e-3
    )


def test_bernoulli_likelihood_is_the_bernoulli_mass():
    output, x = torch.randn(2, 3, 1, 4, 4), torch.randint(0, 2, (3, 1, 4, 4)).float()
    p = output.sigmoid()
    expected = (x * p.log() + (1 - x) * (1 - p).log()).flatten(2).sum(-1)
    torch.testing.assert_close(Bernoulli().log_prob(output, x), expected, rtol=1e-4, atol=1e-4)


def test_grey_pixels_become_white_as_often_as_they_are_bright():
    likelihood = Bernoulli("sampled", (1, 2, 2))
    grey = torch.tensor([0.0, 0.25, 0.7, 1.0]).reshape(1, 1, 2, 2).expand(4000, 1, 2, 2)
    noise = torch.randn(1, 4000, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    drawn = likelihood.target(grey, {PIXELS: noise})
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(drawn.mean(0).flatten(), grey[0].flatten(), rtol=0, atol=0.03)
    assert torch.equal(likelihood.target(grey, {}), grey)
    edge = torch.tensor([0.0, 0.49, 0.5, 1.0]).reshape(1, 1, 2, 2)
    assert Bernoulli("threshold", (1, 2, 2)).draws == {}
    assert Bernoulli("threshold").target(edge, {}).flatten().tolist() == [0.0, 0.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="shape of the image"):
        Bernoulli("sampled")


def test_pictures_are_binarised_and_encoded_once_for_all_their_codes():
    torch.manual_seed(0)
    model = build(ModelSettings("binary-vae", {"latent": 3, "widths": [8], "binarise": "sampled"}), (1, 4, 4)).model
    calls = []
    model.encoder.register_forward_hook(lambda *_: calls.append(1))
    x = torch.rand(5, 1, 4, 4)
    passes = model.eval().passes(x, torch.Generator().manual_seed(1))
    first, second = passes(2), passes(3)
    assert len(calls) == 1
    assert torch.equal(first.x, second.x)
    assert set(first.x.unique().tolist()) == {0.0, 1.0}
    assert (first.z.shape, second.z.shape) == ((2, 5, 3), (3, 5, 3))
    assert not torch.equal(first.z, second.z[:2])
    again = model.passes(x, torch.Generator().manual_seed(1))(2)
    assert torch.equal(again.log_weight, first.log_weight)
    torch.testing.assert_close(first.log_px, model.likelihood.log_prob(first.output, first.x))


def test_learned_sigma_ends_at_the_root_mean_squared_error():
    torch.manual_seed(0)
    likelihood, output = Gaussian(), torch.zeros(1, 64, 1, 8, 8)
    x = 0.3 * torch.randn(64, 1, 8, 8)
    optimiser = torch.optim.Adam(likelihood.parameters(), lr=0.01)
    for _ in range(300):
        optimiser.zero_grad()
        (-likelihood.log_prob(output, x).mean()).backward()
        optimiser.step()
    assert likelihood.log_sigma.exp().item() == pytest.approx(x.square().mean().sqrt().item(), rel=1e-2)


def test_kl_is_that_of_torch_distributions_and_of_monte_carlo():
    torch.manual_seed(0)
    mean, log_variance = torch.randn(4, 3), torch.randn(4, 3)
    analytic = StandardNormal(3).kl(mean, log_variance)
    q = torch.distributions.Normal(mean, (log_variance / 2).exp())
    p = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(analytic, torch.distributions.kl_divergence(q, p))
    posterior, prior = Diagonal(mean, log_variance), StandardNormal(3)
    z = posterior.sample(torch.randn(200_000, 4, 3, generator=torch.Generator().manual_seed(0)), 200_000)
    sampled = (posterior.log_prob(z) - prior.log_prob(z)).mean(0)
    torch.testing.assert_close(sampled, analytic, rtol=0.02, atol=0.02)


def test_densities_of_the_codes_wait_until_they_are_asked_for(monkeypatch):
    recipe, asked, density = small("fcn-vae"), [], StandardNormal.log_prob
    monkeypatch.setattr(StandardNormal, "log_prob", lambda self, z: asked.append(z) or density(self, z))
    batch = recipe.model.batch(pictures(recipe.model), 20_000, torch.Generator().manual_seed(0))
    run = recipe.model(batch, 20_000)
    total(recipe.objective, run, batch)
    assert not asked
    level = run.levels["z"]
    sampled = (level.log_qz - level.log_pz).mean(0)
    torch.testing.assert_close(sampled, level.kl.sum(-1), rtol=0.05, atol=0.05)
    torch.testing.assert_close(run.log_weight.mean(), run.log_px.mean() - sampled.mean(), rtol=1e-4, atol=1e-3)
    assert asked


def test_posterior_density_is_the_normal_density():
    mean, log_variance, z = torch.randn(2, 3), torch.randn(2, 3), torch.randn(5, 2, 3)
    expected = torch.distributions.Normal(mean, (log_variance / 2).exp()).log_prob(z)
    torch.testing.assert_close(Diagonal(mean, log_variance).log_prob(z), expected)


def test_a_deterministic_posterior_is_a_point_without_density():
    posterior = Deterministic(3)(torch.randn(2, 3))
    assert posterior.sample(samples=4).shape == (4, 2, 3)
    assert (posterior.sample(samples=4) == posterior.mean).all()
    assert posterior.log_prob(posterior.sample()) is None


def test_gaussian_bottleneck_reads_means_then_log_variances():
    posterior = GaussianBottleneck(2)(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    assert posterior.mean.tolist() == [[1.0, 2.0]]
    assert posterior.log_variance.tolist() == [[3.0, 4.0]]


def test_vae_loss_of_a_case_computed_by_hand():
    """One pixel, one dimension: encoder constant (mean 1, log variance 0), decoder tanh(0), sigma 1, x = 0.5."""
    prior, posterior = StandardNormal(1), Diagonal(torch.tensor([[1.0]]), torch.tensor([[0.0]]))
    x, output = torch.full((1, 1, 1, 1), 0.5), torch.zeros(1, 1, 1, 1, 1)
    log_px = Gaussian(1.0).log_prob(output, x)
    run = Pass(x, output, log_px, {"z": Level(posterior.sample(torch.randn(1, 1, 1)), posterior, prior)})
    loss, terms = total([nll(), kl(4.0)], run, Batch(x))
    by_hand_nll = 0.5 * 0.25 + 0.5 * math.log(2 * math.pi)
    by_hand_kl = 0.5  # (1 + 1 - 1 - 0) / 2
    assert terms["nll"].item() == pytest.approx(by_hand_nll, rel=1e-6)
    assert terms["kl"].item() == pytest.approx(by_hand_kl, rel=1e-6)
    assert loss.item() == pytest.approx(by_hand_nll + 4 * by_hand_kl, rel=1e-6)


def test_factors_of_a_schedule_scale_the_loss_and_not_the_terms():
    recipe = small("fcn-vae")
    batch = recipe.model.batch(pictures(recipe.model), 1, torch.Generator().manual_seed(0))
    run = recipe.model(batch)
    whole, terms = total(recipe.objective, run, batch)
    half, same = total(recipe.objective, run, batch, 0.5)
    assert (whole - half).item() == pytest.approx(0.5 * terms["kl"].item(), abs=1e-3)
    assert terms["kl"].item() == same["kl"].item()


def test_free_bits_count_at_least_so_many_nats_a_dimension():
    """Two pictures, two dimensions with mean KL 0.05 and 2: with 0.5 free nats the loss takes 0.5 + 2."""
    x, posterior = torch.zeros(2, 1, 1, 1), Diagonal((2 * KL).sqrt(), torch.zeros(2, 2))
    run = Pass(x, x[None], torch.zeros(1, 2), {"z": Level(torch.zeros(1, 2, 2), posterior, StandardNormal(2))})
    loss, terms = total([kl(1.0, free_bits=0.5)], run, Batch(x))
    assert terms["kl"].item() == pytest.approx(2.05)
    assert loss.item() == pytest.approx(2.5)
    assert total([kl(3.0, free_bits=0.01)], run, Batch(x))[0].item() == pytest.approx(3 * 2.05)


KL = torch.tensor([[0.0, 1.0], [0.1, 3.0]])


def test_schedules_of_a_run():
    done = [i / 1000 for i in range(1001)]
    warm = [schedules.linear(0.4)(d) for d in done]
    assert warm == sorted(warm)
    assert warm[0] == 0
    assert warm[400:] == [1.0] * 601
    saw = schedules.cyclic(0.5, 4)
    assert [saw(d) for d in (0.0, 0.25, 0.5, 0.75)] == [0.0] * 4
    assert saw(0.125) == saw(0.2) == saw(1.0) == 1.0
    assert sum(saw(d) for d in done) / 1001 == pytest.approx(0.75, abs=0.01)
    fall = schedules.steps([0.4, 0.7], 10 ** (-1 / 5))
    assert [round(fall(d), 6) for d in (0.39, 0.4, 0.71)] == [1.0, 0.630957, 0.398107]
    assert schedules.cosine()(0.25) == pytest.approx(0.5 + 0.5 * math.sqrt(0.5))


def test_fcn_ae_has_the_published_widths():
    state = build(ModelSettings("fcn-ae"), (3, 64, 64)).model.state_dict()
    widths = [12288, 2048, 512, 128]
    for i, (before, after) in enumerate(pairwise(widths)):
        assert state[f"encoder.{2 * i}.weight"].shape == (after, before)
        assert state[f"decoder.{4 - 2 * i}.weight"].shape == (before, after)


def test_a_convolutional_net_halves_pictures_as_often_as_it_has_channels():
    net = conv((3, 24, 24), 6, 5, [4, 4, 8], shortcut=False, outputs=2)
    assert net.encoder(torch.zeros(2, 3, 24, 24)).shape == (2, 6)
    assert net.decoder(torch.zeros(2, 5)).shape == (2, 2, 24, 24)
    with pytest.raises(LatentdialError, match="halves the picture 3 times, and 30 is no multiple of 8: use --size 32"):
        conv((3, 30, 30), 6, 5, [4, 4, 8])


@pytest.mark.parametrize(
    ("recipe", "options", "size", "remedy"),
    [
        ("conv-ae", {}, 28, "--set channels=32,64"),
        ("mixture-vae", {}, 28, "--set layers=32,64"),
        ("mixture-vae", {}, 30, "--set layers=32"),
        ("vae-gan", {"layers": [8, 8]}, 28, "--set critic=32,64"),
        ("vae-gan", {"net": "fcn"}, 27, "--size 24"),
    ],
)
def test_the_remedy_for_odd_sides_is_an_option_of_the_recipe(recipe, options, size, remedy):
    with pytest.raises(LatentdialError, match=remedy) as told:
        build(ModelSettings(recipe, options), (1, size, size))
    if "--set" in remedy:
        wanted = parse_options([remedy.removeprefix("--set ")])
        build(ModelSettings(recipe, {**options, **wanted}), (1, size, size))
    else:
        assert "--set" not in str(told.value)


def small_conv() -> tuple[Network, Network]:
    """A convolutional net, and the same with its pictures left as they lie."""
    torch.manual_seed(0)
    net = conv((3, 16, 16), 6, 6, [8, 16], shortcut=False)
    plain = deepcopy(net)
    for half in (plain.encoder, plain.decoder):
        for name, module in list(half.named_modules()):
            if isinstance(module, ChannelsLast):
                half.set_submodule(name, nn.Identity())
    return net, plain


def test_convolutions_see_channels_last_under_autocast_and_only_then():
    net, _ = small_conv()
    seen: list[bool] = []
    for module in [*net.encoder.modules(), *net.decoder.modules()]:
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_pre_hook(
                lambda _, given: seen.append(given[0].is_contiguous(memory_format=torch.channels_last))
            )
    x = torch.rand(4, 3, 16, 16)
    net.decoder(net.encoder(x))
    assert seen == [False] * 4
    seen.clear()
    with torch.autocast("cpu", torch.bfloat16):
        net.decoder(net.encoder(x))
    assert seen == [True] * 4


def test_channels_last_changes_neither_values_nor_gradients_nor_names():
    """In bfloat16, whose steps are 2**-8, sums may be rounded in another order."""
    net, plain = small_conv()
    x = torch.rand(4, 3, 16, 16)
    outputs, gradients = [], []
    for each in (net, plain):
        with torch.autocast("cpu", torch.bfloat16):
            out = each.decoder(each.encoder(x)).float()
        out.square().sum().backward()
        outputs.append(out)
        gradients.append([p.grad for half in (each.encoder, each.decoder) for p in half.parameters()])
    torch.testing.assert_close(outputs[0], outputs[1], atol=0.02, rtol=0.02)
    for ours, theirs in zip(*gradients, strict=True):
        assert theirs.abs().max() > 0
        assert (ours - theirs).norm() <= 0.03 * theirs.norm()
    assert list(net.encoder.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias", "5.weight", "5.bias"]
    assert list(net.decoder.state_dict()) == ["0.weight", "0.bias", "3.weight", "3.bias", "5.weight", "5.bias"]


def test_space_to_channel_holds_every_square_and_comes_back():
    x = torch.randn(2, 3, 8, 12)
    apart = SpaceToChannel(4)(x)
    assert apart[1, :, 1, 2].sort().values.equal(x[1, :, 4:8, 8:12].flatten().sort().values)
    assert apart.is_contiguous(memory_format=torch.channels_last)
    assert ChannelToSpace(4)(apart).equal(x)


def test_the_width_of_a_residual_net_is_the_one_that_was_asked_for():
    wide, narrow = (residual((3, 32, 32), 6, 6, width=width, blocks=[1, 1]).encoder.net for width in (16, 8))
    assert [net[2].out_channels for net in (wide, narrow)] == [16, 8]


def test_a_residual_block_adds_little_at_first():
    torch.manual_seed(0)
    x = torch.randn(4, 16, 8, 8)
    assert 0 < (Block(16)(x) - x).std() < 0.1


def test_a_net_over_a_grid_gives_back_pictures_of_their_size():
    net = spatial((3, 32, 32), 4, 2, width=8)
    code = net.encoder(torch.zeros(2, 3, 32, 32))
    assert code.shape == (2, 4, *grid_of((3, 32, 32)))
    assert net.decoder(code[:, :2]).shape == (2, 3, 32, 32)


def test_schedules_stay_as_they_are_behind_the_end():
    assert schedules.cosine()(1.5) == pytest.approx(0, abs=1e-12)
    assert schedules.linear(0.5)(1.5) == 1
    assert schedules.cyclic(0.5, 4)(1.0) == 1


def test_a_sample_that_weighs_nothing_gives_no_gradient_and_no_nan():
    mean = torch.zeros(1, 2, requires_grad=True)
    posterior = Diagonal(mean, torch.zeros(1, 2))
    z = posterior.sample(torch.randn(2, 1, 2, generator=torch.Generator().manual_seed(0)), 2)
    level = Level(z, posterior, StandardNormal(2))
    passed = Pass(torch.zeros(1, 1, 1, 1), z, torch.tensor([[0.0], [-1000.0]]) + z.sum(-1), {"z": level})
    term = importance(2)
    term.counted(passed, Batch(passed.x)).backward()
    assert mean.grad.isfinite().all()
    assert mean.grad.abs().sum() > 0


def test_what_is_inverted_comes_back_a_little_milder():
    picture = torch.linspace(0, 1, 5).reshape(1, 1, 1, 5)
    torch.testing.assert_close(Bernoulli().mean(Bernoulli().invert(picture)), 0.5 + 0.96 * (picture - 0.5))
    torch.testing.assert_close(Gaussian().mean(Gaussian().invert(2 * picture - 1)), 0.96 * (2 * picture - 1))
    plain = Gaussian(squash=False)
    assert torch.equal(plain.mean(plain.invert(picture)), picture)


def test_a_learned_sigma_starts_at_the_error_and_never_falls_below_a_level():
    likelihood = Gaussian()
    likelihood.start(0.04)
    assert likelihood.log_sigma.exp().item() == pytest.approx(0.2)
    likelihood.start(0.0)
    assert likelihood.log_sigma.exp().item() == pytest.approx(1 / 255)
    fixed = Gaussian(0.5)
    fixed.start(0.04)
    assert fixed.log_sigma.exp().item() == pytest.approx(0.5)


def test_details_are_those_of_laplacian_pyramids():
    """A board of +-1 has no mean over any 2x2: all of it is the finest level, of weight 1. One of 2x2 fields is the
    second level's, of weight 4, where no smoothing mixes its fields."""
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    fine = ((rows + columns) % 2 * 2.0 - 1)[None, None]
    assert details(fine) == 32 * 32
    coarse = ((rows // 2 + columns // 2) % 2 * 2.0 - 1)[None, None]
    smooth = torch.nn.functional.interpolate(coarse[..., ::2, ::2], size=(32, 32), mode="bilinear")
    assert details(coarse) == pytest.approx(float((coarse - smooth).abs().sum() + 4 * 16 * 16), rel=1e-6)
    assert details(fine + 3) == details(fine)
    assert details(torch.ones(2, 3, 7, 9)) == 0


def test_sharpness_counts_as_squared_errors_do():
    """In nats an image, over sigma squared, whatever the batch; sigma does not learn from it."""
    x = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    output = torch.randn(2, 4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    level = {"z": Level(torch.zeros(2, 4, 2), None, None)}
    run = Pass(x, output, torch.zeros(2, 4), level)

    def sharp(likelihood: Gaussian) -> Term:
        return sharpness(likelihood.mean, lambda: (-2 * likelihood.log_sigma).exp(), 0.3)

    one = sharp(Gaussian(1.0))
    apart = output.tanh() - x
    assert one.weight == 0.3
    assert one.value(run, Batch(x)) == pytest.approx(float(details(apart.flatten(0, 1)) / 8), rel=1e-6)
    assert sharp(Gaussian(0.1)).value(run, Batch(x)) == pytest.approx(100 * float(one.value(run, Batch(x))), rel=1e-4)
    learned = Gaussian()
    run.output.requires_grad_()
    sharp(learned).value(run, Batch(x)).backward()
    assert learned.log_sigma_over_gain.grad is None
    assert run.output.grad.any()
