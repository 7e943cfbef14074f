"""Priors fitted to codes, against closed forms and on odd codes."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

import latentdial
from latentdial import LatentdialError, storage
from latentdial.cli import main
from latentdial.latent import sampling
from latentdial.latent.sampling import Fit, fit_of, fit_prior
from latentdial.priors import diffusion as diffusion_module
from latentdial.priors import fitted as fitted_module
from latentdial.priors.diffusion import Diffusion, fit_diffusion
from latentdial.priors.fitted import KINDS, FittedPriors, fit_priors, gaussian_of
from latentdial.priors.mixture import Mixture, choose_mixture, fit_mixture
from latentdial.priors.stored import FILES, read_priors, save_priors

MEANS = np.array([[-4.0, 0.0], [3.0, 2.0], [2.0, -4.0]])
WEIGHTS = np.array([0.5, 0.3, 0.2])

BLOBS = list(zip(WEIGHTS, MEANS, strict=True))


def normal(n: int, latent: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes (n, D) of a Gaussian, its mean and its covariance."""
    rng = np.random.default_rng(seed)
    root = np.tril(rng.normal(size=(latent, latent))) / np.sqrt(latent) + np.eye(latent)
    mean = rng.normal(size=latent)
    return mean + rng.standard_normal((n, latent)) @ root.T, mean, root @ root.T


def three_blobs(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return MEANS[rng.choice(3, n, p=WEIGHTS)] + 0.7 * rng.standard_normal((n, 2))


@pytest.fixture(scope="module", autouse=True)
def _small_nets():
    """Diffusions of few numbers, enough for the plane."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitted_module, "fit_diffusion", partial(fit_diffusion, width=64))
        yield


@pytest.fixture(scope="module")
def blobs(_small_nets) -> FittedPriors:
    """All kinds, fitted to three blobs in the plane."""
    return fit_priors(three_blobs(3000), three_blobs(2000, 1), steps=600)


def test_a_gaussian_gives_held_out_codes_the_likelihood_of_the_closed_form():
    codes, mean, covariance = normal(4000, 6)
    held_out, *_ = normal(4000, 6, seed=0)
    fitted = fit_priors(codes, held_out, ["gaussian"])
    own = multivariate_normal(codes.mean(0), np.cov(codes.T, bias=True)).logpdf(held_out)
    assert fitted.nats["gaussian"] == pytest.approx(own.mean(), abs=1e-2)
    fresh = mean + np.random.default_rng(7).standard_normal((4000, 6)) @ np.linalg.cholesky(covariance).T
    entropy = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * covariance)[1]
    assert fitted["gaussian"].log_prob(fresh).mean() == pytest.approx(-entropy, abs=0.1)


def test_with_few_codes_shrunk_correlations_are_likelier_than_the_plain_covariance():
    codes, mean, covariance = normal(60, 40)
    fresh = multivariate_normal(mean, covariance).rvs(500, random_state=1)
    plain = multivariate_normal(codes.mean(0), np.cov(codes.T), allow_singular=True).logpdf(fresh).mean()
    assert gaussian_of(codes)["gaussian"].log_prob(fresh).mean() > plain + 10


def test_a_mixture_is_recovered(blobs):
    mixture = blobs["mixture"]
    whitening, density = mixture.whitening, mixture.density
    assert isinstance(density, Mixture)
    means, weights = whitening.colour(density.means), density.weights
    blob = np.argmin(np.linalg.norm(means[:, None] - MEANS, axis=2), axis=1)
    for k in range(3):
        mine = blob == k
        assert np.allclose(np.average(means[mine], axis=0, weights=weights[mine]), MEANS[k], atol=0.1)
        assert weights[mine].sum() == pytest.approx(WEIGHTS[k], abs=0.03)
    truth = sum(w * multivariate_normal(m, 0.49 * np.eye(2)).pdf(three_blobs(2000, 1)) for w, m in BLOBS)
    assert blobs.nats["mixture"] == pytest.approx(np.log(truth).mean(), abs=0.05)


def test_one_component_of_white_codes_is_the_gaussian():
    white = np.random.default_rng(0).standard_normal((2000, 3))
    one = fit_mixture(white, 1)
    own = multivariate_normal(white.mean(0), np.cov(white.T)).logpdf(white)
    assert np.allclose(one.log_prob(white), own, atol=0.02)
    assert len(choose_mixture(white[:200]).weights) == 1


def test_rounds_of_a_mixture_climb_and_its_covariances_are_shrunk_as_stated():
    rng = np.random.default_rng(0)
    white = rng.standard_normal((300, 4)) * [3, 1, 1, 1] + 5 * rng.integers(0, 2, (300, 1))
    climbing = [fit_mixture(white, 3, 1e-6, rounds).log_prob(white).mean() for rounds in (1, 3, 9)]
    assert climbing == sorted(climbing)
    assert climbing[2] > climbing[0] + 0.001
    (root,) = fit_mixture(white, 1, 100.0).roots.astype(float)
    scatter = 300 * np.cov(white.T, bias=True)
    within = (scatter + 100 * np.eye(4)) / 400
    np.testing.assert_allclose(root @ root.T, (scatter + 100 * within) / 400, rtol=1e-5)


def test_many_clusters_in_many_dimensions_are_found():
    """A full covariance each from 40 codes in 30 dimensions, steadied by what all share."""
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((8, 30))
    codes = centres[rng.integers(0, 8, 2400)] + 0.4 * rng.standard_normal((2400, 30))
    white, fresh = codes[:400], codes[400:]
    mixture = choose_mixture(white)
    truth = np.logaddexp.reduce([multivariate_normal(c, 0.16).logpdf(fresh) - np.log(8) for c in centres]).mean()
    assert mixture.log_prob(fresh).mean() > truth - 4
    one = multivariate_normal(white.mean(0), np.cov(white.T)).logpdf(fresh).mean()
    assert mixture.log_prob(fresh).mean() > one + 5


@pytest.mark.parametrize("kind", KINDS)
def test_densities_integrate_to_one_and_a_bound_of_one_to_no_more(blobs, kind):
    line = np.linspace(-9, 9, 73)
    grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    found = blobs[kind].log_prob(np.tile(grid, (16, 1))).reshape(16, -1).mean(0)  # a bound is drawn anew for each
    total = np.exp(found).sum() * (line[1] - line[0]) ** 2
    assert (0.9 if kind == "diffusion" else 0.99) < total < 1.02


def test_a_diffusion_fits_what_a_gaussian_cannot(blobs):
    truth = sum(w * multivariate_normal(m, 0.49 * np.eye(2)).pdf(three_blobs(2000, 1)) for w, m in BLOBS)
    assert np.log(truth).mean() - 0.15 < blobs.nats["diffusion"] < np.log(truth).mean() + 0.02
    assert blobs.nats["gaussian"] < np.log(truth).mean() - 0.3
    drawn = blobs["diffusion"].sample(3000)
    nearest = np.argmin(np.linalg.norm(drawn[:, None] - MEANS, axis=2), axis=1)
    assert np.allclose(np.bincount(nearest) / 3000, WEIGHTS, atol=0.05)
    assert np.std(drawn - MEANS[nearest]) == pytest.approx(0.7, abs=0.06)


def test_a_diffusion_starts_as_the_gaussian():
    white = np.random.default_rng(0).standard_normal((9, 5))
    net = Diffusion(5, 16).eval().requires_grad_(False)
    assert np.allclose(net.log_prob(white), multivariate_normal(np.zeros(5), np.eye(5)).logpdf(white), atol=1e-5)
    noise = np.random.default_rng(1).standard_normal((9, 5))
    assert np.allclose(net.sample(9, np.random.default_rng(1)), noise, atol=1e-6)


class _Known(Diffusion):
    """Knows of v what there is to know, where codes are two points, -1 and 1, in blobs of variance `var`."""

    def __init__(self, var: float):
        super().__init__(1, 4)
        self.var = var

    def forward(self, u, t):
        a = self.relative_noise(t).atan()
        spread = a.cos() ** 2 * self.var + a.sin() ** 2
        side = torch.tanh(a.cos() * (1 - self.var) ** 0.5 * u / spread)
        middle = (1 - self.var) ** 0.5 * side
        w = middle + a.cos() * self.var / spread * (u - a.cos() * middle)
        return (w - a.cos() * u) / a.sin()


@pytest.mark.parametrize("scale", [1.0, 0.02])
def test_the_bound_is_the_likelihood_and_draws_are_of_the_density_where_all_is_known(scale):
    net, rng = _Known(0.1).eval(), np.random.default_rng(0)
    net.scales = torch.tensor([scale])
    white = (0.9**0.5 * rng.choice([-1, 1], 4000) + 0.1**0.5 * rng.standard_normal(4000))[:, None]
    truth = np.logaddexp(*(multivariate_normal(m * 0.9**0.5, 0.1).logpdf(white) for m in (-1, 1))) - np.log(2)
    assert net.log_prob(white).mean() == pytest.approx(truth.mean(), abs=0.02)
    drawn = net.sample(4000, rng)
    shares = [0.05, 0.25, 0.75, 0.95]
    np.testing.assert_allclose(np.quantile(drawn, shares), np.quantile(white, shares), atol=0.12)
    assert np.mean(np.abs(drawn) < 0.4) == pytest.approx(np.mean(np.abs(white) < 0.4), abs=0.02)


def test_every_weight_of_a_diffusion_learns():
    net = Diffusion(3, 8)
    for one in net.parameters():
        torch.nn.init.normal_(one, std=0.5)
    net(torch.randn(16, 3), torch.rand(16, 1)).square().sum().backward()
    assert all(one.grad is not None and one.grad.abs().max() > 0 for one in net.parameters())


def test_what_is_seen_most_comes_out_of_the_noise_first():
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    white, seen = np.random.default_rng(1).standard_normal((60, 3)), turn * [100.0, 0.0, 9.0] @ turn.T
    net = fit_diffusion(white, seen=seen, width=8, steps=2)
    assert torch.allclose(net.scales, torch.tensor([0.01, 0.3, 1.0]), atol=1e-3)
    assert np.allclose(np.abs(turn.T @ net.axes.numpy()), np.eye(3)[:, [1, 2, 0]], atol=1e-4)
    turned = net.relative_noise(torch.tensor([[0.3]]))[0]
    assert turned[0] > turned[1] > turned[2] > 0
    nowhere = fit_diffusion(np.ones((60, 3)), seen=np.zeros((3, 3)), width=8, steps=2)
    assert torch.equal(nowhere.scales, torch.ones(3))


def test_a_turned_diffusion_is_the_same_one_seen_along_other_axes():
    torch.manual_seed(0)
    plain = Diffusion(3, 8).eval().requires_grad_(False)
    for one in plain.parameters():
        torch.nn.init.normal_(one, std=0.3)
    turned = deepcopy(plain)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0].astype(np.float32)
    turned.axes = torch.from_numpy(turn)
    drawn = plain.sample(20, np.random.default_rng(1))
    assert np.allclose(turned.sample(20, np.random.default_rng(1)), drawn @ turn.T, atol=1e-5)
    assert np.allclose(turned.log_prob(drawn @ turn.T), plain.log_prob(drawn), atol=1e-3)


def test_codes_kept_apart_say_when_a_diffusion_was_best(monkeypatch):
    def trained(net, w, steps, precision):
        seen.append(w)
        for step, bias in enumerate([1.0, 0.0, 5.0]):
            torch.nn.init.constant_(net.leave.bias, bias)
            yield step, deepcopy(net)

    seen: list[torch.Tensor] = []
    monkeypatch.setattr(diffusion_module, "_trained", trained)
    white = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    best = fit_diffusion(white, width=8)
    assert torch.equal(best.leave.bias, torch.zeros(3))
    assert np.array_equal(seen[0].numpy(), np.delete(white, np.arange(0, 50, 5), axis=0))


def test_a_diffusion_leaves_the_state_of_random_numbers_alone():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    fit_diffusion(np.random.default_rng(1).standard_normal((60, 3)), width=8, steps=2)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_variance_scales_with_the_square_of_the_temperature(blobs, kind):
    warm, cool = (blobs[kind].sample(500, seed=3, temperature=t).astype(np.float64) for t in (1.0, 0.5))
    assert np.allclose(np.cov(cool.T), 0.25 * np.cov(warm.T), rtol=1e-4)
    assert np.allclose(blobs[kind].sample(3, temperature=0.0), blobs[kind].whitening.mean)


def test_the_best_is_the_one_of_highest_held_out_likelihood(blobs):
    assert blobs.best == max(blobs.nats, key=lambda kind: blobs.nats[kind])
    assert blobs.best in ("mixture", "diffusion")
    assert blobs.held_out == 2000
    codes, *_ = normal(300, 4)
    assert fit_priors(codes, codes[:50], ["gaussian"], model=lambda codes: np.zeros(len(codes))).best == "model"


def test_fits_repeat(blobs):
    again = fit_priors(three_blobs(3000), three_blobs(2000, 1), steps=600)
    assert again.nats == blobs.nats


@pytest.mark.parametrize(
    "codes",
    [
        np.random.default_rng(0).normal(size=(5, 3)),
        np.random.default_rng(0).normal(size=(1, 3)),
        np.full((40, 3), 2.5),
        np.random.default_rng(0).normal(size=(30, 50)),
        np.random.default_rng(0).normal(size=(60, 3)) * [1, 0, 1e-3] + [0, 7, 1e4],
        np.repeat(np.random.default_rng(0).normal(size=(60, 1)), 4, axis=1),
        np.random.default_rng(0).normal(size=(60, 1)),
    ],
    ids=["five codes", "one code", "constant", "more dimensions than codes", "scales", "collinear", "one dimension"],
)
def test_odd_codes_have_priors(codes, tmp_path):
    codes = codes.astype(np.float32)
    fitted = fit_priors(codes)
    assert set(fitted.priors) == set(KINDS if len(codes) * 4 // 5 >= 20 else ["gaussian"])
    for prior in fitted.priors.values():
        drawn = prior.sample(200)
        assert np.isfinite(drawn).all()
        assert np.isfinite(prior.log_prob(codes)).all()
        assert np.abs(drawn.mean(0) - codes.mean(0)).max() < 0.5 * (codes.std() + 1)
        flat = codes.std(0) == 0
        assert np.allclose(drawn[:, flat], codes[0, flat], rtol=1e-4, atol=1e-4)
    save_priors(tmp_path, fitted, codes)
    assert read_priors(tmp_path, codes) is not None


def test_bad_codes_and_kinds_are_told():
    with pytest.raises(LatentdialError, match="no prior 'typo'"):
        fit_priors(np.zeros((30, 2)), kinds=["typo"])
    with pytest.raises(LatentdialError, match="finite"):
        fit_priors(np.full((30, 2), np.nan))
    with pytest.raises(LatentdialError, match="too many"):
        fit_priors(np.zeros((30, 5000)))


def test_saved_priors_are_the_same_to_the_last_bit(blobs, tmp_path):
    codes = three_blobs(3000).astype(np.float32)
    save_priors(tmp_path, blobs, codes)
    loaded = read_priors(tmp_path, codes)
    assert loaded is not None
    assert (loaded.nats, loaded.held_out, loaded.best) == (blobs.nats, blobs.held_out, blobs.best)
    for kind in KINDS:
        assert np.array_equal(loaded[kind].sample(20, seed=4), blobs[kind].sample(20, seed=4))
        assert np.array_equal(loaded[kind].log_prob(codes[:50]), blobs[kind].log_prob(codes[:50]))
    assert read_priors(tmp_path, codes + 1) is None, "priors of other codes"
    record = storage.read_json(tmp_path / FILES[0])
    storage.write_json(tmp_path / FILES[0], record | {"format": 1, "kinds": ["gaussian", "flow"]})
    assert read_priors(tmp_path, codes) is None, "priors of an older format"


@pytest.mark.parametrize(
    "change",
    [
        {"kinds": []},
        {"kinds": ["diffusion", "gaussian"]},
        {"components": 10**9},
        {"width": -3},
        {"nats": {"gaussian": "high"}},
        {"nats": {"gaussian": 1.0}},
        {"held_out": None},
    ],
)
def test_hostile_priors_are_refused(blobs, tmp_path, change):
    codes = three_blobs(3000).astype(np.float32)
    save_priors(tmp_path, blobs, codes)
    storage.write_json(tmp_path / FILES[0], storage.read_json(tmp_path / FILES[0]) | change)
    with pytest.raises(LatentdialError, match="fit anew with latentdial fit-prior"):
        read_priors(tmp_path, codes)


def test_a_root_that_is_no_root_is_refused(blobs, tmp_path):
    codes = three_blobs(3000).astype(np.float32)
    save_priors(tmp_path, blobs, codes)
    held = tmp_path / FILES[1]
    arrays = storage.read_tensors(held, storage.tensor_shapes(held))
    storage.save_tensors(held, arrays | {"root": -arrays["root"]})
    with pytest.raises(LatentdialError, match="above zero"):
        read_priors(tmp_path, codes)
    storage.save_tensors(held, arrays | {"diffusion_scales": np.zeros(2, np.float32)})
    with pytest.raises(LatentdialError, match="scales must be above zero"):
        read_priors(tmp_path, codes)


def test_a_codec_samples_from_the_prior_that_is_named(tiny_runs):
    vae, ae = (latentdial.load(tiny_runs[name]) for name in ("fcn-vae", "fcn-ae"))
    assert vae.prior_named() == "model"
    fitted = replace(vae, fitted=fit_prior(vae))
    assert fitted.fitted is not None
    assert fitted.prior_named() == fitted.fitted.best
    assert set(fitted.fitted.nats) == {*KINDS, "model"}
    taken = vae.sample_codes(5, prior="codes")
    assert np.abs(taken[:, None] - vae.codes).max(2).min(1).max() < 1e-5
    drawn = [fitted.sample_codes(4, prior=kind) for kind in (*KINDS, "model")]
    assert len({one.tobytes() for one in drawn}) == 4
    few, enough = (replace(vae, fitted=gaussian_of(vae.codes), training_codes=vae.codes[:n]) for n in (24, 25))
    judged = replace(vae, fitted=fit_priors(vae.codes, kinds=["gaussian"]))
    for codec, name, reason in [
        (few, "diffusion", "too few codes for a prior 'diffusion': use auto, gaussian or neighbours$"),
        (enough, "diffusion", "has no prior 'diffusion': use auto, gaussian or neighbours$"),
        (judged, "diffusion", "no prior 'diffusion' yet: run"),
        (vae, "typo", "no prior 'typo'"),
        (vae, "diffusion", f"no prior 'diffusion' yet: run latentdial fit-prior {tiny_runs['fcn-vae']}$"),
        (ae, "model", "no prior of its own to sample from: use auto, gaussian or neighbours$"),
        (ae, "words", "are no words: use auto, gaussian or neighbours$"),
        (replace(ae, fitted=fit_priors(ae.codes, kinds=["mixture"])), "model", "use auto, gaussian, mixture or neigh"),
    ]:
        with pytest.raises(LatentdialError, match=reason):
            codec.sample(1, prior=name)


def test_a_prior_that_does_not_fit_is_told(tiny_runs):
    codec = latentdial.load(tiny_runs["fcn-ae"])
    assert fit_of(codec, "codes").good
    assert fit_of(codec, "codes").sentence() == ""
    narrow = replace(codec, prior=lambda n, generator: torch.zeros(n, codec.latent))
    assert "near the average picture; latentdial fit-prior RUN fits others" in fit_of(narrow, "model").sentence()
    fitted = replace(narrow, fitted=codec.priors)
    assert fit_of(fitted, "model").sentence().endswith("near the average picture")
    wide = replace(codec, prior=lambda n, generator: 100 * torch.randn(n, codec.latent, generator=generator))
    assert "leave what the decoder has learnt" in fit_of(wide, "model").sentence()
    assert fit_of(narrow, "model").sentence("my runs/a").endswith("latentdial fit-prior 'my runs/a' fits others")


@pytest.mark.parametrize(("sampled", "reconstructed"), [(0.0, 0.0), (0.9, 0.3), (0.0, 0.9)])
def test_of_pictures_that_are_all_alike_no_prior_is_said_to_leave_them(sampled, reconstructed):
    fit = Fit("gaussian", sampled, reconstructed, fitted=False)
    assert not fit.good
    assert fit.sentence() == "decoded training codes vary by less than a level of 255, and so does what any prior draws"
    assert "leave what the decoder" in Fit("gaussian", 1.5, 0.3).sentence()
    assert Fit("gaussian", 9.0, 10.0).sentence() == ""


def test_sample_says_which_prior_draws_better_ones(tiny_runs, tmp_path, capsys, monkeypatch):
    def told(run, *more):
        assert main(["sample", str(run), "-n", "2", "--out", str(tmp_path / "s.png"), *more]) == 0
        return capsys.readouterr().out

    ae = tiny_runs["fcn-ae"]
    few = f"{len(latentdial.load(ae).codes)} training pictures are few"
    assert few in told(ae)
    assert "--prior neighbours blends like ones" in told(tiny_runs["fcn-vae"])
    assert few not in told(ae, "--prior", "gaussian")
    assert few not in told(ae, "--prior", "neighbours")
    monkeypatch.setattr(sampling, "FEW", 4)
    assert f"yet: latentdial fit-prior {ae} does" in told(ae)
    assert "no other prior" not in told(tiny_runs["fcn-vae"])


def test_the_command_keeps_priors_with_the_run(tiny_runs, tmp_path, capsys):
    import json
    import shutil

    run = tmp_path / "run"
    shutil.copytree(tiny_runs["fcn-vae"], run)
    assert main(["fit-prior", str(run), "--kind", "mixture", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["nats"]) == {"gaussian", "mixture", "model"}
    assert main(["fit-prior", str(run)]) == 0
    assert "log likelihood" in capsys.readouterr().out
    codec = latentdial.load(run)
    assert codec.fitted is not None
    assert (
        main(["sample", str(run), "-n", "4", "--prior", "diffusion", "--out", str(tmp_path / "s.png"), "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["prior"] == "diffusion"
    assert main(["fit-prior", str(run), "--kind", "typo"]) == 1
    assert "no prior 'typo'" in capsys.readouterr().err
