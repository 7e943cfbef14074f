"""Change a code, decode it, and measure what happened to the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from latentdial.attributes.known import Attributes
from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec, Picture
from latentdial.latent.detail import preserve
from latentdial.latent.direction import Direction
from latentdial.latent.grammar import FLOAT32_MAX, Edit, parse_edits
from latentdial.latent.naming import direction_of
from latentdial.latent.safe_range import left, reach
from latentdial.latent.steering import steer
from latentdial.latent.support import MIN_CODES
from latentdial.measure.change import Change, change

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
    read: tuple[str, str] | None = None

    @property
    def beyond(self) -> bool:
        """The coordinate left the range of the training codes, or moved further out."""
        if self.low is None or self.high is None:
            return False
        return self.after > max(self.high, self.before) or self.after < min(self.low, self.before)

    @property
    def name(self) -> str:
        return f"dimension {self.edit.target}" if self.edit.target.isdigit() else self.edit.target

    def sentence(self) -> str:
        said = (
            f"{self.name} goes from {self.before:.2f} to {self.after:.2f}, "
            f"{abs(self.sds):.1f} sd {'above' if self.sds >= 0 else 'below'} the mean of the training codes"
        )
        return said if self.read is None else f"{said}, and reads {self.read[1]} in place of {self.read[0]}"


@dataclass(frozen=True)
class Edited:
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


@dataclass(frozen=True)
class EditSheet:
    """A picture, its reconstruction, and one column for each edit, with all together last."""

    source: np.ndarray  # uint8 (H, W, C)
    reconstruction: np.ndarray
    code: np.ndarray  # (D,)
    columns: list[Edited]

    def sentences(self) -> list[str]:
        return [column.sentence() for column in self.columns]


def edit(
    codec: Codec, picture: Picture, *texts: str, keep: Sequence[str] = (), preserve_detail: bool = False
) -> EditSheet:
    """Apply each text of edits to the picture's code on its own, and all of them together where there are several.

    The directions named in `keep` are held where they are. `preserve_detail` adds to the picture what the codec lost
    of the source, where the edit left it alone. Unknown names and codes that leave float32 are a LatentdialError.
    """
    if not texts:
        raise LatentdialError("there is nothing to edit: give edits such as 1*=2 or 3+=2s")
    source = codec.pictures(picture)[0]
    code = codec.encode(source[None])[0]
    before = codec.levels(code[None])[0]
    groups = {text.strip(): parse_edits(text) for text in texts}
    if len(groups) > 1:
        groups["all together"] = [edit for edits in groups.values() for edit in edits]
    kept = [direction_of(codec, name, len(code)) for name in keep]
    results = {label: apply_edits(codec, code, edits, kept) for label, edits in groups.items()}
    outs = _outs(codec, np.stack([code, *(edited for edited, _ in results.values())]))
    afters = [codec.levels(edited[None])[0] for edited, _ in results.values()]
    reads = _reads(codec, [before, *afters], [moves for _, moves in results.values()])
    columns = []
    for (label, (edited, moves)), after, out, read in zip(results.items(), afters, outs[1:], reads, strict=True):
        decoded = after.round().astype(np.uint8)
        shown = preserve(source, before, after).round().astype(np.uint8) if preserve_detail else decoded
        plain = decoded if preserve_detail else None
        columns.append(Edited(label, edited, shown, change(before, after), moves, out, outs[0], plain, read))
    return EditSheet(source, before.round().astype(np.uint8), code, columns)


def apply_edits(
    codec: Codec, code: np.ndarray, edits: list[Edit], keep: Sequence[Direction] = ()
) -> tuple[np.ndarray, list[Move]]:
    """The code (D,) after the edits, one after the other, and what each did."""
    edited = code.astype(np.float64)
    moves = []
    for one in edits:
        direction = direction_of(codec, one.target, len(code))
        if codec.training_codes is None and one.in_sd:
            codec.codes  # noqa: B018 - raises the error that says how to get training codes
        before = float(direction.along(edited))
        after = one.apply(before, direction.mean, direction.sd)
        if not abs(after) <= FLOAT32_MAX:
            raise LatentdialError(f"edit {one} takes {direction.title} to {after:g}: stay within +-{FLOAT32_MAX:g}")
        start = edited
        if keep:
            edited = steer(codec, edited, direction, after - before, keep)
            after = float(direction.along(edited))
        else:
            edited = edited + (after - before) * direction.vector
        sds = (after - direction.mean) / direction.sd if direction.sd > 0 else 0.0
        low, high = (None, None) if codec.training_codes is None else reach(codec, direction)
        moves.append(Move(one, before, after, sds, low, high, _read(codec, direction.name, start, edited)))
    if not np.abs(edited).max() <= FLOAT32_MAX:
        raise LatentdialError(f"the edits leave the range of numbers: stay within +-{FLOAT32_MAX:g}")
    return edited.astype(np.float32), moves


def _read(codec: Codec, name: str, start: np.ndarray, edited: np.ndarray) -> tuple[str, str] | None:
    """How the attribute of this name, where it is one that the codec knows, reads from the code before and after."""
    known = codec.attributes
    if known is None or name not in known.columns:
        return None
    before, after = known.read(np.stack([start, edited]))
    return known.said(before)[name], known.said(after)[name]


def _reads(codec: Codec, levels: list[np.ndarray], done: list[list[Move]]) -> list[dict[str, tuple[str, str]]]:
    """How the attributes that changed most read before and after each of the moves, but for those moved.

    `levels` are the picture (H, W, C) before, and after each.
    """
    known = codec.attributes
    if known is None:
        return [{} for _ in done]
    before, *afters = known.read(codec.encode(np.stack(levels).round().astype(np.uint8)))
    return [_changed(known, before, after, moves) for after, moves in zip(afters, done, strict=True)]


def _changed(known: Attributes, before: np.ndarray, after: np.ndarray, moves: list[Move]) -> dict[str, tuple[str, str]]:
    moved = {name for move in moves for name in known.beside(move.edit.target)}
    names = [name for name in known.changed(before, after) if name not in moved][:MOST_READS]
    then, now = known.said(before), known.said(after)
    return {name: (then[name], now[name]) for name in names}


def _outs(codec: Codec, codes: np.ndarray) -> list[float] | list[None]:
    if codec.training_codes is None or len(codec.codes) < MIN_CODES:
        return [None] * len(codes)
    with np.errstate(over="ignore"):
        scores = codec.support.score(codec, np.clip(codes.astype(np.float64), -1e30, 1e30))
    return np.nan_to_num(scores, nan=np.inf, posinf=1e30).tolist()
