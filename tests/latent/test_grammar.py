"""The edit grammar: every edit written out reads back, nothing else is accepted, and nothing is evaluated."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentdial import LatentdialError
from latentdial.latent.grammar import Edit, parse_edits

numbers = st.floats(-1e30, 1e30, allow_nan=False).map(lambda value: float(f"{value:.15g}"))
edits = st.builds(
    Edit,
    st.integers(0, 9999).map(str) | st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True),
    st.sampled_from(["+=", "-=", "="]),
    numbers,
    st.booleans(),
) | st.builds(Edit, st.integers(0, 9999).map(str), st.just("*="), numbers)


@given(st.lists(edits, min_size=1, max_size=5))
def test_what_is_written_reads_back(wanted):
    assert parse_edits(";".join(map(str, wanted))) == wanted


@given(st.text(max_size=40))
def test_any_text_is_an_edit_or_a_clear_error(text):
    try:
        parsed = parse_edits(text)
    except LatentdialError:
        return
    assert all(math.isfinite(edit.value) for edit in parsed)
    assert parse_edits(";".join(map(str, parsed)))


@given(numbers, numbers)
def test_arithmetic(before, value):
    assert Edit("0", "*=", value).apply(before, 0, 1) == before * value
    assert Edit("0", "+=", value).apply(before, 0, 1) == before + value
    assert Edit("0", "-=", value).apply(before, 0, 1) == before - value
    assert Edit("0", "=", value).apply(before, 0, 1) == value


def test_standard_deviations():
    assert Edit("3", "+=", 2, in_sd=True).apply(1.0, mean=5.0, sd=0.5) == 2.0
    assert Edit("3", "=", 2, in_sd=True).apply(1.0, mean=5.0, sd=0.5) == 6.0


@pytest.mark.parametrize(
    "text",
    ["", ";", "1", "1*2", "*=2", "1*=", "1*=x", "1**=2", "1=nan", "1=inf", "1=1e999", "-1=2", "1.5.=", "1*=2s", "1=2ss",
     "1=__import__('os')", "1=2+3", "١=2", "1=٢", "a b=1", "1=0x10", "1=1_0"],
)  # fmt: skip
def test_refused(text):
    with pytest.raises(LatentdialError):
        parse_edits(text)


def test_spaces_and_leading_zeros_are_harmless():
    assert parse_edits(" 007 *= 2 ; 3+=-1.5s ") == [Edit("7", "*=", 2.0), Edit("3", "+=", -1.5, in_sd=True)]
