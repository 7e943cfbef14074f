"""Pictures of codes that lie in a file or folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from latentdial import outputs
from latentdial.codes.tables import CodeTable, open_codes
from latentdial.errors import LatentdialError
from latentdial.images.montage import montage, save_png
from latentdial.latent.codec import Codec
from latentdial.progress import Show
from latentdial.storage import explained, writing
from latentdial.texts import FileNames

MOST_IN_GRID = 1024


@dataclass(frozen=True)
class Decoded:
    """How many pictures were made, and where they are."""

    pictures: int
    out: Path


def decode_codes(codec: Codec, codes: str | Path, out: str | Path, *, show: Show | None = None) -> Decoded:
    """Decode the codes of a folder of `encode`, or of a .csv, .npy or .safetensors file, some at a time.

    `out` is a folder, which gets a PNG for each under its name; an .npy of all, uint8 (N, H, W, C); or a .png, a sheet
    of at most 1,024. Codes of another size than the codec's are a LatentdialError, before anything is written.

    >>> decode_codes(codec, "codes/", "again/")  # doctest: +SKIP
    """
    show, out = show or Show(), Path(out)
    out = outputs.check_file(out, (".npy", ".png")) if out.suffix else outputs.check_folder(out)
    table = open_codes(codes)
    latent = codec.latent
    if table.latent != latent:
        raise LatentdialError(f"codes of {codec.name} have {latent} numbers, and these have {table.latent}")
    write_all = {"": _to_folder, ".npy": _to_array, ".png": _to_sheet}[out.suffix]
    return Decoded(write_all(out, _decoded(codec, table, show)), out)


def _decoded(codec: Codec, table: CodeTable, show: Show) -> Iterator[tuple[list[str], np.ndarray]]:
    done = 0
    for names, codes in table.batches():
        yield names, codec.decode(codes)
        done += len(names)
        show.advance("decoding", done, table.rows or done)


def _to_folder(out: Path, batches: Iterator[tuple[list[str], np.ndarray]]) -> int:
    with explained(out):
        out.mkdir(parents=True, exist_ok=True)
    names, count = FileNames(), 0
    for some, pictures in batches:
        for name, picture in zip(some, pictures, strict=True):
            save_png(out / names.of(name), picture, root=out)
        count += len(some)
    return count


def _to_array(out: Path, batches: Iterator[tuple[list[str], np.ndarray]]) -> int:
    """The array grows as pictures come; its head, which says how many, is written again at the end."""
    with explained(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with writing(out) as file:
        count, shape = 0, None
        for _, pictures in batches:
            if shape is None:
                shape = pictures.shape[1:]
                _head(file, 0, shape)
            file.write(np.ascontiguousarray(pictures).data)
            count += len(pictures)
        file.seek(0)
        _head(file, count, shape or ())
    return count


def _head(file: BinaryIO, count: int, shape: tuple[int, ...]) -> None:
    """As `np.save` writes it; numpy leaves room for a longer first axis."""
    about = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
    np.lib.format.write_array_header_1_0(file, about)


def _to_sheet(out: Path, batches: Iterator[tuple[list[str], np.ndarray]]) -> int:
    kept: list[np.ndarray] = []
    for _, pictures in batches:
        kept.append(pictures)
        if sum(map(len, kept)) > MOST_IN_GRID:
            raise LatentdialError(f"a sheet holds at most {MOST_IN_GRID:,} pictures: give a folder or an .npy")
    found = np.concatenate(kept)
    across = int(np.ceil(np.sqrt(len(found))))
    with explained(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    save_png(out, montage([found[i : i + across] for i in range(0, len(found), across)]))
    return len(found)
