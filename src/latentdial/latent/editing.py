"""Change a code, decode it, and measure what happened to the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec, Picture
from latentdial.latent.grammar import FLOAT32_MAX, Edit, parse_edits
from latentdial.measure.change import Change, change


@dataclass(frozen=True)
class Move:
    """One edit as it happened: the coordinate before and after, and where that lies among the training codes."""

    edit: Edit
    before: float
    after: float
    sds: float  # of the new coordinate from the training mean, in standard deviations

    def sentence(self) -> str:
        return (
            f"dimension {self.edit.target} goes from {self.before:.2f} to {self.after:.2f}, "
            f"{abs(self.sds):.1f} sd {'above' if self.sds >= 0 else 'below'} the mean of the training codes"
        )


@dataclass(frozen=True)
class Edited:
    """One column of an edit sheet: the edited code, its picture, and what changed against the reconstruction."""

    label: str
    code: np.ndarray  # (D,)
    picture: np.ndarray  # uint8 (H, W, C)
    change: Change
    moves: list[Move]

    def sentence(self) -> str:
        return f"{self.label}: {'; '.join(move.sentence() for move in self.moves)} - {self.change.sentence()}."


@dataclass(frozen=True)
class EditSheet:
    """A picture, its reconstruction, and one column for each edit, with all together last."""

    source: np.ndarray  # uint8 (H, W, C)
    reconstruction: np.ndarray
    code: np.ndarray  # (D,)
    columns: list[Edited]

    def sentences(self) -> list[str]:
        return [column.sentence() for column in self.columns]


def edit(codec: Codec, picture: Picture, texts: list[str]) -> EditSheet:
    """Apply each text of edits to the picture's code on its own, and all of them together where there are several.

    Unknown dimensions and codes that leave float32 are a LatentdialError.
    """
    if not texts:
        raise LatentdialError("there is nothing to edit: give edits such as 1*=2 or 3+=2s")
    source = codec.pictures(picture)[0]
    code = codec.encode(source[None])[0]
    before = codec.levels(code[None])[0]
    groups = {text.strip(): parse_edits(text) for text in texts}
    if len(groups) > 1:
        groups["all together"] = [edit for edits in groups.values() for edit in edits]
    columns = []
    for label, edits in groups.items():
        edited, moves = apply_edits(codec, code, edits)
        after = codec.levels(edited[None])[0]
        columns.append(Edited(label, edited, after.round().astype(np.uint8), change(before, after), moves))
    return EditSheet(source, before.round().astype(np.uint8), code, columns)


def apply_edits(codec: Codec, code: np.ndarray, edits: list[Edit]) -> tuple[np.ndarray, list[Move]]:
    """The code (D,) after the edits, one after the other, and what each did."""
    edited = code.astype(np.float64)
    moves = []
    for one in edits:
        axis = _axis(one.target, len(code))
        mean, sd = _mean_and_sd(codec, axis, one)
        before = float(edited[axis])
        after = one.apply(before, mean, sd)
        if not abs(after) <= FLOAT32_MAX:
            raise LatentdialError(f"edit {one} takes dimension {axis} to {after:g}: stay within +-{FLOAT32_MAX:g}")
        edited[axis] = after
        moves.append(Move(one, before, after, (after - mean) / sd if sd > 0 else 0.0))
    return edited.astype(np.float32), moves


def _axis(target: str, latent: int) -> int:
    if not target.isdigit() or int(target) >= latent:
        raise LatentdialError(f"there is no dimension {target!r}: this code has dimensions 0 to {latent - 1}")
    return int(target)


def _mean_and_sd(codec: Codec, axis: int, one: Edit) -> tuple[float, float]:
    """Along one axis of the training codes; a codec without them has no sd, which only edits in sd need."""
    if codec.training_codes is None and not one.in_sd:
        return 0.0, 0.0
    column = codec.codes[:, axis].astype(np.float64)
    return float(column.mean()), float(column.std())
