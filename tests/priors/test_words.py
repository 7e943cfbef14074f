"""A prior of discrete codes: probabilities that sum to one, no look ahead, and what is known to be there is learnt."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
import torch

import latentdial
from latentdial import LatentdialError
from latentdial.cli import main
from latentdial.latent.sampling import fit_of
from latentdial.priors.words import FILES, WordNet, _batch, fit_words, read_words, save_words
from latentdial.recipes import options_of
from latentdial.report.evaluate import _kinds, _said_of_priors


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def loud(tokens: int = 4, vocabulary: int = 3) -> WordNet:
    torch.manual_seed(0)
    net = WordNet(tokens, vocabulary, 16, 2).eval().requires_grad_(False)
    net.say.weight.mul_(6)
    return net


def test_probabilities_of_all_codes_sum_to_one():
    every = torch.tensor(list(itertools.product(range(3), repeat=4)))
    probabilities = loud().log_prob(every).exp()
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-5)
    assert probabilities.max() > 3 * probabilities.min()


def test_a_number_is_said_by_those_before_it_alone():
    net, code = loud(), torch.tensor([[0, 1, 2, 0]])
    logits = net(code)
    for place in range(4):
        other = code.clone()
        other[0, place] = (other[0, place] + 1) % 3
        torch.testing.assert_close(net(other)[:, : place + 1], logits[:, : place + 1])
        assert place == 3 or not torch.allclose(net(other)[:, place + 1], logits[:, place + 1])


def test_draws_are_as_common_as_they_are_likely():
    net = loud(3, 2)
    every = torch.tensor(list(itertools.product(range(2), repeat=3)))
    drawn = net.sample(8000, seeded())
    share = (drawn[:, None] == every).all(-1).float().mean(0)
    torch.testing.assert_close(share, net.log_prob(every).exp(), atol=0.02, rtol=0)
    assert torch.equal(drawn, net.sample(8000, seeded()))
    likeliest = net.sample(5, seeded(), temperature=0.0)
    assert len(likeliest.unique(dim=0)) == 1


def chain(n: int) -> np.ndarray:
    """Codes of 6 numbers below 4: each is the last plus one, but for a tenth of them, which are any."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (n, 6))
    for place in range(1, 6):
        follows = rng.random(n) < 0.9
        codes[:, place] = np.where(follows, (codes[:, place - 1] + 1) % 4, codes[:, place])
    return codes


def test_a_chain_is_learnt_to_its_entropy():
    fitted = fit_words(chain(2000), 4, steps=150)
    likely, other = 0.9 + 0.1 / 4, 0.1 / 4
    entropy = math.log(4) - 5 * (likely * math.log(likely) + 3 * other * math.log(other))
    assert -fitted.nats == pytest.approx(entropy, rel=0.12)
    assert fitted.uniform == pytest.approx(-6 * math.log(4))
    drawn = fitted.net.sample(2000, seeded()).numpy()
    assert ((drawn[:, 1:] - drawn[:, :-1]) % 4 == 1).mean() == pytest.approx(likely, abs=0.04)


def test_a_fit_is_a_function_of_its_seed():
    torch.manual_seed(1)
    first = fit_words(chain(100), 4, seed=3, steps=10).net.state_dict()
    torch.manual_seed(2)
    second = fit_words(chain(100), 4, seed=3, steps=10).net.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_it_comes_back_as_it_was_and_only_for_its_codes(tmp_path):
    codes = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    fitted = fit_words(chain(60), 4, steps=3)
    save_words(tmp_path, fitted, codes)
    again = read_words(tmp_path, codes, 6, 4)
    assert torch.equal(again.net.sample(5, seeded()), fitted.net.sample(5, seeded()))
    assert (again.nats, again.held_out) == (fitted.nats, fitted.held_out)
    assert read_words(tmp_path, codes + 1, 6, 4) is None
    with pytest.raises(LatentdialError, match="fit anew with latentdial fit-prior"):
        read_words(tmp_path, codes, 6, 5)
    record = json.loads((tmp_path / FILES[0]).read_text())
    (tmp_path / FILES[0]).write_text(json.dumps(record | {"layers": 10**9}))
    with pytest.raises(LatentdialError, match="a net of 1000000000 layers"):
        read_words(tmp_path, codes, 6, 4)


@pytest.mark.parametrize("recipe", ["vq-vae", "rvq-vae", "fsq-ae"])
def test_a_run_of_words_is_sampled_by_them(recipe, discs_file, tmp_path, capsys):
    options = {"width": 8, "words": 8, "levels": [3, 3]}
    options = {name: value for name, value in options.items() if name in options_of(recipe)}
    run = tmp_path / recipe
    codec = latentdial.train(recipe, discs_file, run, options=options, size=16, batch=16, steps=4)
    command = f"latentdial fit-prior {run}"
    with pytest.raises(LatentdialError, match=f"no prior 'words' yet: run {command}$"):
        codec.sample(2, prior="words")
    for name, reason in (("mixture", "words, with nothing between them"), ("model", "no prior of its own")):
        with pytest.raises(LatentdialError, match=f"{reason}.*: run {command}, and use words$"):
            codec.sample(2, prior=name)
    assert main(["sample", str(run), "-n", "2", "--out", str(tmp_path / "s.png")]) == 0
    assert f"are words, and the prior 'gaussian' knows nothing of these: {command} fits" in capsys.readouterr().out
    assert fit_of(codec, "codes").words_of == ""
    quantiser = codec.model.bottleneck
    numbers = quantiser.rows(torch.tensor(codec.codes, device=codec.device)).cpu()
    assert numbers.shape == (len(codec.codes), quantiser.tokens)
    np.testing.assert_array_equal(quantiser.cpu().code_of_rows(numbers).numpy(), codec.codes)
    save_words(run, fit_words(numbers.numpy(), quantiser.vocabulary, steps=2), codec.codes)
    loaded = latentdial.load(run)
    assert loaded.prior_named() == "words"
    with pytest.raises(LatentdialError, match=r"no prior of its own to sample from: use words$"):
        loaded.sample(2, prior="model")
    drawn = loaded.sample_codes(3, seed=1)
    np.testing.assert_array_equal(quantiser.code_of_rows(quantiser.rows(torch.from_numpy(drawn))).numpy(), drawn)
    assert loaded.sample(2).shape == (2, 16, 16, 3)
    assert dataclasses.replace(loaded, words=None).prior_named() == "gaussian"
    assert fit_of(loaded).words_of == ""
    assert _kinds(loaded) == ["words"]
    told = fit_of(codec).sentence()
    assert told.endswith("latentdial fit-prior RUN fits one that does")
    assert _said_of_priors(codec, _kinds(codec)) == [f"{told[0].upper()}{told[1:]}."]
    assert "use the prior words" in fit_of(loaded, "gaussian").sentence()
    assert main(["fit-prior", str(run), "--kind", "diffusion"]) == 1
    assert "which have no density" in capsys.readouterr().err


def test_a_step_takes_as_many_numbers_however_long_codes_are():
    """64 codes of 64 numbers, 16 of 256; a few at least."""
    assert [_batch(torch.zeros(9, length)) for length in (64, 256, 4096)] == [64, 16, 8]
