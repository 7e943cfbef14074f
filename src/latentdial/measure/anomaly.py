"""How odd a picture is, from the picture and its reconstruction; and how well a score tells odd pictures from normal.

Every score is higher for odder pictures (scikit-learn's `decision_function` of outlier detectors is lower). Each looks
at one picture at a time, so that it does not depend on which pictures are scored together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BLUR = 1 / 20  # of the side: sd of the Gaussian that makes a region of pixels
SSIM_SD = 1.5  # pixels (Wang et al., IEEE TIP 13(4), 2004)
TRUNCATE = 3.5  # sd after which a Gaussian ends: 11 pixels for that of SSIM
SSIM_C1, SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
PRO_LIMIT = 0.3  # false alarms a pixel up to which PRO is integrated (Bergmann et al., CVPR 2020, section 4.2)
PRO_STEPS = 200
TAIL = 0.025  # on either side of a 95% interval
CONFIDENCE = 1.959963984540054  # standard deviations of one


def root_of_squares(pictures: np.ndarray, again: np.ndarray) -> np.ndarray:
    """Root of the summed squared error, (N,), of pictures (N, H, W, C) and reconstructions in levels of 255.

    >>> root_of_squares(np.zeros((1, 2, 2, 1)), np.full((1, 2, 2, 1), 3.0))
    array([6.])
    """
    error = np.asarray(pictures, np.float64) - np.asarray(again, np.float64)
    return np.sqrt(np.square(error).sum((1, 2, 3)))


def outline_mismatch(pictures: np.ndarray, again: np.ndarray) -> np.ndarray:
    """One minus the correlation of the slopes of pictures (N, H, W, C) and of their reconstructions, (N,): 0 to 2.

    It asks whether edges are where the picture has them, however much contrast is lost; flat pictures have 1.

    >>> ramp = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> outline_mismatch(ramp, 10 + ramp / 3).round(6).tolist(), outline_mismatch(ramp, -ramp).round(6).tolist()
    ([0.0], [2.0])
    """
    one, other = _slopes(pictures), _slopes(again)
    sizes = np.square(one).sum(1) * np.square(other).sum(1)
    return 1 - (one * other).sum(1) / np.sqrt(sizes + 1e-9)


def ssim_map(pictures: np.ndarray, again: np.ndarray) -> np.ndarray:
    """One minus the structural similarity at every pixel, (N, H, W), mean over channels (Wang et al. 2004, eq. 13).

    >>> float(ssim_map(np.ones((1, 8, 8, 1)), np.ones((1, 8, 8, 1))).max())
    0.0
    """
    x, y = np.asarray(pictures, np.float64), np.asarray(again, np.float64)
    mean_x, mean_y = _blurred(x, SSIM_SD), _blurred(y, SSIM_SD)
    var_x, var_y = _blurred(x * x, SSIM_SD) - mean_x**2, _blurred(y * y, SSIM_SD) - mean_y**2
    covariance = _blurred(x * y, SSIM_SD) - mean_x * mean_y
    light = (2 * mean_x * mean_y + SSIM_C1) / (mean_x**2 + mean_y**2 + SSIM_C1)
    return 1 - (light * (2 * covariance + SSIM_C2) / (var_x + var_y + SSIM_C2)).mean(-1)


def regions(maps: np.ndarray, blur: float = BLUR) -> np.ndarray:
    """Maps (N, H, W) blurred over regions of `blur` of their side."""
    return _blurred(np.asarray(maps, np.float64), max(0.5, blur * maps.shape[1]))


def worst(maps: np.ndarray) -> np.ndarray:
    """The largest value of every map (N, H, W), (N,)."""
    return maps.max((1, 2))


def auroc(odd: np.ndarray, normal: np.ndarray) -> float:
    """The probability that an odd one of the scores (N,) is above a normal one of (M,), ties counted half.

    >>> auroc(np.array([0.35, 0.8]), np.array([0.1, 0.4]))
    0.75
    """
    return float(_placements(odd, normal).mean())


@dataclass(frozen=True)
class Separation:
    """How well scores tell odd from normal: AUROC with its 95% interval, AP, false alarms when 95% are found."""

    auroc: float
    low: float
    high: float
    average_precision: float
    false_alarms_at_95: float
    normal: int
    odd: int


def separation(scores: np.ndarray, odd: np.ndarray) -> Separation | None:
    """The separation of odd (N,) yes/no by scores (N,); None where all pictures are of one kind.

    The interval is that of DeLong et al. (Biometrics 44, 1988), on the scale of the logit.

    >>> separation(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])).auroc
    0.75
    """
    from sklearn.metrics import average_precision_score, roc_curve

    odd = np.asarray(odd, bool)
    if odd.all() or not odd.any():
        return None
    area, spread = _delong(scores[odd], scores[~odd])
    low, high = _interval(area, spread, int(min(odd.sum(), (~odd).sum())))
    false, found, _ = roc_curve(odd, scores)
    at_95 = float(false[np.argmax(found >= 0.95)])
    precision = float(average_precision_score(odd, scores))
    return Separation(area, low, high, precision, at_95, int((~odd).sum()), int(odd.sum()))


def pixel_auroc(maps: np.ndarray, masks: np.ndarray) -> float | None:
    """AUROC over all pixels of maps (N, H, W) against masks (N, H, W); None where all pixels are of one kind."""
    from sklearn.metrics import roc_auc_score

    marked = np.asarray(masks, bool).ravel()
    return None if marked.all() or not marked.any() else float(roc_auc_score(marked, maps.ravel()))


def region_overlap(maps: np.ndarray, masks: np.ndarray, limit: float = PRO_LIMIT) -> float | None:
    """PRO: mean share of every marked region that is found, over false alarms a pixel up to `limit` (CVPR 2020, 4.2).

    Maps and masks are (N, H, W); None where nothing or everything is marked.
    """
    from scipy.ndimage import label

    marked = np.asarray(masks, bool)
    if marked.all() or not marked.any():
        return None
    normal = np.sort(maps[~marked])
    shares = np.linspace(0, limit, PRO_STEPS)
    thresholds = normal[::-1][np.minimum((shares * len(normal)).astype(int), len(normal) - 1)]
    found = []
    for values, mask in zip(maps, marked, strict=True):
        parts, count = label(mask)
        found += [(values[parts == i + 1][:, None] > thresholds).mean(0) for i in range(count)]
    return float(np.trapezoid(np.mean(found, axis=0), shares) / limit)


def _delong(odd: np.ndarray, normal: np.ndarray) -> tuple[float, float]:
    """The AUROC and its standard deviation, from the placement of every score among those of the other kind."""
    of_odd, of_normal = _placements(odd, normal), 1 - _placements(normal, odd)
    spread = sum(part.var(ddof=1) / len(part) for part in (of_odd, of_normal) if len(part) > 1)
    return float(of_odd.mean()), float(np.sqrt(spread))


def _placements(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The share of others below each score, ties counted half."""
    ordered = np.sort(others)
    return (np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")) / (2 * len(others))


def _interval(area: float, spread: float, pairs: int) -> tuple[float, float]:
    """On the scale of the logit; where all pairs agree, that of so many independent ones (Clopper and Pearson 1934)."""
    if not 0 < area < 1:
        least = TAIL ** (1 / pairs)
        return (least, 1.0) if area == 1 else (0.0, 1 - least)
    middle, half = np.log(area / (1 - area)), CONFIDENCE * spread / (area * (1 - area))
    low, high = 1 / (1 + np.exp(-np.array([middle - half, middle + half])))
    return float(low), float(high)


def _slopes(pictures: np.ndarray) -> np.ndarray:
    """The differences of neighbouring pixels of pictures (N, H, W, C), (N, S)."""
    x = np.asarray(pictures, np.float64)
    return np.concatenate([np.diff(x, axis=axis).reshape(len(x), -1) for axis in (1, 2)], axis=1)


def _blurred(values: np.ndarray, sd: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(values, sd, axes=(1, 2), mode="reflect", truncate=TRUNCATE)
