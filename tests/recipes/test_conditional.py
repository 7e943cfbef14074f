"""A conditional model obeys its labels, as a judge sees it who has seen real pictures only."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import latentdial
from latentdial import LatentdialError
from latentdial.anomaly.evidence import has_evidence, surplus
from latentdial.cli import main
from latentdial.config import ModelSettings
from latentdial.explorer.sources import gallery_of
from latentdial.images import open_parts
from latentdial.latent.relabelling import relabel
from latentdial.recipes import build, options_of, takes_labels
from latentdial.runs.labelled import unseen_of

LABELS = ["blue", "green", "red"]


def drawn(label: int, rng: np.random.Generator) -> np.ndarray:
    """A disc or a square of about one colour, anywhere and of any size, on any grey."""
    rows, columns = np.mgrid[:16, :16]
    y, x, size = *rng.integers(4, 12, 2), rng.uniform(2.5, 4.5)
    apart = np.stack([abs(rows - y), abs(columns - x)])
    inside = (np.hypot(*apart) if rng.random() < 0.5 else apart.max(0)) < size
    picture = np.full((16, 16, 3), rng.integers(100, 200), np.uint8)
    picture[inside] = rng.integers(0, 60, 3) + 180 * (np.arange(3) == 2 - label)
    return picture


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("data") / "shapes", np.random.default_rng(0)
    for label, name in enumerate(LABELS):
        (folder / name).mkdir(parents=True)
        for i in range(80):
            Image.fromarray(drawn(label, rng)).save(folder / name / f"{i}.png")
    return folder


SETTINGS = {"size": 16, "batch": 32, "lr": 3e-3}
OPTIONS = {"latent": 4, "channels": [16, 32], "numbers": 8}


@pytest.fixture(scope="module")
def trained(shapes, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "conditional"
    latentdial.train("conditional-vae", shapes, out, options=OPTIONS, steps=300, **SETTINGS)
    return out


@pytest.fixture(scope="module")
def judge():
    """A classifier that has seen other such pictures, and is right on yet others."""
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(1)
    truth = np.repeat(np.arange(3), 300)
    pictures = np.stack([drawn(label, rng) for label in truth])
    forest = RandomForestClassifier(200, random_state=0).fit(seen(pictures), truth)
    assert forest.score(seen(np.stack([drawn(label, rng) for label in truth])), truth) > 0.97
    return forest


def seen(pictures: np.ndarray) -> np.ndarray:
    return pictures.reshape(len(pictures), -1)


def test_what_is_drawn_is_what_the_label_says(trained, judge):
    codec = latentdial.load(trained)
    assert codec.config.model.labels == LABELS
    obeyed = []
    for label, name in enumerate(LABELS):
        given = codec.given(name)
        obeyed.append((judge.predict(seen(given.sample(60, seed=2))) == label).mean())
        assert np.array_equal(given.decode(codec.codes[:3]), codec.given(label).decode(codec.codes[:3]))
    assert min(obeyed) > 0.85, obeyed  # a third by chance
    same = [codec.given(name).decode(codec.codes[:1]) for name in LABELS]
    assert not np.array_equal(same[0], same[1])


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """800 real digits on black, in folders by label, and a judge that has seen 997 others."""
    from sklearn.datasets import load_digits
    from sklearn.svm import SVC

    folder, (flat, truth) = tmp_path_factory.mktemp("data") / "digits", load_digits(return_X_y=True)
    pictures = [Image.fromarray((one * 15.9).astype(np.uint8).reshape(8, 8)).resize((16, 16)) for one in flat]
    for i, label in enumerate(truth[:800]):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        pictures[i].save(folder / str(label) / f"{i}.png")
    others = seen(np.stack([np.asarray(one) for one in pictures[800:]]))
    judge = SVC(gamma="scale").fit(others[:700], truth[800:1500])
    assert judge.score(others[700:], truth[1500:]) > 0.9
    return folder, judge


@pytest.fixture(scope="module")
def writer(digits, tmp_path_factory):
    options = {"latent": 8, "channels": [16, 32]}
    settings = {"size": 16, "colour": "grey", "steps": 120, "priors": False}
    return latentdial.train(
        "conditional-vae", digits[0], tmp_path_factory.mktemp("runs") / "digits", options=options, **settings
    )


def test_digits_on_black_are_drawn_as_their_label_says(digits, writer):
    """A decoder behind a tanh that begins at random turns all black there (docs/log.md)."""
    codec, judge = latentdial.load(writer.address), digits[1]
    obeyed = [(judge.predict(seen(codec.given(str(i)).sample(60, seed=1))) == i).mean() for i in range(10)]
    assert np.mean(obeyed) > 0.85, obeyed
    parts = open_parts(codec.config).test
    held, truth = parts.pixels[:], np.asarray(parts.labels)
    right = [
        (judge.predict(seen(relabel(codec, held[truth == i], str(i))[:, j])) == j).mean()
        for i in range(10)
        for j in range(10)
    ]
    assert np.mean(right) > 0.8, right
    decoded = [codec.given(str(i)).reconstruct(held[truth == i]) - held[truth == i].astype(float) for i in range(10)]
    pca = by_pca(open_parts(codec.config).training.pixels[:], held)
    assert np.square(np.concatenate(decoded)).mean() < 0.9 * np.square(pca - held).mean()


def by_pca(training: np.ndarray, held: np.ndarray) -> np.ndarray:
    from sklearn.decomposition import PCA

    known = PCA(8, random_state=0).fit(training.reshape(len(training), -1))
    return known.inverse_transform(known.transform(held.reshape(len(held), -1))).reshape(held.shape)


def test_the_codec_of_a_label_has_the_codes_of_its_pictures(writer):
    codec = latentdial.load(writer.address)
    training = open_parts(codec.config).training
    pixels, truth = training.pixels[:], np.asarray(training.labels)
    given = codec.given("3")
    np.testing.assert_allclose(given.codes, given.encode(pixels[truth == 3]), atol=1e-4)
    assert np.abs(given.codes - codec.encode(pixels[truth == 3])).max() > 0.1
    assert given.prior_named() == "gaussian"
    assert given.sample_codes(3).shape == (3, 8)
    with pytest.raises(LatentdialError, match="has no prior 'mixture': use auto, gaussian or neigh"):
        given.sample(1, prior="mixture")
    few = replace(codec, labels=np.where(codec.labels == 3, 4, codec.labels)).given("3")
    assert len(few.codes) == len(codec.codes)  # of no picture with this label, those of all


def test_the_gallery_of_a_label_has_its_pictures(writer):
    pictures, labels, _ = gallery_of(writer.given("3"), None, lambda *_: None)
    held = open_parts(writer.config).held_out
    assert set(labels) == {"3"}
    assert len(pictures) == min(24, int((np.asarray(held.labels) == 3).sum()))
    assert len(set(gallery_of(writer, None, lambda *_: None)[1])) > 5


def test_the_command_shows_pictures_as_other_labels(writer, digits, tmp_path, capsys):
    picture, out = str(next((digits[0] / "3").iterdir())), str(tmp_path / "others.png")
    assert main(["relabel", writer.address, picture, "--label", "3", "--to", "5", "8", "--out", out, "--json"]) == 0
    said = {"run": writer.address, "labels": ["3"], "to": ["5", "8"], "out": out}
    assert json.loads(capsys.readouterr().out) == said
    with Image.open(out) as sheet:
        assert sheet.width > sheet.height
    assert main(["relabel", writer.address, picture, "--out", out]) == 1
    assert "name it with --label" in capsys.readouterr().err
    assert main(["relabel", writer.address, picture, "--label", "three", "--out", out]) == 1
    assert "knows no label 'three'" in capsys.readouterr().err
    made = relabel(writer, picture, 3, ["3", 5])
    assert made.shape == (1, 2, 16, 16, 1)
    assert np.array_equal(made[:, 0], writer.given("3").reconstruct(picture))


def test_without_pictures_it_shows_test_pictures_of_every_label(writer, tmp_path, capsys):
    out = str(tmp_path / "all.png")
    assert main(["relabel", writer.address, "-n", "2", "--to", "1", "0", "--out", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == [str(i) for i in range(10)]
    found = unseen_of(writer, ["7", "2"], 2)
    assert [(label, len(pictures)) for label, pictures in found] == [("7", 2), ("2", 2)]
    test = open_parts(writer.config).test
    assert np.array_equal(found[0][1], test.pixels[np.flatnonzero(np.asarray(test.labels) == 7)[:2]])
    with pytest.raises(LatentdialError, match="no test picture of digits has one of these labels"):
        unseen_of(writer, ["eleven"], 1)


def test_a_codec_without_labels_says_what_to_train(tiny_runs, tmp_path, capsys):
    assert main(["relabel", str(tiny_runs["fcn-ae"]), "--out", str(tmp_path / "no.png")]) == 1
    assert "has not learnt from labels: train conditional-vae" in capsys.readouterr().err


def test_pictures_whose_label_is_not_told_have_their_evidence(trained):
    """As `anomalies` and reports ask for it: of one picture as of many."""
    codec, rng = latentdial.load(trained), np.random.default_rng(3)
    pictures = np.stack([drawn(label, rng) for label in (0, 1, 2, 0)])
    strange = np.concatenate([pictures, rng.integers(0, 256, (1, 16, 16, 3), np.uint8)])
    assert has_evidence(codec)
    found = surplus(codec, strange)
    np.testing.assert_allclose(surplus(codec, strange[:1]), found[:1], rtol=1e-4)
    assert found.argmax() == 4


def test_nets_of_a_label_take_any_number_of_pictures_when_traced(trained):
    codec, any_number = latentdial.load(trained).given("red"), torch.export.Dim("codes")

    class Decoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model, self.decode = codec.model, codec.decoder

        def forward(self, code):
            return self.decode(code)

    codes = torch.from_numpy(codec.codes[:5])
    program = torch.export.export(Decoder(), (codes[:2],), dynamic_shapes=({0: any_number},), strict=False).module()
    torch.testing.assert_close(program(codes), codec.decoder(codes))


def test_a_codec_of_a_label_leaves_thin_layers_that_know_none(trained):
    codec = latentdial.load(trained)
    assert replace(codec, thin=codec.model).given("red").thin is None


def test_a_label_that_nobody_knows_is_refused(trained, codec):
    run = latentdial.load(trained)
    with pytest.raises(LatentdialError, match="knows no label 'gren': did you mean green"):
        run.given("gren")
    with pytest.raises(LatentdialError, match="knows no label 3"):
        run.given(3)
    with pytest.raises(LatentdialError, match="has not learnt from labels"):
        codec.given("red")


def test_pictures_without_labels_cannot_teach_it(discs_file, tmp_path):
    with pytest.raises(LatentdialError, match=r"learns from labels, and .* has none"):
        latentdial.train("conditional-vae", discs_file, tmp_path / "run", steps=1, **SETTINGS)
    assert takes_labels("conditional-vae")
    assert "labels" not in options_of("conditional-vae")
    assert not takes_labels("conv-vae")


def test_training_goes_on_with_the_same_labels(shapes, tmp_path):
    settings = SETTINGS | {"schedule": "constant", "warmup": 2, "keep_checkpoint": True}
    for out, steps in (("whole", [14]), ("parts", [6, 14])):
        for n in steps:
            resume = n == 14 > steps[0]
            latentdial.train(
                "conditional-vae", shapes, tmp_path / out, options=OPTIONS, steps=n, resume=resume, **settings
            )
    whole, parts = ((tmp_path / out / "model.safetensors").read_bytes() for out in ("whole", "parts"))
    assert whole == parts


def test_labels_are_left_out_in_training_alone():
    torch.manual_seed(0)
    model = build(ModelSettings("conditional-vae", OPTIONS | {"out": 0.25}, LABELS), (3, 16, 16)).model
    rows = model.condition.rows(torch.full((8000,), 2), torch.zeros(8000), torch.randn(8000))
    assert set(rows.tolist()) == {0, 3}
    assert (rows == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert model.condition.rows(torch.tensor([2]), torch.zeros(1)).tolist() == [3]


def test_the_command_draws_what_a_label_says(trained, tmp_path, capsys):
    assert (
        main(["sample", str(trained), "--given", "blue", "-n", "4", "--out", str(tmp_path / "blue.png"), "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["n"] == 4
    assert (tmp_path / "blue.png").is_file()
