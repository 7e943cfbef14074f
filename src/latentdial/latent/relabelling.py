"""Pictures of one label as pictures of another: the same code, moved to where the codes of that label lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latentdial.latent.codec import Codec, Picture
from latentdial.priors.whitening import Whitening


def relabel(
    codec: Codec, given: Picture | list[Picture], label: str | int, to: Sequence[str | int] | None = None
) -> np.ndarray:
    """Pictures that have one label as pictures of other labels, all that the model knows by default: (N, L, H, W, C).

    They are encoded with their label and decoded with the others, each code moved by the least way that takes a
    Gaussian of the codes of the one label to one of the other (`transport`). A model that has not learnt from labels,
    and a label that it does not know, are a LatentdialError.

    >>> import latentdial
    >>> latentdial.relabel(codec, "a.png", "cat", ["dog"])[0, 0]  # doctest: +SKIP
    """
    others = [codec.given(name) for name in (codec.label_names if to is None else to)]
    return as_others(codec.given(label), others, given)


def as_others(one: Codec, others: Sequence[Codec], given: Picture | list[Picture]) -> np.ndarray:
    """Pictures of the label that the codec `one` was given, as `relabel` shows them by those given other labels."""
    codes, first = one.encode(given), one.priors["gaussian"].whitening
    made = [other.decode(transport(codes, first, other.priors["gaussian"].whitening)) for other in others]
    return np.stack(made, axis=1)


def transport(codes: np.ndarray, first: Whitening, second: Whitening) -> np.ndarray:
    """Codes (N, D) of one Gaussian as codes of another, moved by the least mean square (Peyré & Cuturi 2019, eq. 2.40).

    >>> narrow, wide = (Whitening(np.zeros(1), np.array([[sd]])) for sd in (1.0, 3.0))
    >>> transport(np.array([[2.0]]), narrow, wide).tolist()
    [[6.0]]
    """
    left, _, right = np.linalg.svd(second.root.T.astype(np.float64) @ first.root)
    return second.colour(first.white(codes) @ (left @ right).T)
