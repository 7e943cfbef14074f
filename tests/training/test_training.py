"""The training loop: it learns, repeats itself exactly, and stops with a reason when the numbers go bad."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import latentdial
from latentdial import LatentdialError
from latentdial.config import ModelSettings, TrainSettings
from latentdial.machine.precision import choose_device, choose_precision
from latentdial.measure.reconstruction import reconstruction
from latentdial.recipes import build
from latentdial.training.checkpoint import Checkpoints, State
from latentdial.training.loop import Loop


def make_loop(discs, recipe="fcn-vae", **settings) -> Loop:
    torch.manual_seed(0)
    made = build(ModelSettings(recipe, {"latent": 4, "widths": [24]}), (3, 16, 16))
    settings = {"batch": 16, "steps": 40, **settings}
    pixels = torch.from_numpy(discs)
    return Loop(made, TrainSettings(**settings), pixels[:40], pixels[40:], "cpu", "float32")


def run(loop: Loop) -> list[dict]:
    records: list[dict] = []
    loop.run(records.append, lambda: False)
    return records


@pytest.mark.parametrize("recipe", ["fcn-ae", "fcn-vae"])
def test_training_learns_the_pictures(tiny_runs, discs, recipe):
    codec = latentdial.load(tiny_runs[recipe])
    mean = np.broadcast_to(discs.mean(0), discs.shape)
    assert reconstruction(discs, codec.reconstruct(discs)).mse < 0.7 * reconstruction(discs, mean).mse


def test_the_same_seed_gives_the_same_bits(discs):
    first, second, other = make_loop(discs), make_loop(discs), make_loop(discs, seed=1)
    records = [run(loop) for loop in (first, second, other)]
    for a, b in zip(first.recipe.model.parameters(), second.recipe.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert [r["loss"] for r in records[0]] == [r["loss"] for r in records[1]]
    assert records[0][-1]["loss"] != records[2][-1]["loss"]


def test_resumed_loop_is_bit_exact(discs, tmp_path):
    whole, first, second = (make_loop(discs) for _ in range(3))
    run(whole)
    first.run(lambda record: None, lambda: first.step == 17)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(first.state(), State(first.step, count=first.count), None)
    checkpoints.wait()
    found = Checkpoints(tmp_path).load()
    second.restore(found.tensors)
    second.step, second.count = found.state.step, found.state.count
    assert second.step == 17
    run(second)
    for a, b in zip(whole.recipe.model.parameters(), second.recipe.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_every_term_is_logged_for_training_and_validation(discs):
    records = run(make_loop(discs))
    for split in ("train", "validation"):
        chosen = [record for record in records if record["split"] == split]
        assert chosen[-1]["step"] == 40
        assert all({"loss", "nll", "kl"} <= record.keys() for record in chosen)
        for record in chosen:
            assert record["loss"] == pytest.approx(record["nll"] + record["kl"], rel=1e-4)


def test_an_epoch_shows_every_picture_once(discs):
    loop = make_loop(discs, batch=7)
    seen = []
    for step in range(loop.batches):
        loop.step = step
        seen.append(loop.next_batch()[0])
    shown = torch.cat(seen).flatten(1)
    assert len(shown) == 40
    assert {row.numpy().tobytes() for row in shown} == {row.numpy().tobytes() for row in loop.pixels.flatten(1)}


def test_learning_rate_rises_then_falls_to_zero(discs):
    loop = make_loop(discs, steps=1000)
    rates = [loop.lr_at(step) for step in range(1001)]
    assert rates[0] < rates[49] <= 1e-3
    assert rates[1000] == pytest.approx(0, abs=1e-9)
    assert max(rates) == pytest.approx(1e-3, rel=0.02)
    assert make_loop(discs, schedule="constant").lr_at(39) == 1e-3


def test_numbers_that_go_bad_stop_training_with_a_remedy(discs):
    loop = make_loop(discs)
    with torch.no_grad():
        loop.recipe.model.encoder[1].weight.fill_(float("nan"))
    with pytest.raises(LatentdialError, match="lower --lr"):
        run(loop)


def test_fewer_pictures_than_a_batch(discs):
    assert run(make_loop(discs, batch=4000, steps=3))[-1]["step"] == 3


def test_devices_and_precision():
    assert choose_device("cpu") == "cpu"
    with pytest.raises(LatentdialError, match="use cpu"):
        choose_device("warp")
    assert choose_precision("float32", "cpu") == "float32"
    assert choose_precision("auto", "cpu") in {"bf16", "float32"}
    assert choose_precision("auto", "mps") == "float32" or torch.backends.mps.is_available()


def test_bf16_and_float32_learn_alike(discs):
    losses = {}
    for precision in ("bf16", "float32"):
        loop = make_loop(discs, recipe="fcn-ae", steps=60)
        loop.precision = precision
        losses[precision] = run(loop)[-1]["loss"]
        assert all(p.dtype == torch.float32 for p in loop.recipe.model.parameters())
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.02)


@pytest.mark.filterwarnings("ignore:.*autograd.function.Function:DeprecationWarning")  # torch's own, in tracing
@pytest.mark.parametrize(("recipe", "options"), [("fcn-vae", {"widths": [24]}), ("conv-vae", {"channels": [4, 8]})])
def test_a_compiled_net_trains_as_the_plain_one(discs, monkeypatch, recipe, options):
    """Pass and loss are one graph, in bfloat16 too; without the C++ compiler that is torch's default."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager", fullgraph=True))
    losses = []
    for compiled in (False, True):
        torch.manual_seed(0)
        made = build(ModelSettings(recipe, {"latent": 4, **options}), (3, 16, 16))
        pixels, settings = (
            torch.from_numpy(discs),
            TrainSettings(batch=16, steps=6, compile=compiled, kl_schedule="linear"),
        )
        losses.append(run(Loop(made, settings, pixels[:32], pixels[32:], "cpu", "bf16"))[-1]["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_python_interface(discs_file, tmp_path, discs):
    codec = latentdial.train(
        "conv-vae", discs_file, tmp_path / "run", options={"latent": 3, "channels": [8, 8]}, size=16, steps=5
    )
    assert codec.encode(discs).shape == (48, 3)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["train"]["steps"] == 5
    with pytest.raises(LatentdialError, match="no setting"):
        latentdial.train("conv-vae", discs_file, tmp_path / "other", stepps=5)
    with pytest.raises(LatentdialError, match=r"np\.save"):
        latentdial.train("conv-vae", np.load(discs_file), tmp_path / "other")  # type: ignore[arg-type]


class NothingRead(TorchDispatchMode):
    """Raises where a value is read from the device, which would wait for all that was asked of it before.

    That is `.item()` and what uses it: float(), bool(), comparison in an if, indexing with a mask.
    """

    READS = ("_local_scalar_dense", "is_nonzero", "nonzero", "equal")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in self.READS:
            raise AssertionError(f"{func} reads a value")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("recipe", ["fcn-ae", "fcn-vae"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_step_reads_nothing_from_the_device(discs, recipe, precision):
    loop = make_loop(discs, recipe, clip=1.0, ema=0.9)
    loop.precision = precision
    loop.train_step(*loop.next_batch())
    with NothingRead():
        with pytest.raises(AssertionError, match="reads a value"):
            torch.ones(1).item()
        for _ in range(3):
            loop.train_step(*loop.next_batch())
    assert loop.step == 4
