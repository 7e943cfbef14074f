"""Disentanglement scores on constructed codes: perfect, rotated and noise; and against the definitions written out."""

import json
from pathlib import Path

import numpy as np
import pytest

from latentdial.measure import disentanglement as score

REFERENCE = json.loads((Path(__file__).parent / "reference_scores.json").read_text())["cases"]
RNG = np.random.default_rng(0)
FACTORS = RNG.integers(0, 4, (1200, 3))
PERFECT = FACTORS[:, [2, 0, 1]] * [1.0, -2.0, 0.5]
ROTATED = (FACTORS - 1.5) @ np.array([[2, 2, -1], [-1, 2, 2], [2, -1, 2]]) / 3
NOISE = RNG.normal(size=(1200, 3))

GAPS = {"mig": score.mig, "sap": score.sap}
SCORES = GAPS | {
    "modularity": score.modularity,
    "dci disentanglement": lambda z, f: score.dci(z, f, trees=10)["disentanglement"],
    "dci completeness": lambda z, f: score.dci(z, f, trees=10)["completeness"],
    "beta-vae": lambda z, f: score.beta_vae_score(z, f, samples=(200, 100)),
    "factor-vae": lambda z, f: score.factor_vae_score(z, f, samples=(200, 100)),
    "InfoM": lambda z, f: score.infomec(z, f)["modularity"],
    "InfoC": lambda z, f: score.infomec(z, f)["compactness"],
}


@pytest.mark.parametrize("name", [name for name in SCORES if name != "sap"])
def test_perfect_code_scores_one(name):
    assert SCORES[name](PERFECT, FACTORS) == pytest.approx(1.0, abs=0.06)


def test_perfect_code_of_balanced_yes_or_no_factors_has_the_best_sap():
    # as published it is one less chance, for the second-best dimension; its linear classifiers, one against the rest,
    # cannot tell the middle values of an ordered factor, so more values score lower
    assert score.sap(FACTORS % 2 * [1.0, -2.0, 0.5], FACTORS % 2) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    "name", ["mig", "sap", "modularity", "dci disentanglement", "dci completeness", "InfoM", "InfoC"]
)
def test_rotated_code_fails(name):
    assert SCORES[name](ROTATED, FACTORS) < 0.85 * SCORES[name](PERFECT, FACTORS)


@pytest.mark.parametrize("name", ["mig", "sap"])
def test_noise_is_near_zero(name):
    assert abs(SCORES[name](NOISE, FACTORS)) < 0.05


def test_noise_is_at_chance_where_a_classifier_votes():
    assert score.factor_vae_score(NOISE, FACTORS, samples=(400, 200)) < 0.55
    assert score.beta_vae_score(NOISE, FACTORS, samples=(400, 200)) < 0.55
    assert score.dci(NOISE, FACTORS, trees=10)["disentanglement"] < 0.15


def test_informativeness_and_explicitness_ignore_rotation_but_not_noise():
    assert score.infomec(ROTATED, FACTORS)["explicitness"] > 0.8
    assert score.infomec(NOISE, FACTORS)["explicitness"] < 0.05
    assert score.dci(PERFECT, FACTORS, trees=10)["informativeness"] == 1.0
    assert score.dci(NOISE, FACTORS, trees=10)["informativeness"] < 0.4


def test_mutual_information_is_the_definition():
    codes = RNG.normal(size=(400, 2)) + FACTORS[:400, :2]
    found = score.mutual_information(codes, FACTORS[:400])
    for i, column in enumerate(score.binned(codes).T):
        for k, factor in enumerate(FACTORS[:400].T):
            joint = np.zeros((20, 4))
            np.add.at(joint, (column, factor), 1 / 400)
            product = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
            held = joint > 0
            assert found[i, k] == pytest.approx((joint[held] * np.log(joint[held] / product[held])).sum(), abs=1e-9)


def test_gap_and_modularity_by_hand(monkeypatch):
    table = np.array([[0.9, 0.1], [0.3, 0.6], [0.0, 0.0]])
    monkeypatch.setattr(score, "mutual_information", lambda codes, factors: table)
    monkeypatch.setattr(score, "entropy", lambda factors: np.array([1.0, 2.0]))
    assert score.mig(NOISE, FACTORS) == pytest.approx(((0.9 - 0.3) / 1 + (0.6 - 0.1) / 2) / 2)
    assert score.modularity(NOISE, FACTORS) == pytest.approx((1 - 0.01 / 0.81 + 1 - 0.09 / 0.36 + 0) / 3)


def test_purity_by_hand():
    importance = np.array([[0.75, 0.25], [0.0, 1.0]])
    entropy = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert score._weighted_purity(importance) == pytest.approx((1 - entropy + 1) / 2)


def test_entropy_of_an_even_factor():
    assert score.entropy(np.array([[0, 1], [1, 1], [2, 1], [3, 1]])) == pytest.approx([np.log(4), 0])


def test_all_scores_of_a_perfect_code_are_named_and_high():
    found = score.scores(PERFECT[:400], FACTORS[:400], trees=5)
    assert set(found) >= {"MIG", "SAP", "DCI disentanglement", "BetaVAE score", "FactorVAE score", "Info modularity"}
    assert found.pop("SAP") > 0.05  # its weak linear classifiers need many pictures
    assert min(found.values()) > 0.9


def drawn(case: dict, name: str) -> list[score.Draws]:
    """The 60 draws that the reference learned from and the 40 it judged by."""
    held, rows = (np.array(case["draws"][name][key]) for key in ("held", "rows"))
    return [score.Draws(held[part], rows[part]) for part in (slice(0, 60), slice(60, 100))]


@pytest.mark.parametrize("case", REFERENCE, ids=lambda case: case["name"])
def test_scores_are_those_of_the_authors_own_code(case):
    codes, factors = np.array(case["codes"]), np.array(case["factors"])
    found = {"MIG": score.mig(codes, factors), "SAP": score.sap(codes, factors)}
    found["modularity"] = score.modularity(codes, factors)
    found |= {f"DCI {name}": value for name, value in score.dci(codes, factors).items()}
    found |= {f"Info {name}": value for name, value in score.infomec(codes, factors).items()}
    found["BetaVAE score"] = score.beta_vae_accuracy(codes, *drawn(case, "BetaVAE"))
    found["FactorVAE score"] = score.factor_vae_accuracy(codes, *drawn(case, "FactorVAE"))
    assert found == pytest.approx(case["scores"], abs=1e-3)


def test_draws_share_the_factor_that_is_held():
    rng = np.random.default_rng(1)
    batches, pairs = score.draw_batches(FACTORS, 30, 8, rng), score.draw_pairs(FACTORS, 30, 8, rng)
    for k, rows in zip(batches.held, batches.rows, strict=True):
        assert len(np.unique(FACTORS[rows, k])) == 1
    for k, rows in zip(pairs.held, pairs.rows, strict=True):
        assert (FACTORS[rows[:, 0], k] == FACTORS[rows[:, 1], k]).all()
        assert (FACTORS[rows[:, 0]] != FACTORS[rows[:, 1]]).any()
