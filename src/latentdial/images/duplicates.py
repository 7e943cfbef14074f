"""Pictures that are the same, exactly or nearly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentdial.images.pictures import Pictures

SIDE = 16  # the difference hash has SIDE x SIDE bits
MAX_BITS = 12  # of 256 that may differ
MAX_LEVELS = 6.0  # mean difference of the small grey pictures that may remain, of 255
BAND = 2  # bytes
WINDOW = 8  # neighbours looked at in every sorted order


@dataclass(frozen=True)
class Near:
    """Two pictures, by index, whose hashes differ in `bits` of 256."""

    first: int
    second: int
    bits: int


def exact_groups(hashes: np.ndarray) -> list[np.ndarray]:
    """Indices of pictures with equal hashes (N,), a group of two or more each, in order of first appearance."""
    order = np.argsort(hashes, kind="stable")
    starts = np.flatnonzero(np.r_[True, hashes[order][1:] != hashes[order][:-1]])
    groups = [group for group in np.split(order, starts[1:]) if len(group) > 1]
    return sorted(groups, key=lambda group: group[0])


def near_pairs(pictures: Pictures) -> list[Near]:
    """Pairs that look the same, by a perceptual hash and the difference of small grey copies; the closest first.

    A difference hash of 16x16 bits (hackerfactor.com, "Kind of Like That", 2013). Hashes within 12 bits share at least
    four of their 16 bands, so that sorting them band first puts such pairs beside each other; a picture with more than
    8 near copies may miss some of them.
    """
    small = np.concatenate([small_grey(chunk) for chunk in pictures.chunks()])
    bits = np.packbits(small[:, :, 1:] > small[:, :, :-1], axis=-1).reshape(len(small), -1)
    found: dict[tuple[int, int], int] = {}
    for start in range(0, bits.shape[1], BAND):
        order = np.argsort(np.ascontiguousarray(np.roll(bits, -start, axis=1)).view(f"S{bits.shape[1]}")[:, 0])
        for step in range(1, min(WINDOW + 1, len(order))):
            first, second = np.sort([order[:-step], order[step:]], axis=0)
            distance = np.bitwise_count(bits[first] ^ bits[second]).sum(1)
            close = np.flatnonzero(distance <= MAX_BITS)
            left = np.abs(small[first[close]] - small[second[close]]).mean((1, 2))
            for i in close[left <= MAX_LEVELS]:
                found[int(first[i]), int(second[i])] = int(distance[i])
    return sorted(
        (Near(*pair, bits) for pair, bits in found.items()), key=lambda near: (near.bits, near.first, near.second)
    )


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
