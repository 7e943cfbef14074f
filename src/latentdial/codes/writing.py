"""The codes of a whole image set, shard by shard, by one process or by many that share the shards.

Processes do not talk: shard i belongs to process i modulo WORLD_SIZE, every file appears whole or not at all, and who
finds all shards there writes the manifest.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latentdial.codes.reading import (
    FORMAT,
    JOB,
    LIMITS,
    MANIFEST,
    MAX_JSON_BYTES,
    Codes,
    Job,
    codes_file,
    digest_of,
    names_file,
    read_codes,
    read_json,
    read_names,
    shard_bytes,
    shard_count,
    shard_span,
)
from latentdial.config import DataSettings
from latentdial.errors import LatentdialError
from latentdial.images import ImageSet, open_images
from latentdial.latent.codec import Codec
from latentdial.machine.precision import autocast, choose_device, choose_precision
from latentdial.machine.world import own_device, world_of
from latentdial.outputs import check_folder
from latentdial.progress import Show, showing
from latentdial.runs.loading import load
from latentdial.runs.records import MODEL
from latentdial.storage import explained, is_unfinished, remove, write

SHARD_ROWS = 65_536
BLOCK = 2048  # pictures read at once, a multiple of the codec's batch


@dataclass(frozen=True)
class Encoded:
    """What one process did: pictures it encoded, pictures of shards that were whole, and whether all shards are."""

    out: str
    rows: int
    latent: int
    shards: int
    encoded: int
    kept: int
    seconds: float
    images_per_second: float
    complete: bool
    rank: int
    processes: int


def encode(
    run: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    shard_rows: int = SHARD_ROWS,
    device: str = "auto",
    show: Show | bool = True,
) -> Codes:
    """Write the codes of a set of pictures of any size into a folder, and open them; what is there is kept.

    >>> latentdial.encode("runs/ae", "pictures/", "codes/").shape  # doctest: +SKIP
    """
    with showing(show) as shown:
        encode_pictures(run, DataSettings(str(data)), out, shard_rows, device, show=shown)
    return read_codes(out)


def encode_pictures(
    run: str | Path,
    data: DataSettings,
    out: str | Path,
    shard_rows: int = SHARD_ROWS,
    device: str = "auto",
    precision: str = "float32",
    show: Show | None = None,
) -> Encoded:
    """Write the codes of an image set into a folder that `read_codes` opens; what is there already is kept.

    Under torchrun, or with RANK and WORLD_SIZE set, each process does its share. A folder with other codes is a
    LatentdialError that names the difference.
    """
    if not 1 <= shard_rows <= LIMITS["shard_rows"]:
        raise LatentdialError(f"--shard-rows {str(shard_rows)[:20]} is out of range: use a number such as {SHARD_ROWS}")
    out, show, world = check_folder(out), show or Show(), world_of(os.environ)
    _need_codes_or_nothing(out)
    codec = load(run, own_device(choose_device(device), world))
    precision = choose_precision(precision, codec.device)
    images = open_images(data, codec.geometry, show.advance)
    job = _job(Path(run), codec, data, images, shard_rows, precision)
    _claim(out, job)
    mine = range(world.rank, shard_count(job), world.size)
    _sweep(out, mine)
    todo = [shard for shard in mine if not _whole(out, job, shard)]
    start, done, total = time.perf_counter(), 0, sum(len(shard_span(job, shard)) for shard in todo)
    for shard in todo:
        codes = np.empty((len(shard_span(job, shard)), job["latent"]), np.float32)
        for block in _blocks(shard_span(job, shard)):
            with autocast(precision, codec.device):
                codes[block.start - shard * shard_rows :][: len(block)] = codec.encode(
                    images.pixels[block.start : block.stop]
                )
            done += len(block)
            rate = done / (time.perf_counter() - start)
            show.advance("encoding", done, total, f"{rate:.0f} images/s")
        _write_shard(out, job, shard, codes, images)
    seconds = time.perf_counter() - start
    kept = sum(len(shard_span(job, shard)) for shard in mine) - total
    complete = _write_manifest(out, job, images.label_names)
    rate = round(done / seconds, 1) if done else 0.0
    return Encoded(
        str(out), len(images), job["latent"], shard_count(job), done, kept, round(seconds, 2), rate, complete,
        world.rank, world.size,
    )  # fmt: skip


def _blocks(span: range) -> list[range]:
    return [span[i : i + BLOCK] for i in range(0, len(span), BLOCK)]


def _job(run: Path, codec: Codec, data: DataSettings, images: ImageSet, shard_rows: int, precision: str) -> Job:
    return {
        "format": FORMAT,
        "model": digest_of(run / MODEL),
        "pictures": hashlib.sha256(np.ascontiguousarray(images.hashes, np.uint64).tobytes()).hexdigest(),
        "run": codec.name,
        "data": data.source,
        "geometry": asdict(codec.geometry),
        "precision": precision,
        "rows": len(images),
        "shard_rows": shard_rows,
        "latent": int(codec.model.latent),  # type: ignore[union-attr, arg-type]
    }


def _claim(out: Path, job: Job) -> None:
    """Note in the folder what its codes are of; a folder that is taken is a LatentdialError."""
    with explained(out):
        out.mkdir(parents=True, exist_ok=True)
    if not _need_codes_or_nothing(out):
        write(out / JOB, _json(job))
        return
    held = read_json(out / JOB, MAX_JSON_BYTES)
    for name in job:
        if held.get(name) != job[name]:
            before, now = (str(one)[:60] for one in (held.get(name), job[name]))
            raise LatentdialError(
                f"{out} holds other codes: {name} is {before} there and {now} here; choose another --out"
            )


def _need_codes_or_nothing(out: Path) -> bool:
    """Whether a folder holds codes; one with anything else in it is a LatentdialError."""
    with explained(out, "read"):
        taken = [path.name for path in out.iterdir() if not path.name.startswith(".")] if out.is_dir() else []
    if taken and not (out / JOB).exists():
        raise LatentdialError(f"{out} holds {taken[0]} and no codes: choose another --out")
    return bool(taken)


def _sweep(out: Path, shards: range) -> None:
    """Take away what a process that was killed has left half written of these shards."""
    for shard in shards:
        for name in (codes_file(shard), names_file(shard)):
            for leftover in out.glob(f".{name}.*.part"):
                if is_unfinished(leftover.name):
                    remove(leftover)


def _whole(out: Path, job: Job, shard: int) -> bool:
    """Whether a shard is there, of this job, and as it was written."""
    try:
        about = read_names(out, job, shard)
        mine = about.get("job") == _digest(job)
        return mine and about.get("codes") == digest_of(out / codes_file(shard), shard_bytes(job, shard))
    except (LatentdialError, OSError):
        return False


def _write_shard(out: Path, job: Job, shard: int, codes: np.ndarray, images: ImageSet) -> None:
    """The codes, then their names with the checksum of the codes, without which the shard does not count."""
    span = shard_span(job, shard)
    file = io.BytesIO()
    np.save(file, codes, allow_pickle=False)
    labels = None if images.labels is None else images.labels[span.start : span.stop].tolist()
    about = {
        "job": _digest(job),
        "codes": hashlib.sha256(file.getbuffer()).hexdigest(),
        "names": images.names[span.start : span.stop],
        "labels": labels,
    }
    write(out / codes_file(shard), file.getbuffer())
    write(out / names_file(shard), _json(about))


def _write_manifest(out: Path, job: Job, label_names: list[str]) -> bool:
    """Write the manifest if all shards are there, and say whether they are."""
    shards = []
    for shard in range(shard_count(job)):
        try:
            about = read_names(out, job, shard)
        except LatentdialError:
            return False
        if about.get("job") != _digest(job) or not (out / codes_file(shard)).is_file():
            return False
        span = shard_span(job, shard)
        sums = {"codes": about["codes"], "names": digest_of(out / names_file(shard))}
        shards.append({"start": span.start, "rows": len(span), **sums})
    write(out / MANIFEST, _json({"job": job, "label_names": label_names, "shards": shards}))
    return True


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _digest(job: Job) -> str:
    return hashlib.sha256(_json(job)).hexdigest()
