"""Change a code, decode it, and measure what happened to the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

import numpy as np
from PIL import Image

from latentdial.attributes.known import Attributes
from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec, Picture
from latentdial.latent.detail import preserve
from latentdial.latent.direction import Direction
from latentdial.latent.grammar import FLOAT32_MAX, Edit, parse_edits
from latentdial.latent.naming import direction_of
from latentdial.latent.novelty import Unlike
from latentdial.latent.safe_range import left, reach
from latentdial.latent.steering import steer
from latentdial.latent.support import MIN_CODES
from latentdial.measure.change import Change, change
from latentdial.shown import Shown, frame
from latentdial.texts import Brief

if TYPE_CHECKING:
    from pandas import DataFrame

Reading = tuple[str, str] | None
"""How an attribute reads before and after; None where it is not known."""

MOST_READS = 3  # attributes that an edit tells of beside those edited


@dataclass(frozen=True)
class Move:
    """One edit as it happened: the coordinate before and after, and where that lies among the training codes.

    `low` and `high` are the coordinates between which 99.9% of the training codes lie; None without training codes.
    `read` is how an attribute reads before and after.
    """

    edit: Edit
    before: float
    after: float
    sds: float  # of the new coordinate from the training mean, in standard deviations
    low: float | None = None
    high: float | None = None
    read: Reading = None
    name: str = ""  # of what was edited, for people

    @property
    def beyond(self) -> bool:
        """The coordinate left the range of the training codes, or moved further out."""
        if self.low is None or self.high is None:
            return False
        return self.after > max(self.high, self.before) or self.after < min(self.low, self.before)

    @property
    def still(self) -> bool:
        """No training codes differ in this coordinate."""
        return self.low is not None and self.low == self.high

    def sentence(self) -> str:
        lies = f"{abs(self.sds):.1f} sd {'above' if self.sds >= 0 else 'below'} the mean of the training codes"
        lies = f"where all training codes are alike at {self.low:.2f}" if self.still else lies
        said = f"{self.name} goes from {self.before:.2f} to {self.after:.2f}, {lies}"
        return said if self.read is None else f"{said}, and reads {self.read[1]} in place of {self.read[0]}"


@dataclass(frozen=True, repr=False)
class Edited(Brief):
    """One column of an edit sheet: the edited code, its picture, and what changed against the reconstruction.

    `out` is how far the code lies out of the data: up to 1 inside, None without training codes to judge by.
    `reads` is how the attributes read before and after, from the pictures, that changed most beside those edited.
    `plain` is the picture as decoded where detail of the source was added to `picture`.
    """

    label: str
    code: np.ndarray  # (D,)
    picture: np.ndarray  # uint8 (H, W, C)
    change: Change
    moves: list[Move]
    out: float | None = None
    start_out: float | None = None
    plain: np.ndarray | None = None
    reads: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def flagged(self) -> bool:
        """The edit took the picture or a coordinate out of the region of real codes, or further out."""
        return self.picture_out or any(move.beyond for move in self.moves)

    @property
    def warning(self) -> str | None:
        said = []
        if self.picture_out:
            start = f"; the picture itself is {self.start_out:.1f} times" if (self.start_out or 0) > 1 else ""
            said = [f"outside the safe range: {self.out:.1f} times as far out as the border of real pictures{start}"]
        said += [
            f"beyond the training codes, 99.9% of which have {move.name} between {move.low:.2f} and {move.high:.2f}"
            for move in self.moves
            if move.beyond
        ]
        return "; ".join(said) or None

    @property
    def picture_out(self) -> bool:
        """The picture is further out than the border of real pictures, and than where it started."""
        return self.out is not None and self.start_out is not None and bool(left(self.out, self.start_out))

    def sentence(self) -> str:
        said = f"{self.label}: {'; '.join(move.sentence() for move in self.moves)} - {self.change.sentence()}."
        if self.reads:
            read = (f"{name} {now} in place of {then}" for name, (then, now) in self.reads.items())
            said = f"{said} It also reads {', '.join(read)}."
        return f"{said} Warning: {self.warning}." if self.warning else said


@dataclass(frozen=True, repr=False)
class EditSheet(Brief, Shown):
    """A picture, its reconstruction, and one column for each edit, with all together last."""

    source: np.ndarray  # uint8 (H, W, C)
    reconstruction: np.ndarray
    code: np.ndarray  # (D,)
    columns: list[Edited]
    novelty: Unlike | None = None  # where the picture stands among held-out ones; None where it cannot be said

    def to_frame(self) -> DataFrame:
        """What changed in levels of 255, a row for each edit, and whether it left the range of real codes."""
        rows = [
            {
                "edit": one.label,
                "levels": one.change.mean,
                "share": one.change.share,
                "out": one.out,
                "flagged": one.flagged,
            }
            for one in self.columns
        ]
        return frame(rows, "edit")

    def sentences(self) -> list[str]:
        first = [f"Note: {self.novelty.sentence()}."] if self.novelty is not None and self.novelty.unlike else []
        return [*first, *(column.sentence() for column in self.columns)]


class How(TypedDict, total=False):
    """What else an edit takes."""

    keep: Sequence[str]
    preserve_detail: bool


@overload
def edit(codec: Codec, picture: str | Path | Image.Image, *texts: str, **how: Unpack[How]) -> EditSheet: ...


@overload
def edit(codec: Codec, picture: list[Picture], *texts: str, **how: Unpack[How]) -> list[EditSheet]: ...


@overload
def edit(codec: Codec, picture: np.ndarray, *texts: str, **how: Unpack[How]) -> Any: ...


def edit(codec: Codec, picture: Picture | list[Picture], *texts: str, **how: Unpack[How]) -> Any:
    """Apply each text of edits to the picture's code on its own, and all of them together where there are several.

    A list, or uint8 (N, H, W, C), gives a list with a sheet for each picture, made together. The directions named in
    `keep` are held where they are. `preserve_detail` adds to the picture what the codec lost of the source, moved along
    with the edit (`latent.detail`). Unknown names and codes that leave float32 are a LatentdialError.
    """
    sheets = _edited(codec, codec.pictures(picture), texts, **how)
    several = isinstance(picture, list) or (isinstance(picture, np.ndarray) and picture.ndim > 3)
    return sheets if several else sheets[0]


def _edited(
    codec: Codec, sources: np.ndarray, texts: Sequence[str], keep: Sequence[str] = (), preserve_detail: bool = False
) -> list[EditSheet]:
    """A sheet for each of N pictures, uint8 (N, H, W, C)."""
    if not texts:
        raise LatentdialError("there is nothing to edit: give edits such as c0+=2, 1*=2 or 3+=2s")
    if not len(sources):
        raise LatentdialError("there is no picture: give at least one")
    codes = codec.encode(sources)
    groups = {text.strip(): parse_edits(text) for text in texts}
    if len(groups) > 1:
        groups["all together"] = [edit for edits in groups.values() for edit in edits]
    kept = [direction_of(codec, name, codes.shape[1]) for name in keep]
    results = [apply_edits(codec, codes, edits, kept) for edits in groups.values()]
    every = np.stack([codes, *(edited for edited, _ in results)])  # (1 + columns, N, D)
    levels = codec.levels(every.reshape(-1, codes.shape[1])).reshape(*every.shape[:2], *sources.shape[1:])
    shown = [preserve(sources, levels[0], after) if preserve_detail else after for after in levels[1:]]
    outs = _outs(codec, every)
    reads = _reads(codec, levels, [moves for _, moves in results])
    known = codec.novelty
    novel = [None] * len(sources) if known is None else known.of(sources, levels[0], codes)
    sheets = []
    for n, source in enumerate(sources):
        before, columns = levels[0, n], []
        for k, (label, (edited, moves)) in enumerate(zip(groups, results, strict=True)):
            after, out = levels[1 + k, n], outs[n][1 + k]
            picture, decoded = (made.round().astype(np.uint8) for made in (shown[k][n], after))
            plain, seen = decoded if preserve_detail else None, change(before, after)
            columns.append(Edited(label, edited[n], picture, seen, moves[n], out, outs[n][0], plain, reads[k][n]))
        sheets.append(EditSheet(source, before.round().astype(np.uint8), codes[n], columns, novel[n]))
    return sheets


def apply_edits(
    codec: Codec, codes: np.ndarray, edits: list[Edit], keep: Sequence[Direction] = ()
) -> tuple[np.ndarray, list[list[Move]]]:
    """Codes (N, D) after the edits, one after the other, and for each code what every edit did."""
    edited = codes.astype(np.float64)
    moves = []
    for one in edits:
        direction = direction_of(codec, one.target, codes.shape[1])
        if codec.training_codes is None and one.in_sd:
            codec.codes  # noqa: B018 - raises the error that says how to get training codes
        start, before = edited, direction.along(edited)
        after = np.broadcast_to(one.apply(before, direction.mean, direction.sd), before.shape)
        worst = after[np.abs(after).argmax()]
        if not abs(worst) <= FLOAT32_MAX:
            raise LatentdialError(f"edit {one} takes {direction.title} to {worst:g}: stay within +-{FLOAT32_MAX:g}")
        if keep:
            edited = steer(codec, edited, direction, after - before, keep)
            after = direction.along(edited)
        else:
            edited = edited + (after - before)[:, None] * direction.vector
        moves.append(_moves(codec, one, direction, before, after, _read(codec, direction.name, start, edited)))
    if not np.abs(edited).max() <= FLOAT32_MAX:
        raise LatentdialError(f"the edits leave the range of numbers: stay within +-{FLOAT32_MAX:g}")
    return edited.astype(np.float32), [list(of) for of in zip(*moves, strict=True)]


def _moves(
    codec: Codec, one: Edit, direction: Direction, before: np.ndarray, after: np.ndarray, reads: Sequence[Reading]
) -> list[Move]:
    """One edit of N codes as it happened to each."""
    sds = (after - direction.mean) / direction.sd if direction.sd > 0 else np.zeros_like(after)
    low, high = (None, None) if codec.training_codes is None else reach(codec, direction)
    numbers = zip(before.tolist(), after.tolist(), sds.tolist(), reads, strict=True)
    name = direction.title if direction.kind == "axis" else one.target
    return [Move(one, was, now, by, low, high, read, name) for was, now, by, read in numbers]


def _read(codec: Codec, name: str, start: np.ndarray, edited: np.ndarray) -> list[Reading]:
    """How the attribute of this name, where the codec knows it, reads from codes (N, D) before and after."""
    known = codec.attributes
    if known is None or name not in known.columns:
        return [None] * len(start)
    pairs = zip(known.read(start), known.read(edited), strict=True)
    return [(known.said(before)[name], known.said(after)[name]) for before, after in pairs]


def _reads(codec: Codec, levels: np.ndarray, done: list[list[list[Move]]]) -> list[list[dict[str, tuple[str, str]]]]:
    """How the attributes that changed most read before and after each of the moves, but for those moved.

    `levels` (1 + columns, N, H, W, C) are the pictures before, and after each; the answer goes by columns and pictures.
    """
    known = codec.attributes
    if known is None:
        return [[{} for _ in column] for column in done]
    pictures = levels.reshape(-1, *levels.shape[2:]).round().astype(np.uint8)
    before, *afters = known.read(codec.encode(pictures)).reshape(*levels.shape[:2], -1)
    return [
        [_changed(known, *one) for one in zip(before, after, column, strict=True)]
        for after, column in zip(afters, done, strict=True)
    ]


def _changed(known: Attributes, before: np.ndarray, after: np.ndarray, moves: list[Move]) -> dict[str, tuple[str, str]]:
    moved = {name for move in moves for name in known.beside(move.edit.target)}
    names = [name for name in known.changed(before, after) if name not in moved][:MOST_READS]
    then, now = known.said(before), known.said(after)
    return {name: (then[name], now[name]) for name in names}


def _outs(codec: Codec, codes: np.ndarray) -> list[list[float | None]]:
    """How far out codes (K, N, D) are: K numbers for each of N pictures, None where there is nothing to judge by."""
    if codec.training_codes is None or len(codec.codes) < MIN_CODES:
        return [[None] * len(codes)] * codes.shape[1]
    with np.errstate(over="ignore"):
        flat = np.clip(codes.reshape(-1, codes.shape[2]).astype(np.float64), -1e30, 1e30)
        scores = codec.support.score(codec, flat).reshape(codes.shape[:2])
    return np.nan_to_num(scores, nan=np.inf, posinf=1e30).T.tolist()
