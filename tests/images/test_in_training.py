"""Training reads pictures the same way whether they are held or streamed, and varies them as it is told."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest
import torch

from latentdial import train
from latentdial.config import AugmentSettings
from latentdial.errors import LatentdialError
from latentdial.images import Pictures, batch_order
from latentdial.progress import Show
from latentdial.runs.loading import load
from latentdial.training.augment import augment
from latentdial.training.feed import DEPTH, Ahead, Streamed, feed
from pictures import encoded, good_folder, photo, write_folder

TINY = {"options": {"latent": 4, "widths": [16]}, "size": 16, "steps": 12, "batch": 8, "precision": "float32"}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_streamed_pictures_train_the_same_weights(tmp_path, discs_file):
    for memory in ("hold", "stream"):
        train("fcn-ae", discs_file, tmp_path / memory, memory=memory, **TINY)
    held, streamed = (load(tmp_path / memory).model.state_dict() for memory in ("hold", "stream"))
    assert all(torch.equal(held[name], streamed[name]) for name in held)


def test_what_does_not_fit_is_streamed(discs, monkeypatch):
    from latentdial.training import feed as module

    pictures = Pictures.of(discs)
    assert torch.equal(feed(pictures, "cpu"), torch.from_numpy(discs))
    monkeypatch.setattr(module, "free_memory", lambda device: discs.nbytes)
    streamed = feed(pictures, "cpu")
    assert isinstance(streamed, Streamed)
    monkeypatch.undo()
    monkeypatch.setattr(module, "AT_ONCE", discs.nbytes - 1)
    assert isinstance(feed(pictures, "cpu"), Streamed)
    assert isinstance(feed(pictures, "cpu", "hold"), torch.Tensor)
    index = torch.tensor([5, 1, 40])
    assert torch.equal(streamed[index], torch.from_numpy(discs)[index])
    assert torch.equal(streamed[3:9], torch.from_numpy(discs[3:9]))


def rows_of_steps(seed: int = 3):
    """Batches of 8 of 48 pictures: an order an epoch, 6 steps each."""
    return lambda step: torch.from_numpy(batch_order(48, seed, step // 6))[step % 6 * 8 : (step % 6 + 1) * 8]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_batches_are_the_same_for_any_number_of_workers(discs, workers):
    rows, held = rows_of_steps(), torch.from_numpy(discs)
    ahead = Ahead(Streamed(Pictures.of(discs), "cpu"), rows, workers)
    for step in [*range(14), 40, 41, 3]:  # on over the end of epochs, then elsewhere, as a resumed run does
        assert torch.equal(ahead.batch(step), held[rows(step)])
    ahead.close()
    assert torch.equal(ahead.batch(5), held[rows(5)]), "it can be used again"
    ahead.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]
    assert torch.equal(Ahead(held, rows, workers).batch(7), held[rows(7)])


class Counted(Pictures):
    """Counts what was asked for, and cannot read the picture that stands for a broken disk."""

    reads: list[np.ndarray] = []  # noqa: RUF012 - shared by design
    broken = -1

    def __getitem__(self, index):
        self.reads.append(index)
        if self.broken in index:
            raise OSError("the disk is gone")
        return super().__getitem__(index)


def test_no_more_batches_are_read_ahead_than_stated(discs, monkeypatch):
    monkeypatch.setattr(Counted, "reads", [])
    ahead = Ahead(Streamed(Counted(discs, np.arange(48)), "cpu"), rows_of_steps(), 2)
    ahead.batch(0)
    deadline = time.monotonic() + 10
    while len(Counted.reads) < DEPTH + 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(Counted.reads) == DEPTH + 1
    ahead.close()


def test_an_error_while_reading_ahead_is_raised_at_its_step(discs, monkeypatch):
    rows = rows_of_steps()
    monkeypatch.setattr(Counted, "broken", int(rows(3)[0]))
    ahead = Ahead(Streamed(Counted(discs, np.arange(48)), "cpu"), rows, 2)
    for step in range(3):
        ahead.batch(step)
    with pytest.raises(OSError, match="the disk is gone"):
        ahead.batch(3)
    ahead.close()


class Said(Show):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_training_starts_again_where_a_file_was_overwritten_in_place(tmp_path):
    root = good_folder(tmp_path / "pictures", 24)
    train("fcn-ae", root, tmp_path / "first", **TINY)
    (root / "a/000.jpg").write_bytes(encoded(photo(90)))
    (root / "b/001.jpg").write_bytes(encoded(photo(91)))
    said = Said()
    train("fcn-ae", root, tmp_path / "second", show=said, **TINY)
    assert [line for line in said.lines if "changed" in line] == [
        "2 picture files have changed since they were decoded: starting again with the files as they are now"
    ]
    train("fcn-ae", root, tmp_path / "third", **TINY)
    first, second, third = (load(tmp_path / run).model.state_dict() for run in ("first", "second", "third"))
    assert all(torch.equal(second[name], third[name]) for name in second), "trained on the new pictures alone"
    assert not all(torch.equal(first[name], second[name]) for name in first)
    records = [json.loads(line) for line in (tmp_path / "second/metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if record["split"] == "train"] == list(range(1, 13))


def test_a_folder_with_hostile_files_trains_with_one_call(tmp_path):
    root = write_folder(
        good_folder(tmp_path / "pictures", 24), {"a/bad.jpg": b"text", "a/cut.jpg": encoded(photo(1))[:300]}
    )
    codec = train("fcn-ae", root, tmp_path / "run", colour="keep", **TINY)
    assert codec.geometry.colour == "rgb"
    assert load(tmp_path / "run").config.geometry.colour == "rgb"
    card = (tmp_path / "run/README.md").read_text()
    assert "2 files could not be read" in card


def test_augmentation_is_off_by_default_and_recorded(tmp_path, discs_file):
    x = torch.rand(3, 3, 8, 8)
    assert augment(x, AugmentSettings(), (0, 1), seeded()) is x
    train("fcn-ae", discs_file, tmp_path / "run", flip=True, crop=2, jitter=0.1, noise=2.0, **TINY)
    assert load(tmp_path / "run").config.augment == AugmentSettings(True, 2, 0.1, 2.0)
    with pytest.raises(LatentdialError, match="--crop 16"):
        train("fcn-ae", discs_file, tmp_path / "other", crop=16, **TINY)


def test_flip_mirrors_about_half(discs):
    x = torch.rand(400, 1, 4, 6)
    flipped = augment(x, AugmentSettings(flip=True), (0, 1), seeded())
    mirrored = (flipped == x.flip(-1)).flatten(1).all(1)
    same = (flipped == x).flatten(1).all(1)
    assert (mirrored | same).all()
    assert 140 < int(mirrored.sum()) < 260


def test_crop_shifts_within_bounds_and_mirrors_the_border():
    x = torch.arange(64.0).reshape(1, 1, 8, 8).repeat(300, 1, 1, 1)
    shifted = augment(x, AugmentSettings(crop=2), (0, 63), seeded())
    corners = {(int(value) // 8, int(value) % 8) for value in shifted[:, 0, 4, 4]}
    assert corners == {(row, column) for row in range(2, 7) for column in range(2, 7)}
    assert set(shifted.flatten().tolist()) == set(range(64))


@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1.0, 1.0)])
@pytest.mark.parametrize(
    "settings", [AugmentSettings(jitter=0.3), AugmentSettings(noise=20.0)], ids=["jitter", "noise"]
)
def test_jitter_and_noise_stay_in_range_and_repeat_by_seed(settings, value_range):
    low, high = value_range
    x = torch.rand(16, 3, 8, 8) * (high - low) + low
    one, same, other = (augment(x, settings, value_range, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.min() >= low
    assert one.max() <= high


def test_noise_has_the_stated_sd():
    x = torch.full((8, 1, 64, 64), 0.5)
    noisy = augment(x, AugmentSettings(noise=10.0), (0, 1), seeded())
    assert float((noisy - x).std() * 255) == pytest.approx(10, rel=0.03)


def test_jitter_scales_brightness_of_a_flat_picture():
    x = torch.full((200, 3, 2, 2), 0.5)
    levels = augment(x, AugmentSettings(jitter=0.2), (0, 1), seeded())[:, 0, 0, 0].numpy()
    assert 0.4 <= levels.min() < 0.42
    assert 0.58 < levels.max() <= 0.6
    assert np.abs(levels.mean() - 0.5) < 0.02
