"""Runs whose outer layers learnt in principal components."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import latentdial
from latentdial.config import ModelSettings
from latentdial.recipes import build

COUNT = 24
OPTIONS = {"latent": 4, "widths": [40]}
SETTINGS = {"size": 16, "batch": 16, "steps": 30, "subspace": COUNT, "keep_checkpoint": True}


def test_a_run_trained_so_is_loaded_as_any_other(discs, discs_file, tmp_path):
    trained = latentdial.train("fcn-ae", discs_file, tmp_path / "run", options=OPTIONS, **SETTINGS)
    loaded = latentdial.load(tmp_path / "run", device=trained.device)
    np.testing.assert_array_equal(trained.encode(discs), loaded.encode(discs))
    np.testing.assert_allclose(
        loaded.encode(loaded.decode(loaded.codes)), trained.encode(trained.decode(trained.codes))
    )
    with torch.device("meta"):
        plain = build(ModelSettings("fcn-ae", OPTIONS), (3, 16, 16)).model
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["parameters"] == sum(p.numel() for p in plain.parameters())
    last = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()][-1]
    assert last["nll"] < 760  # of 768 * 0.919 = 706 and up; without training 1,000 and more


@pytest.mark.parametrize(("ema", "precision"), [(0.0, "float32"), (0.9, "bf16")])
def test_it_resumes_to_the_bit(ema, precision, discs_file, tmp_path):
    def go(name, **more):
        settings = SETTINGS | more | {"ema": ema, "precision": precision}
        latentdial.train("fcn-vae", discs_file, tmp_path / name, options=OPTIONS, **settings)
        step = max((tmp_path / name / "checkpoint").iterdir())
        return [path.read_bytes() for path in (step / "state-0.safetensors", tmp_path / name / "model.safetensors")]

    half = go("parts", steps=15, schedule="constant", warmup=1)
    parts = go("parts", schedule="constant", warmup=1, resume=True)
    assert half[0] != parts[0]
    assert go("again", schedule="constant", warmup=1) == parts
