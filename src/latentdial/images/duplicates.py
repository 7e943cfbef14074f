"""Pictures that are the same, exactly or nearly."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from latentdial.images.pictures import Pictures

SIDE = 16  # the difference hash has SIDE x SIDE bits
MAX_BITS = 12  # of 256 that may differ
MAX_LEVELS = 6.0  # mean difference of the small grey pictures that may remain, of 255
BANDS = 16
PARTS = (range(6), range(6, 11), range(11, 16))  # of the bands
STEPS = 512  # pictures of equal bands that each is compared with
CHUNK = 20_000  # pairs compared at once


def exact_groups(hashes: np.ndarray) -> list[np.ndarray]:
    """Indices of pictures with equal hashes (N,), a group of two or more each, in order of first appearance."""
    order = np.argsort(hashes, kind="stable")
    starts = np.flatnonzero(np.r_[True, hashes[order][1:] != hashes[order][:-1]])
    groups = [group for group in np.split(order, starts[1:]) if len(group) > 1]
    return sorted(groups, key=lambda group: group[0])


def near_groups(pictures: Pictures) -> list[np.ndarray]:
    """Indices of pictures that look the same, a group of two or more each, the largest first.

    Two look the same where their difference hashes of 16x16 bits (hackerfactor.com, "Kind of Like That", 2013) differ
    in at most 12 bits and their small grey copies by at most 6 levels; what looks like a member belongs to the group.
    Such hashes agree in at least 4 of 16 bands, so in two of the same of three parts: sorting by every two bands of a
    part puts them beside each other, unless more than 512 others have the same two bands.
    """
    small = np.concatenate([small_grey(chunk) for chunk in pictures.chunks()])
    places = np.random.default_rng(0).permutation(SIDE * SIDE)  # neighbouring bits are alike: mix them
    hashes = np.packbits((small[:, :, 1:] > small[:, :, :-1]).reshape(len(small), -1)[:, places], axis=1)
    bands = hashes.reshape(len(small), BANDS, -1)
    group = np.arange(len(small))
    for first, second in (pair for part in PARTS for pair in combinations(part, 2)):
        key = np.concatenate([bands[:, first], bands[:, second]], axis=1)
        group = _joined(group, key, hashes, small)
    return sorted(exact_groups(group), key=lambda members: -len(members))


def _joined(group: np.ndarray, key: np.ndarray, hashes: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Numbers of groups (N,) after joining pictures of equal key (N, K) that look the same."""
    order = np.argsort(_text(np.concatenate([key, hashes], axis=1)))
    keys, place = _text(key[order]), np.arange(len(order))
    for step in range(1, STEPS + 1):
        place = place[place < len(order) - step]
        place = place[keys[place] == keys[place + step]]
        if not len(place):
            break
        first, second = order[place], order[place + step]
        apart = group[first] != group[second]
        same = _alike(first[apart], second[apart], hashes, small)
        if same.any():
            group = _united(group, first[apart][same], second[apart][same])
    return group


def _text(rows: np.ndarray) -> np.ndarray:
    """Rows of bytes (N, K) as N values that can be sorted and compared."""
    return np.ascontiguousarray(rows).view(f"S{rows.shape[1]}")[:, 0]


def _alike(first: np.ndarray, second: np.ndarray, hashes: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Which pairs (P,) look the same."""
    same = np.zeros(len(first), bool)
    for start in range(0, len(first), CHUNK):
        one, two = first[start : start + CHUNK], second[start : start + CHUNK]
        close = np.flatnonzero(np.bitwise_count(hashes[one] ^ hashes[two]).sum(1) <= MAX_BITS)
        same[start + close] = np.abs(small[one[close]] - small[two[close]]).mean((1, 2)) <= MAX_LEVELS
    return same


def _united(group: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Numbers of groups (N,) with those of the pairs made one."""
    n = len(group)
    links = coo_array((np.ones(len(first), bool), (group[first], group[second])), (n, n))
    return connected_components(links, directed=False)[1][group]


def small_grey(pixels: np.ndarray) -> np.ndarray:
    """Uint8 pictures (N, H, W, C) as float32 (N, 16, 17), each value the mean of its area."""
    grey = pixels.mean(-1, dtype=np.float32)
    return _areas(SIDE, grey.shape[1]) @ grey @ _areas(SIDE + 1, grey.shape[2]).T


def _areas(cells: int, pixels: int) -> np.ndarray:
    """(cells, pixels): the share that every pixel has in the mean of every cell."""
    edges = np.arange(cells + 1) * pixels / cells
    place = np.arange(pixels)
    overlap = np.minimum(edges[1:, None], place + 1) - np.maximum(edges[:-1, None], place)
    return (overlap.clip(0) * cells / pixels).astype(np.float32)
