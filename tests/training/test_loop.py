"""The loop's bookkeeping in numbers: which steps are recorded, what a record says, when time is up, what is kept."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from latentdial import LatentdialError
from latentdial.config import ModelSettings, TrainSettings
from latentdial.machine.world import World
from latentdial.recipes import build
from latentdial.training.loop import Clock, Loop, WentBad, check_like, evaluating

LATENT = {"latent": 2, "widths": [4]}
PIXELS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (53, 4, 4, 1), np.uint8))


def made(recipe: str = "fcn-ae", world: World | None = None, labels=None, options=LATENT, names=(), **settings) -> Loop:
    torch.manual_seed(0)
    net = build(ModelSettings(recipe, options, [*names]), (1, 4, 4))
    settings = TrainSettings(**{"batch": 16, "steps": 12, "start": "random", **settings})
    return Loop(net, settings, PIXELS[:40], PIXELS[40:], "cpu", "float32", labels=labels, world=world or World())


def records_of(loop: Loop) -> list[dict]:
    found: list[dict] = []
    loop.run(found.append, lambda: False)
    return found


def due(loop: Loop, steps: int, times: int) -> list[int]:
    loop.steps = steps
    found = []
    for loop.step in range(1, min(steps, 100) + 1):
        found += [loop.step] if loop._due(times) else []
    return found


def test_a_run_has_so_many_steps_as_it_is_told():
    assert (made().batches, made().steps, made(batch="auto").batch) == (3, 12, 128)
    assert made(steps=None, epochs=2).steps == 6
    assert made(steps=None, epochs=0.5).steps == 2
    assert made(steps=None, epochs=0.01).steps == 1
    assert made(steps=None, time_budget="3s").steps == 10**9
    assert made("pca", options={"latent": 2}).steps == 0
    assert made(batch=40).batches == 1


def test_records_are_spread_over_the_run_and_the_last_step_has_one():
    loop = made()
    assert due(loop, 100, 20) == list(range(5, 101, 5))
    assert due(loop, 99, 20) == [*range(4, 97, 4), 99]
    assert due(loop, 7, 200) == [1, 2, 3, 4, 5, 6, 7]
    assert due(loop, 10**9, 200) == [10]  # from which the first plan is made
    assert due(loop, 10**9, 20) == []
    records = records_of(made(steps=40))
    assert [record["step"] for record in records if record["split"] == "train"] == list(range(1, 41))
    assert [record["step"] for record in records if record["split"] == "validation"] == list(range(2, 41, 2))
    from latentdial.training import loop as module

    assert (39_800 // module.LOGS, 400 // module.VALIDATIONS) == (199, 20)


def test_a_start_is_validated_and_a_random_one_is_not():
    assert [records_of(made(start=start))[0]["step"] for start in ("pca", "random")] == [0, 1]
    again = made(start="pca")
    again.step = 1
    assert [record["step"] for record in records_of(again)][:2] == [2, 2]
    assert records_of(made(start="pca", steps=12))[0]["split"] == "validation"


def test_a_record_tells_its_place_and_the_rate(monkeypatch):
    loop = made()
    monkeypatch.setattr(Clock, "lap", lambda self: 3.0)
    loop.seconds = 1.23456
    first, second, *_ = records_of(loop)
    assert (first["split"], first["step"], first["epoch"], first["seconds"]) == ("train", 1, 0.333, 1.23)
    assert first["images_per_second"] == 48
    assert "images_per_second" not in second


def test_a_budget_has_room_for_as_many_steps_as_its_rate_allows():
    loop = made(steps=None, time_budget="10s")
    for wall, wanted in ((2.0, 50), (3.0, 33), (12.0, 10), (10.0, 10)):
        loop.step, loop.wall = 10, wall
        loop._plan()
        assert loop.steps == wanted
    loop.step, loop.wall = 2, 0.0
    loop._plan()
    assert loop.steps > 10**9
    told = made()
    told.step, told.wall = 10, 2.0
    told._plan()
    assert told.steps == 12


def test_time_is_of_training_or_of_all_that_was_done(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("latentdial.training.loop.time.perf_counter", lambda: now[0])
    loop = made()
    clock = Clock(loop)
    now[0], loop.step = 104.0, 8
    assert clock.lap() == 2
    for _ in range(2):
        with clock.paused():
            now[0] += 3
    now[0], loop.step = now[0] + 1, 12
    assert clock.lap() == 4
    assert (loop.seconds, loop.wall) == (5, 11)
    assert clock.lap() == 0


def test_the_mean_of_a_validation_is_over_pictures_whatever_the_batch():
    whole, parts = made(batch=40), made(batch=16)
    assert parts.evaluate(PIXELS[:40]) == pytest.approx(whole.evaluate(PIXELS[:40]), rel=1e-5)
    x = whole.recipe.model.scale(PIXELS[:40])
    with torch.no_grad():
        own = whole.recipe.model(whole.recipe.model.batch(x)).log_px.mean()
    assert whole.evaluate(PIXELS[:40])["nll"] == pytest.approx(-own.item(), rel=1e-5)
    assert parts.evaluate(PIXELS[:40]) == parts.evaluate(PIXELS[:40])


def test_every_step_has_noise_of_its_own_and_a_batch_in_order():
    loop = made("fcn-vae")
    seeds = {loop._noise(number).initial_seed() for number in range(50)}
    seeds |= {made("fcn-vae", seed=seed)._noise(7).initial_seed() for seed in (1, 2, 3, 2**31 - 1)}
    assert len(seeds) == 54
    assert max(seeds) < 2**32
    loop.world = World(1, 2)
    assert loop._noise(0).initial_seed() not in seeds
    epochs = [torch.cat([made()._mine(step)[0] for step in range(3 * i, 3 * i + 3)]) for i in (0, 1)]
    assert [len(made()._mine(step)[0]) for step in range(4)] == [16, 16, 8, 16]
    assert [sorted(epoch.tolist()) for epoch in epochs] == [list(range(40))] * 2
    assert not torch.equal(*epochs)
    shared = made()
    shared.world = World(1, 2)
    rows, weight = shared._mine(2)
    assert (rows.tolist(), weight) == (epochs[0][33::2].tolist(), 1.0)
    for epoch in (0, 1, 2, 3):
        shared._order_of(epoch)
    assert [*shared._orders] == [2, 3]


def test_labels_go_with_their_pictures():
    labels = torch.arange(40) % 3, torch.arange(13) % 3
    loop = made("conditional-vae", labels=labels, options={"latent": 2, "channels": [4]}, names="abc")
    loop.step = 4
    pixels, weight, y = loop.next_batch()
    rows = loop._mine(4)[0]
    assert weight == 1
    assert torch.equal(y, labels[0][rows])
    assert torch.equal(pixels, PIXELS[:40][rows])
    assert all(map(math.isfinite, loop.evaluate(loop.validation).values()))
    before = loop.evaluate(loop.validation)["nll"], loop.evaluate(loop.pixels)["nll"]
    loop.labels = labels[0], (labels[1] + 1) % 3
    assert loop.evaluate(loop.validation)["nll"] != before[0]
    assert loop.evaluate(loop.pixels)["nll"] == before[1]


def test_terms_that_are_no_numbers_end_the_run_by_their_name():
    loop = made()
    loop.step, loop.count, loop._sums = 5, 2, {"loss": torch.tensor(math.inf), "nll": torch.tensor(6.0)}
    assert loop._means() == {"loss": math.inf, "nll": 3}
    assert (loop._sums, loop.count) == ({}, 0)
    loop.count, loop._sums = 1, {"loss": torch.tensor(1.0), "nll": torch.tensor(math.nan)}
    with pytest.raises(WentBad, match="the term nll became nan at step 5: lower --lr or use") as told:
        loop._means()
    assert (told.value.term, told.value.step) == ("nll", 5)


def test_the_average_is_fast_at_first_and_copies_what_counts():
    loop = made(ema=0.5)
    for parameter in loop.average.parameters():
        nn.init.zeros_(parameter)
    for net, value in ((loop.average, 0), (loop.recipe.model, 8)):
        net.register_buffer("counted", torch.tensor(value))
        net.register_buffer("mean", torch.tensor(float(value)))
    weight, own = loop.average.encoder[1].weight, loop.recipe.model.encoder[1].weight
    loop.step = 1
    loop._follow(loop.average)
    torch.testing.assert_close(weight, 0.9 * own)
    assert (loop.average.counted.item(), loop.average.mean.item()) == (8, pytest.approx(7.2))
    loop.step = 100
    loop._follow(loop.average)
    torch.testing.assert_close(weight, 0.95 * own)
    assert not weight.requires_grad


def test_a_step_decays_with_the_run_and_takes_the_weight_of_its_share():
    loop = made(lr=0.1, warmup=4, schedule="cosine")
    assert [loop.lr_at(step) for step in (0, 1, 3)] == pytest.approx(
        [0.1 * (step + 1) / 4 * 0.5 * (1 + math.cos(math.pi * step / 12)) for step in (0, 1, 3)]
    )
    assert loop.lr_at(12) == pytest.approx(0, abs=1e-12)
    seen = []
    loop._losses = lambda net, x, noise, done, kl, labels: seen.append((done, kl)) or ([x.sum() * 0 + 1.0], {})
    loop._learn = lambda player, loss, lr: seen.append((float(loss), lr))
    loop.step = 3
    assert float(loop.train_step(PIXELS[:16], 0.25)["loss"]) == 0.25
    assert seen == [(0.25, 1.0), (0.25, pytest.approx(loop.lr_at(3)))]
    assert loop.step == 4


def test_state_that_does_not_fit_is_refused():
    loop = made()
    records_of(loop)
    tensors = loop.state()
    assert not [name for name in tensors if name.startswith(("sums.", "average."))]
    fresh = made()
    fresh.restore(tensors)
    assert all(torch.equal(tensor, fresh.state()[name]) for name, tensor in tensors.items())
    name = next(name for name in tensors if name.startswith("optimizer.0.") and tensors[name].ndim == 2)
    with pytest.raises(ValueError, match=f"{name} does not fit the net"):
        fresh.restore(tensors | {name: tensors[name][:1]})
    with pytest.raises(ValueError, match="not one number a process"):
        fresh.restore(tensors | {"sums.nll": torch.tensor(1.0)})
    fresh.restore(tensors | {"sums.nll": torch.tensor([3.0]), "sums.loss": torch.tensor([1.0, 3])})
    assert {name: float(value) for name, value in fresh._sums.items()} == {"nll": 3, "loss": 2}
    with pytest.raises(KeyError):
        fresh.restore({name: tensor for name, tensor in tensors.items() if name != "model.encoder.0.weight"})


class Two(World):
    """Two processes, of which the other has one more of everything."""

    def gather(self, value):
        return torch.stack([value, value + 1])


def test_sums_of_all_processes_are_kept_but_where_each_keeps_its_own():
    loop = made()
    loop.world, loop._sums = Two(1, 2), {"nll": torch.tensor(3.0)}
    tensors = loop.state()
    assert tensors["sums.nll"].tolist() == [3, 4]
    loop.restore(tensors)
    assert float(loop._sums["nll"]) == 4
    loop.settings = replace(loop.settings, shard=True)
    assert loop.state()["sums.nll"].tolist() == [4]


@pytest.mark.parametrize("more", [{"b": torch.zeros(3)}, {"b": torch.zeros(2), "c": torch.zeros(1)}, {}])
def test_tensors_are_alike_by_name_and_shape(more):
    wanted = {"a": torch.zeros(2), "b": torch.zeros(2)}
    check_like({name: tensor + 1 for name, tensor in wanted.items()}, wanted)
    with pytest.raises(ValueError, match=r"[bc] does not fit the net"):
        check_like({"a": wanted["a"], **more}, wanted)


def test_nets_are_evaluated_and_go_on_as_they_were():
    first, second = nn.Linear(1, 1).train(), nn.Linear(1, 1).eval()
    with evaluating(first, second):
        assert not first.training
        assert not second.training
    assert first.training
    assert not second.training


def test_what_the_processes_average_is_what_nothing_else_does():
    loop = made("factor-vae", options={"latent": 2, "layers": [4]})
    assert [len(player.averaged) for player in loop.players] == [0, 0]
    model, critic = loop.players
    assert model.inputs is model.trained
    assert critic.net is loop.recipe.rivals[0].net
    assert made().players[0].inputs is None
    loop.world = World(0, 2)
    assert not loop._player(loop.recipe.model).averaged
    assert loop._player(critic.net).averaged == critic.trained
    loop.settings = replace(loop.settings, shard=True)
    kept = loop._player(loop.recipe.model)
    assert kept.inputs is None
    assert all(parameter.ndim == 0 for parameter in kept.averaged)


def test_a_term_that_cannot_be_compiled_is_no_matter_without_compiling():
    options = {"latent": 2, "layers": [4]}
    assert made("contractive-ae", options=options).steps == 12
    with pytest.raises(LatentdialError, match="the term contraction of this recipe cannot be compiled"):
        made("contractive-ae", options=options, compile=True)
