"""A codec's encoder and decoder as two ONNX files that run in a browser, and how far they are from torch."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.explorer.factoring import factor_layers
from latentdial.explorer.rounding import large_weights, round_weights
from latentdial.exporting.graphs import (
    ELSEWHERE,
    MAX_ONNX_BYTES,
    NotExportable,
    Traced,
    largest_difference,
    trace,
)
from latentdial.latent.codec import Codec

Weights = Literal["auto", "int8", "fp16", "float32"]

MAX_INT8_ERROR = 2.0  # levels of 255


@dataclass(frozen=True)
class Nets:
    """Encoder (B, H, W, C) levels -> (B, D) and decoder (B, D) -> (B, H, W, C) levels, as ONNX with stored `weights`.

    `error` is the largest difference from torch over decoded real codes and over reconstructions, in levels of 255.
    """

    encoder: bytes
    decoder: bytes
    weights: str  # in words: "int8", "fp16", "int8 (the smallest 2 of 11 fp16)"
    error: float


def export_nets(codec: Codec, codes: np.ndarray, pictures: np.ndarray, weights: Weights = "auto") -> Nets:
    """Export a codec to ONNX with `weights` stored so, and measure it against torch on codes (N, D) and pictures.

    "auto" stores as int8 what stays within 2 levels of torch, and the rest as fp16; "int8" is a LatentdialError where
    that is further off. Raises NotExportable where a net has no ONNX form.
    """
    encoder, decoder = trace(codec)
    traced = factor_layers(encoder), factor_layers(decoder)
    if weights == "auto":
        return _mixed(codec, traced, codes, pictures)
    made = _stored(codec, traced, codes, pictures, weights)
    if weights == "int8" and made.error > MAX_INT8_ERROR:
        raise LatentdialError(
            f"with int8 weights {codec.name} is {made.error:.1f} levels off, over {MAX_INT8_ERROR:g}: use auto or fp16"
        )
    return made


def _mixed(codec: Codec, traced: Traced, codes: np.ndarray, pictures: np.ndarray) -> Nets:
    """int8 but for the smallest weights, as few as needed: those next to the pixels are small and cost the most."""
    sizes = large_weights(traced[1]) | large_weights(traced[0])
    names = sorted(sizes, key=lambda name: sizes[name])
    made = cache(lambda few: _stored(codec, traced, codes, pictures, "int8", names[:few]))

    def fits(few: int) -> bool:
        return made(few).error <= MAX_INT8_ERROR

    few = 0 if fits(0) else bisect_left(range(len(names)), True, lo=1, key=fits)
    words = {len(names): "fp16", 0: "int8"}
    return replace(made(few), weights=words.get(few, f"int8 (the smallest {few} of {len(names)} fp16)"))


def _stored(
    codec: Codec,
    traced: Traced,
    codes: np.ndarray,
    pictures: np.ndarray,
    weights: Weights,
    fp16: Sequence[str] = (),
) -> Nets:
    encoder, decoder = (round_weights(net, weights, fp16) for net in traced)
    if max(encoder.ByteSize(), decoder.ByteSize()) > MAX_ONNX_BYTES:
        raise NotExportable(f"{codec.name} is larger than 2 GB: {ELSEWHERE}")
    pair = encoder.SerializeToString(), decoder.SerializeToString()
    return Nets(*pair, weights, largest_difference(codec, *pair, codes, pictures))
