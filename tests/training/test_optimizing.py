"""Optimizers, schedules, averages, early stopping, time budgets and batch sizes, each by its definition."""

from __future__ import annotations

import json
import math
import time

import pytest
import torch
from torch import nn

import latentdial
from latentdial import LatentdialError
from latentdial.config import ModelSettings, TrainSettings
from latentdial.recipes import build
from latentdial.training.loop import Loop
from latentdial.training.optimizers import by_share, make_optimizers, set_rate
from latentdial.training.planning import largest_batch

OPTIMIZERS = ["adam", "adamw", "sgd", "adagrad", "muon"]
OPTIONS = {"latent": 4, "widths": [24]}


def make_loop(discs, recipe="fcn-ae", options=OPTIONS, **settings) -> Loop:
    torch.manual_seed(0)
    made = build(ModelSettings(recipe, options), (3, 16, 16))
    pixels = torch.from_numpy(discs)
    return Loop(
        made, TrainSettings(**{"batch": 16, "steps": 60, **settings}), pixels[:40], pixels[40:], "cpu", "float32"
    )


def run(loop: Loop) -> list[dict]:
    records: list[dict] = []
    loop.run(records.append, lambda: False)
    return records


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_learns_trains_all_and_goes_on_bit_by_bit(discs, name):
    settings = {"optimizer": name, "lr": 1e-4 if name == "sgd" else 3e-3, "schedule": "constant"}
    whole, first, second = (make_loop(discs, **settings) for _ in range(3))
    start = [p.clone() for p in whole.recipe.model.parameters() if p.requires_grad]
    before = whole.evaluate(whole.pixels)["loss"]
    run(whole)
    assert whole.evaluate(whole.pixels)["loss"] < before - 20
    trained = [p for p in whole.recipe.model.parameters() if p.requires_grad]
    assert not any(torch.equal(a, b) for a, b in zip(start, trained, strict=True))
    first.run(lambda record: None, lambda: first.step == 23)
    second.restore({key: tensor.clone() for key, tensor in first.state().items()})
    second.step, second.count = first.step, first.count
    run(second)
    for a, b in zip(whole.recipe.model.parameters(), second.recipe.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_record_is_the_mean_of_the_steps_since_the_last(discs, monkeypatch):
    monkeypatch.setattr("latentdial.training.loop.LOGS", 4)
    loop = make_loop(discs, lr=1e-12, batch=40, steps=12, start="random")
    expected = loop.evaluate(loop.pixels)
    records = [record for record in run(loop) if record["split"] == "train"]
    assert [record["step"] for record in records] == [3, 6, 9, 12]
    for record in records:
        assert {name: record[name] for name in expected} == pytest.approx(expected, rel=1e-4)


def test_a_share_of_a_batch_counts_by_its_weight(discs):
    whole, double = make_loop(discs), make_loop(discs)
    batch = whole.next_batch()[0]
    ours, theirs = whole.train_step(batch), double.train_step(batch, 2.0)
    assert {name: float(value) for name, value in theirs.items()} == pytest.approx(
        {name: 2 * float(value) for name, value in ours.items()}
    )


def test_a_model_that_is_nothing_but_its_start_takes_no_steps(discs):
    assert make_loop(discs, "pca", {"latent": 4}, steps=9).steps == 0


def test_muon_takes_the_matrices_and_leaves_the_rest():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(8, 2))
    muon, rest = make_optimizers(model, TrainSettings(optimizer="muon"), "cpu")
    assert [p.ndim for p in muon.param_groups[0]["params"]] == [2]
    assert sorted(p.ndim for p in rest.param_groups[0]["params"]) == [1, 1, 4]


@pytest.mark.parametrize(("start", "share"), [("pca", 0.25), ("random", 1.0)])
def test_from_a_linear_start_a_layer_with_many_inputs_learns_slowly(start, share):
    """Adam's first step moves every weight by its rate, whatever the gradient (arXiv 1412.6980, section 2.1)."""
    model = nn.Sequential(nn.Conv2d(2, 512, 1), nn.Flatten(), nn.Linear(2048, 3))
    before = [p.detach().clone() for p in model.parameters()]
    (optimizer,) = make_optimizers(model, TrainSettings(start=start, optimizer="adam"), "cpu")
    set_rate(optimizer, 0.01)
    model(torch.ones(1, 2, 2, 2)).square().sum().backward()
    optimizer.step()
    moved = [(p - old).abs().max().item() for p, old in zip(model.parameters(), before, strict=True)]
    assert moved == pytest.approx([0.01, 0.01, 0.01 * share, 0.01], rel=1e-3)


def test_a_layer_of_512_inputs_learns_at_the_full_rate_and_a_larger_one_does_not():
    shares = [group["share"] for group in by_share(nn.Sequential(nn.Linear(512, 1), nn.Linear(1024, 1)))]
    assert shares == [1.0, 0.5]


def test_sgd_has_the_momentum_of_its_definition():
    """A gradient that stays moves a weight by lr, then by 1.9 lr (Polyak 1964, as in torch)."""
    layer = nn.Linear(1, 1, bias=False)
    before = layer.weight.item()
    (optimizer,) = make_optimizers(layer, TrainSettings(optimizer="sgd", lr=0.1, start="random"), "cpu")
    for _ in range(2):
        layer.weight.grad = torch.ones(1, 1)
        optimizer.step()
    assert layer.weight.item() == pytest.approx(before - 0.1 - 0.19, rel=1e-5)


def test_weight_decay_of_adamw_shrinks_by_its_definition():
    """Without a gradient, decoupled weight decay multiplies a weight by 1 - lr * decay (arXiv 1711.05101, alg. 2)."""
    layer = nn.Linear(1, 1, bias=False)
    before = layer.weight.item()
    (optimizer,) = make_optimizers(layer, TrainSettings(optimizer="adamw", lr=0.1, weight_decay=0.5), "cpu")
    layer.weight.grad = torch.zeros(1, 1)
    optimizer.step()
    assert layer.weight.item() == pytest.approx(before * (1 - 0.1 * 0.5), rel=1e-6)


def test_clipping_bounds_the_gradient(discs):
    loop = make_loop(discs, clip=0.5)
    loop.train_step(*loop.next_batch())
    norm = torch.stack([p.grad.norm() for p in loop.recipe.model.parameters() if p.grad is not None]).norm()
    assert norm.item() == pytest.approx(0.5, rel=1e-4)


def test_the_average_follows_the_weights_by_its_definition(discs):
    loop = make_loop(discs, ema=0.5)
    weight = loop.recipe.model.encoder[1].weight
    expected = weight.detach().clone()
    for step in range(1, 15):
        loop.train_step(*loop.next_batch())
        keep = min(0.5, step / (step + 9))
        expected = keep * expected + (1 - keep) * weight.detach()
    torch.testing.assert_close(loop.average.encoder[1].weight, expected)


def test_the_average_is_validated_and_published(discs_file, tmp_path):
    out = tmp_path / "run"
    settings = {
        "size": 16,
        "batch": 16,
        "steps": 50,
        "checkpoint": 0.0001,
        "keep_checkpoint": True,
        "ema": 0.9,
        "start": "random",
    }
    codec = latentdial.train("fcn-ae", discs_file, out, options=OPTIONS, **settings)
    from latentdial.training.checkpoint import Checkpoints

    tensors = Checkpoints(out).load().tensors
    published = codec.model.state_dict()["encoder.0.weight"]
    assert torch.equal(published, tensors["average.encoder.0.weight"])
    assert not torch.equal(published, tensors["model.encoder.0.weight"])


def test_step_schedule_and_warm_up(discs):
    loop = make_loop(discs, steps=1000, schedule="step", decay_at=[0.4, 0.7], decay=0.5, lr=0.01, warmup=10)
    assert [loop.lr_at(step) for step in (0, 9, 399, 400, 700)] == pytest.approx([0.001, 0.01, 0.01, 0.005, 0.0025])


def test_kl_schedule_weighs_the_loss_of_training_and_never_of_validation(discs):
    loop = make_loop(discs, "fcn-vae", kl_schedule="linear", kl_rise=1.0, steps=20)
    for record in run(loop):
        done = 1.0 if record["split"] == "validation" else (record["step"] - 1) / 20
        assert record["loss"] == pytest.approx(record["nll"] + done * record["kl"], rel=1e-5)


def test_early_stopping_publishes_the_best(discs_file, tmp_path, capsys):
    out = tmp_path / "run"
    settings = {"size": 16, "batch": 16, "steps": 4000, "patience": 3, "monitor": "nll", "lr": 0.05}
    codec = latentdial.train("fcn-vae", discs_file, out, options=OPTIONS, schedule="constant", **settings)
    summary = json.loads((out / "summary.json").read_text())
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    validations = [record for record in records if record["split"] == "validation"]
    best = min(validations, key=lambda record: record["nll"])
    assert summary["step"] < 4000
    assert not summary["interrupted"]
    assert summary["published_step"] == best["step"]
    assert [record["step"] for record in validations].index(best["step"]) == len(validations) - 4
    assert codec.latent == 4
    said = (
        f"the validation nll was best after step {best['step']:,} of {summary['step']:,}: these weights are published"
    )
    assert said in capsys.readouterr().err
    assert f"; the weights are those after {best['step']} of them" in (out / "README.md").read_text()


def test_a_term_that_is_not_there_cannot_be_monitored(discs_file, tmp_path):
    with pytest.raises(LatentdialError, match="--monitor takes kl, loss, nll"):
        latentdial.train("fcn-vae", discs_file, tmp_path / "x", options=OPTIONS, size=16, steps=2, monitor="psnr")


def test_a_time_budget_ends_on_time_with_its_schedule_done(discs):
    loop = make_loop(discs, steps=None, time_budget="2s")
    start = time.perf_counter()
    records = run(loop)
    assert 1.0 < time.perf_counter() - start < 10.0
    assert loop.step == loop.steps == records[-1]["step"]
    assert loop.lr_at(loop.step) == pytest.approx(0, abs=1e-9)
    assert len([record for record in records if record["split"] == "train"]) > 20


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("7", 7)])
def test_time_budgets_are_read(text, seconds):
    assert TrainSettings(time_budget=text).budget_seconds == seconds


@pytest.mark.parametrize("text", ["soon", "0m", "-3s", "1d"])
def test_odd_time_budgets_are_refused(text):
    with pytest.raises(LatentdialError, match="--time-budget"):
        TrainSettings(time_budget=text)


def test_the_largest_batch_follows_memory(discs, monkeypatch):
    from latentdial.training import planning

    def loop_of(batch: int) -> Loop:
        return make_loop(discs, batch=batch)

    one = (planning._bytes_of_step(loop_of(32)) - planning._bytes_of_step(loop_of(16))) / 16
    assert one >= 2 * (768 + 24) * 4 / 2  # at least what the layers keep of a picture
    assert largest_batch(loop_of, 100_000, "cpu") == 4096
    monkeypatch.setattr(
        planning, "free_memory", lambda device: int(2 * (planning._bytes_of_step(loop_of(16)) + 100 * one))
    )
    assert largest_batch(loop_of, 100_000, "cpu") == 64
    assert largest_batch(loop_of, 40, "cpu") == 2


def test_auto_batch_is_written_to_the_run_and_kept_when_it_goes_on(discs_file, tmp_path):
    out = tmp_path / "run"
    settings = {"size": 16, "batch": "auto", "checkpoint": 0.0001, "keep_checkpoint": True}
    latentdial.train("fcn-ae", discs_file, out, options=OPTIONS, steps=5, **settings)
    assert json.loads((out / "config.json").read_text())["train"]["batch"] == 2
    latentdial.train("fcn-ae", discs_file, out, options=OPTIONS, steps=8, resume=True, **settings)
    assert json.loads((out / "config.json").read_text())["train"]["batch"] == 2


def test_free_bits_keep_dimensions_from_closing(discs):
    """With free nats the KL of every dimension stays near them, where without they would close."""
    closed, kept = [], []
    for free_bits, into in ((0.0, closed), (0.5, kept)):
        torch.manual_seed(0)
        made = build(ModelSettings("fcn-vae", OPTIONS | {"free_bits": free_bits, "beta": 200.0}), (3, 16, 16))
        pixels = torch.from_numpy(discs)
        loop = Loop(made, TrainSettings(batch=16, steps=300, lr=3e-3), pixels[:40], pixels[40:], "cpu", "float32")
        run(loop)
        into.append(loop.evaluate(pixels[:40])["kl"])
    assert closed[0] < 0.2
    assert 1.2 < kept[0] < 3.5
    assert math.isfinite(kept[0])
