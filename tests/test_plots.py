"""Plots into given axes."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

import latentdial
from latentdial import LatentdialError, plots
from latentdial.latent.direction import Direction, Effect
from latentdial.runs.records import read_metrics


@pytest.fixture
def ax():
    return Figure().subplots()


def test_effects_are_bars_as_high_as_measured(codec, ax):
    table = latentdial.dimensions(codec)
    assert plots.effects(table, top=3, ax=ax) is ax
    assert [bar.get_height() for bar in ax.patches] == [row.effect for row in table.rows[:3]]


def test_a_curve_passes_through_what_was_measured(ax):
    effect = Effect(4.0, 3.5, 4.5, 0.9, {-1.0: 5.0, 1.0: 4.0}, np.zeros((4, 4)))
    plots.curve(Direction("smile", "attribute", np.eye(6)[0], effect=effect), ax=ax)
    assert ax.lines[0].get_xydata().tolist() == [[-1, 5], [0, 0], [1, 4]]
    with pytest.raises(LatentdialError, match="not measured"):
        plots.curve(Direction("smile", "attribute", np.eye(6)[0]), ax=ax)


def test_codes_are_where_the_directions_say(codec, ax):
    labels = ["odd" if i % 2 else "even" for i in range(len(codec.codes))]
    plots.codes(codec, "c0", "1", labels, ax=ax)
    even = np.stack([codec.canonical.coordinates(codec.codes)[::2, 0], codec.codes[::2, 1]], 1)
    assert np.allclose(ax.collections[0].get_offsets(), even, atol=1e-5)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["even", "odd"]
    with pytest.raises(LatentdialError, match="one for each"):
        plots.codes(codec, labels=labels[1:], ax=ax)


def test_history_has_the_records(tiny_runs, ax):
    plots.history(tiny_runs["fcn-vae"], "kl", ax=ax)
    records = [(r["step"], r["kl"]) for r in read_metrics(tiny_runs["fcn-vae"]) if r["split"] == "validation"]
    assert ax.lines[1].get_xydata().tolist() == [[*map(float, record)] for record in records]
    with pytest.raises(LatentdialError, match="no term 'x': it has"):
        plots.history(tiny_runs["fcn-vae"], "x", ax=ax)


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_lie_in_rows(ax, channels):
    shown = np.arange(5 * 4 * 4 * channels, dtype=np.uint8).reshape(5, 4, 4, channels)
    plots.pictures(shown, columns=2, ax=ax)
    tiles = np.asarray(ax.get_images()[0].get_array()).reshape(12, 8, channels)
    assert (tiles[:4, 4:] == shown[1]).all()
    assert (tiles[8:, :4] == shown[4]).all()
    assert (tiles[8:, 4:] == 255).all()


def test_without_axes_the_current_ones_are_taken(codec):
    from matplotlib import pyplot

    figure = pyplot.figure()
    assert plots.effects(latentdial.dimensions(codec)).figure is figure
    pyplot.close(figure)
