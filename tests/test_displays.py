"""What notebooks show of values, and frames."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import latentdial
from latentdial.displays import display_of, html_of
from latentdial.latent.direction import Direction, Directions, Effect
from latentdial.report.comparison import LINES


def measured(name: str) -> Direction:
    effect = Effect(4.0, 3.5, 4.5, 0.9, {1.0: 4.0}, np.full((16, 16), 32.0))
    return Direction(name, "attribute", np.eye(6)[0], 0.0, 1.0, None, effect, (-2.0, 2.5), {"big": 0.8})


@pytest.fixture(scope="module")
def compared(tiny_runs, discs_file):
    return latentdial.compare(list(tiny_runs.values()), None, data=str(discs_file))


def test_a_codec_is_shown_with_pictures(codec):
    html = codec._repr_html_()
    assert "16x16 colour pictures in 6 numbers" in html
    assert html.count("data:image/png") == 8
    assert "codec.fit" in html_of(latentdial.wrap(codec.model.encoder, codec.model.decoder, size=16))


def test_an_edit_is_shown_with_its_pictures_and_sentences(codec, discs):
    sheet = latentdial.edit(codec, discs[0], "1*=2", "c0+=2")
    html = sheet._repr_html_()
    assert html.count("data:image/png") == 2 + len(sheet.columns)
    assert sheet.columns[0].label in html
    assert html.count('class="said"') == len(sheet.columns)
    frame = sheet.to_frame()
    assert list(frame.index) == [column.label for column in sheet.columns]
    assert frame.loc["1*=2", "levels"] == sheet.columns[0].change.mean


def test_dimensions_are_shown_at_work(codec):
    table = latentdial.dimensions(codec)
    shown = display_of(table)
    for strip in shown.rows:  # a strip in which nothing changes is a fault
        assert np.abs(strip.pictures[0][0].astype(int) - strip.pictures[-2][0]).max() > 8
    assert table.to_frame()["effect"].is_monotonic_decreasing
    assert "codec" not in repr(table)


def test_print_shows_the_foremost_dimensions_in_columns(codec, monkeypatch):
    table = latentdial.dimensions(codec)
    monkeypatch.setattr("latentdial.displays._strip", None)  # no picture is made for it
    title, said, head, *lines = str(table).splitlines()
    assert (title, said) == ("Dimensions", "effects over 24 real codes; the strongest 6 of 6")
    assert [line.split()[:2] for line in lines] == [[row.name, f"{row.effect:.1f}"] for row in table.rows]
    effect = head.index("levels for 1 sd") + len("levels for 1 sd")
    assert all(line[effect - 1].isdigit() and line[effect : effect + 2] == "  " for line in lines)
    assert max(map(len, str(table).splitlines())) < 100


def test_print_shows_everything_that_notebooks_show(codec, discs, compared):
    assert "16x16 colour pictures in 6 numbers" in str(codec)
    sheet = latentdial.edit(codec, discs[0], "1*=2")
    assert str(sheet) == "\n".join(["Edit", *sheet.sentences()])
    assert all(run.name in str(compared) for run in compared.runs)
    assert "a\\x1b[31m" in str(Directions([measured("a\x1b[31m")]))
    assert repr(sheet).startswith("EditSheet(")


def test_directions_are_shown_by_where_they_act():
    found = Directions([measured("big"), measured("<b>odd")])
    html = found._repr_html_()
    assert '<td class="words">-2.0 to +2.5</td>' not in html  # a number, which stays in one line
    assert "-2.0 to +2.5" in html
    many = Directions([measured(f"a{i}") for i in range(40)])
    assert "16 of 40 directions" in many._repr_html_()
    assert "<b>odd" not in html
    assert found.to_frame().loc["big", "side.big"] == 0.8


def test_a_comparison_is_shown_with_reconstructions(compared):
    html = compared._repr_html_()
    assert all(run.name in html for run in compared.runs)
    frame = compared.to_frame()
    assert list(frame.index) == [run.name for run in compared.runs]
    assert frame["psnr"].iloc[0] == pytest.approx(compared.runs[0].decibels.mean())


def test_pca_stands_beside_the_runs(tiny_runs):
    found = latentdial.compare([tiny_runs["fcn-vae"]], None)
    names, lines = found.table()
    assert names == [found.runs[0].name, "PCA"]
    assert lines[0][2] == f"{-10 * np.log10(found.pca_errors).mean():.2f}"
    assert found.to_frame().loc["PCA", "mse"] == found.pca_errors.mean()
    psnr = LINES[0]
    assert found.best(psnr) is None  # the two or three test pictures are too few to say
    clear = np.repeat(found.pca_errors.mean(), 40)
    runs = [dataclasses.replace(found.runs[0], errors=clear * 2)]
    assert dataclasses.replace(found, runs=runs, pca_errors=clear * np.linspace(0.9, 1.1, 40)).best(psnr) == 1


def test_html_is_well_formed(codec, discs):
    class Balanced(HTMLParser):
        open_tags: list[str]

        def handle_starttag(self, tag, attrs):
            if tag != "img":
                self.open_tags.append(tag)

        def handle_endtag(self, tag):
            assert self.open_tags.pop() == tag

    for value in (codec, latentdial.dimensions(codec), latentdial.edit(codec, discs[0], "1*=2")):
        parser = Balanced()
        parser.open_tags = []
        parser.feed(re.sub(r"data:image[^\"]*", "", html_of(value)))
        assert not parser.open_tags


def test_what_has_no_display_is_said():
    with pytest.raises(TypeError, match="no display of int"):
        html_of(3)


def test_anomalies_are_shown_with_the_oddest_and_where(codec, discs):
    odd = np.random.default_rng(1).integers(0, 255, (1, 16, 16, 3), np.uint8)
    normal = discs[:, ::-1]  # upside down: as usual, and none was trained on
    found = latentdial.anomalies(codec, np.concatenate([normal[:12], odd]), normal=normal, false_alarms="5%")
    assert (found.pictures[0] == odd[0]).all()
    assert found.heat[0].max() > 1 > max(heat.max() for heat in found.heat[1:])
    shown = display_of(found)
    assert shown.said[0] == found.sentence()
    assert shown.rows[0].pictures[0][1].endswith(" 12")
    assert found._repr_html_().count("data:image/png") == 16
    assert "oddest" in display_of(found.with_false_alarms("10%")).rows[0].name
