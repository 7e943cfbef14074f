"""A direction, what it says of itself, and what is read along it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from latentdial import LatentdialError
from latentdial.latent.direction import Direction, Directions, Effect, check_name, foremost

VECTOR, READER = np.array([0.0, 2.0]), np.array([1.0, 0.5])
EFFECT = Effect(3.0, 2.5, 3.5, 0.9, {1.0: 3.0}, np.zeros((2, 2)))


@pytest.mark.parametrize(("kind", "read"), [("canonical", 3.5), ("channel", 3.5), ("axis", 7.5), ("attribute", 7.5)])
def test_only_what_has_a_length_of_its_own_is_read_by_its_reader(kind, read):
    one = Direction("a", kind, VECTOR, sd=0.5, reader=READER, origin=0.5)
    assert one.along(np.array([[2.0, 4.0], [0, 0]])).tolist() == [read, -0.5]
    assert one.normal is READER
    plain = replace(one, reader=None)
    assert plain.normal is plain.dual is VECTOR
    assert one.step.tolist() == [0, 1]


def test_a_direction_that_says_nothing_of_the_codes_stands_at_zero():
    bare = Direction("a", "axis", VECTOR)
    assert (bare.mean, bare.step.tolist(), bare.along(np.array([1.0, 4])), bare.reads()) == (0, [0, 0], 8, [])


def test_a_side_effect_of_a_tenth_counts_and_a_smaller_one_does_not():
    assert Direction("a", "examples", VECTOR, side={"x": -0.1, "y": 0.1, "z": 0.0999}).reads() == ["x -0.1", "y +0.1"]


def test_a_frame_holds_what_is_known_of_each():
    known = Direction("smile", "attribute", VECTOR, effect=EFFECT, safe=(1.5, 2.5), side={"age": 0.3})
    frame = Directions((known, Direction("b", "axis", VECTOR))).to_frame()
    assert frame.loc["smile"].to_dict() == {
        "kind": "attribute", "levels": 3.0, "low": 2.5, "high": 3.5, "safe_low": 1.5, "safe_high": 2.5, "side.age": 0.3,
    }  # fmt: skip
    assert frame.loc["b"].dropna().to_dict() == {"kind": "axis"}


def test_the_foremost_are_the_first_and_the_named_ones_behind_them():
    kinds = ("axis", "attribute", "axis", "examples", "axis", "attribute", "examples")
    some = [Direction(str(i), kind, VECTOR) for i, kind in enumerate(kinds)]
    assert [one.name for one in foremost(some, 2)] == ["0", "1", "3", "5"]
    assert [one.name for one in foremost(some, 5)] == ["0", "1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("name", ["7", "smile", "_x", "a.b-c_9", "a" * 60])
def test_names_that_can_be_typed(name):
    check_name(name)


@pytest.mark.parametrize("name", ["", "7a", "a b", "-a", "ä", "a" * 61])
def test_names_that_cannot_be_typed(name):
    with pytest.raises(LatentdialError, match="start with a letter"):
        check_name(name)
