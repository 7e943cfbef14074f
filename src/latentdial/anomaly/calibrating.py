"""From scores to one number with a known meaning: how surprising a picture is among held-out normal pictures.

Each score becomes a tail probability among those pictures. The combined score is minus the logarithm of their harmonic
mean (Wilson, PNAS 2019), in which scores that say the same share their weight. The threshold is conformal: of new
normal pictures the stated share is expected above it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, ndtri
from scipy.stats import beta

from latentdial.errors import LatentdialError

MIN_NORMAL = 20
BLIND = 0.1  # of the weight of a score that sees all shifted pictures, for one that sees none
TAIL = 0.95  # quantile whose distance from the median is the unit beyond the largest normal score


@dataclass(frozen=True, eq=False)
class Tails:
    """The scores of n held-out normal pictures, and how much each score counts in the combined one."""

    names: tuple[str, ...]
    columns: np.ndarray  # (n, S), every column in ascending order
    weights: np.ndarray  # (S,), zero for scores that are only told; their sum is one

    def surprise(self, scores: Mapping[str, np.ndarray]) -> np.ndarray:
        """-ln of the tail probability of every score, (N, S) in nats: 1 on average over normal pictures.

        Between normal scores the tail is interpolated on the scale of a normal distribution, beyond the largest it goes
        on as that of one with their median and 95% quantile.
        """
        return np.stack(
            [_nats(scores[name], column) for name, column in zip(self.names, self.columns.T, strict=True)], 1
        )

    def combined(self, scores: Mapping[str, np.ndarray]) -> np.ndarray:
        """Minus the logarithm of the weighted harmonic mean of the tail probabilities, nats, (N,).

        It follows the most surprising of the scores, and needs no more of them than that they are not independent.
        """
        return np.logaddexp.reduce(self.shares(self.surprise(scores)), axis=1)

    def shares(self, surprise: np.ndarray) -> np.ndarray:
        """What each score adds to the combined one, on the scale of logarithms: of surprise (N, S), (N, S)."""
        with np.errstate(divide="ignore"):
            return surprise + np.log(self.weights)


def fit_tails(scores: Mapping[str, np.ndarray], combined: Sequence[str], sees: Mapping[str, float]) -> Tails:
    """The tails of the scores of held-out normal pictures, each (n,); `combined` make up the combined score."""
    columns = np.sort(np.stack(list(scores.values()), axis=1), axis=0)
    even = Tails(tuple(scores), columns, np.zeros(len(scores)))
    counted = np.isin(even.names, combined)
    weights = np.zeros(len(scores))
    weights[counted] = _weights(even.surprise(scores)[:, counted])
    weights *= [max(2 * sees.get(name, 1.0) - 1, BLIND) for name in even.names]
    weights /= weights.sum()
    return Tails(even.names, columns, weights)


def threshold_for(combined: np.ndarray, false_alarms: float) -> float | None:
    """The conformal threshold of combined scores (n,) of held-out normal pictures; None where they are too few.

    A new normal picture is above the score of rank r with a probability of 1 - r / (n + 1), whatever the distribution
    (Vovk et al. 2005; Laxhammar and Falkman 2010). Between two ranks scores are interpolated, which gives the stated
    share where they are spread evenly there, and less where they thin out.

    >>> threshold_for(np.arange(1.0, 100.0), 0.05), threshold_for(np.arange(1.0, 100.0), 0.055)
    (95.0, 94.5)
    """
    if not 0 < false_alarms < 1:
        raise LatentdialError(f"--false-alarms {false_alarms:g} is out of range: use a share such as 1%")
    n = len(combined)
    rank = round((n + 1) * (1 - false_alarms), 9)
    return None if rank > n else float(np.interp(rank, np.arange(1, n + 1), np.sort(combined)))


def realised_range(n: int, false_alarms: float) -> tuple[float, float]:
    """Between which shares the false alarms of a threshold from n normal pictures lie, for 95% of such pictures.

    The share above the score of rank r is Beta(n + 1 - r, r) distributed (Vovk 2012, section 2).

    >>> [round(share, 3) for share in realised_range(300, 0.05)]
    [0.028, 0.077]
    """
    above = (n + 1) * false_alarms
    low, high = beta.ppf([0.025, 0.975], above, n + 1 - above)
    return float(low), float(high)


def least_false_alarms(n: int) -> float:
    """The smallest share of false alarms that n held-out normal pictures can vouch for."""
    return 1 / (n + 1)


def percentiles(combined: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """The share of normal scores (n,) at or below each combined score (N,), in percent."""
    return 100 * np.searchsorted(np.sort(normal), combined, "right") / len(normal)


def corrected(threshold: float, scores: np.ndarray, odd: np.ndarray) -> float:
    """The threshold with the fewest mistakes on labelled pictures, scores and yes/no (n,); the one given if it is one.

    Mistakes of both kinds count alike, however many pictures there are of each. A new threshold lies midway between
    two labelled scores, the nearest such to the one given.

    >>> corrected(1.0, np.array([0.5, 2.0, 3.0]), np.array([False, False, True]))
    2.5
    """
    odd = np.asarray(odd, bool)
    ordered = np.unique(scores)
    ends = np.concatenate([[ordered[0] - 1], (ordered[:-1] + ordered[1:]) / 2, [ordered[-1] + 1]])
    candidates = np.concatenate([[threshold], ends])
    above = scores > candidates[:, None]
    wrong = sum((above[:, kind] != verdict).mean(1) for kind, verdict in ((odd, True), (~odd, False)) if kind.any())
    best = candidates[wrong <= np.min(wrong) + 1e-12]
    return float(best[np.argmin(np.abs(best - threshold))])


def _nats(scores: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """-ln of the tail probability of scores (N,) among normal ones (n,) in ascending order."""
    n = len(ordered)
    normal = ndtri((np.arange(n) + 0.5) / n)
    unit = max(np.quantile(ordered, TAIL) - np.median(ordered), 1e-9) / ndtri(TAIL)
    beyond = np.maximum(scores - ordered[-1], 0) / unit
    below = np.minimum(scores - ordered[0], 0) / unit
    return -log_ndtr(-(np.interp(scores, ordered, normal) + beyond + below))


def _weights(surprise: np.ndarray) -> np.ndarray:
    """Each score (n, S) counts one over the summed correlations with all, those below zero as zero."""
    spread = surprise.std(0)
    shared = np.corrcoef(surprise.T) if len(spread) > 1 and spread.min() > 0 else np.eye(len(spread))
    return 1 / np.maximum(np.atleast_2d(shared), 0).sum(1)
