"""Schedules: functions of the share of the run that is done, from 0 to 1, to a factor.

A learning rate or the weight of a term is its peak times such a factor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Schedule = Callable[[float], float]


def constant() -> Schedule:
    """Always 1."""
    return lambda done: 1.0


def cosine() -> Schedule:
    """Half a cosine from 1 to 0 (arXiv 1608.03983, eq. 5 without restarts).

    >>> round(cosine()(0.5), 6)
    0.5
    """
    return lambda done: 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def steps(at: Sequence[float], factor: float) -> Schedule:
    """1, multiplied by `factor` at each of the shares `at`.

    >>> [steps([0.5, 0.75], 0.1)(done) for done in (0.4, 0.5, 0.8)]
    [1.0, 0.1, 0.010000000000000002]
    """
    return lambda done: factor ** sum(done >= share for share in at)


def linear(rise: float) -> Schedule:
    """From 0 to 1 within the share `rise` of the run, then 1 (arXiv 1511.06349, section 3.1).

    >>> [linear(0.5)(done) for done in (0.0, 0.25, 0.9)]
    [0.0, 0.5, 1.0]
    """
    return lambda done: min(1.0, done / rise)


def cyclic(rise: float, cycles: int) -> Schedule:
    """`linear` within each of `cycles` equal parts of the run (arXiv 1903.10145, eq. 6 and 7).

    >>> [cyclic(0.5, 2)(done) for done in (0.0, 0.125, 0.4, 0.5)]
    [0.0, 0.5, 1.0, 0.0]
    """
    part = linear(rise)
    return lambda done: part(done * cycles % 1.0) if done < 1 else 1.0
