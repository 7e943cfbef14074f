"""Images/s of the first and of later passes over a folder of JPEGs, against a torch Dataset with Pillow and DataLoader.

Command:  python benchmarks/decode.py --pictures FOLDER      (without FOLDER it draws 20,000 JPEGs of 178x218 first)
Time:     about 8 minutes on 2 cores with 20,000 pictures; --count 4000 for a quick look
Expected: first pass at least 1.5x the DataLoader, later epochs at least 20x; a warm start of 200,000 pictures
          gives its first batch in under 0.5 s (--warm 200000); peak memory is printed

Both sides read the same files, fit them to 64x64 and give uint8 batches of 128. The DataLoader has 2 workers and does
what notebooks do: open, convert, centre crop, resize with Lanczos, stack. Rounds take turns; medians and ratios follow.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import Image, ImageOps
from torch.utils.data import DataLoader, Dataset

from latentdial.config import DataSettings, Geometry
from latentdial.images import ImageSet, batch_order, open_at_once, open_images, split_images
from latentdial.images.cache import clear_cache

BATCH, SIZE, WORKERS = 128, 64, 2


class FolderDataset(Dataset):
    """One picture at a time, as notebooks read them."""

    def __init__(self, paths: list[Path]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.paths[index]) as picture:
            fitted = ImageOps.fit(picture.convert("RGB"), (SIZE, SIZE), Image.Resampling.LANCZOS)
        return torch.from_numpy(np.array(fitted))


def loader_epoch(paths: list[Path]) -> float:
    """Seconds of one shuffled epoch of the DataLoader."""
    start = time.perf_counter()
    count = sum(len(batch) for batch in DataLoader(FolderDataset(paths), BATCH, shuffle=True, num_workers=WORKERS))
    assert count == len(paths)
    return time.perf_counter() - start


def first_pass(folder: Path) -> tuple[float, ImageSet]:
    """Seconds until all pictures are decoded into an empty cache."""
    clear_cache()
    start = time.perf_counter()
    images = open_images(DataSettings(str(folder)), Geometry(size=SIZE))
    return time.perf_counter() - start, images


def later_epoch(images: ImageSet, epoch: int) -> float:
    """Seconds of one shuffled epoch from the cache, streamed batch by batch as tensors."""
    start = time.perf_counter()
    order = batch_order(len(images), 0, epoch)
    count = 0
    for i in range(0, len(order), BATCH):
        count += len(torch.from_numpy(images.pixels[order[i : i + BATCH]]))
    assert count == len(images)
    return time.perf_counter() - start


def warm_start(folder: Path) -> tuple[float, float]:
    """Seconds from nothing open to the first batch, all in the cache, and until every file was looked at."""
    start = time.perf_counter()
    images, check = open_at_once(DataSettings(str(folder)), Geometry(size=SIZE))
    parts = split_images(images, 0.1, seed=0)
    images.pixels.take(parts.train)[batch_order(len(parts.train), 0, 0)[:BATCH]]
    first = time.perf_counter() - start
    assert check.wait() == 0
    return first, time.perf_counter() - start


def draw_jpegs(folder: Path, count: int, width: int = 178, height: int = 218) -> Path:
    """Smooth pictures with some texture, about as many bytes as photographs of this size."""
    rng = np.random.default_rng(0)
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        noise = rng.integers(-10, 11, (height, width, 1))
        picture = Image.fromarray((np.asarray(coarse, np.int64) + noise).clip(0, 255).astype(np.uint8))
        picture.save(folder / f"{i:06d}.jpg", quality=85)
    return folder


def many_names(folder: Path, pictures: list[Path], count: int) -> Path:
    """`count` names for the given pictures, as hard links."""
    folder.mkdir()
    for i in range(count):
        os.link(pictures[i % len(pictures)], folder / f"{i:07d}.jpg")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="a folder of JPEGs")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm", type=int, default=0, help="measure a warm start of this many pictures instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as room:
        os.environ["LATENTDIAL_CACHE"] = f"{room}/cache"
        folder = Path(room, "pictures")
        folder.mkdir()
        given = sorted(options.pictures.rglob("*.jpg")) if options.pictures else []
        count = min(options.count, 500) if options.warm else options.count
        for i in range(count if given else 0):  # again from the first where there are fewer
            shutil.copyfile(given[i % len(given)], folder / f"{i:07d}.jpg")
        if not given:
            draw_jpegs(folder, count)
        print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, Pillow {PIL.__version__}")
        if options.warm:
            measure_warm(Path(room), sorted(folder.iterdir()), options)
        else:
            measure_passes(folder, options)


def measure_passes(folder: Path, options: argparse.Namespace) -> None:
    paths = sorted(folder.iterdir())
    rows = []
    for i in range(options.rounds):
        loader = loader_epoch(paths)
        first, images = first_pass(folder)
        later = statistics.median(later_epoch(images, epoch) for epoch in range(3))
        rows.append((loader, first, later))
        speeds = [f"{len(paths) / seconds:,.0f}" for seconds in rows[-1]]
        print(f"round {i + 1}, images/s: DataLoader {speeds[0]}, first pass {speeds[1]}, later epoch {speeds[2]}")
    print(f"first pass / DataLoader: {statistics.median(loader / first for loader, first, _ in rows):.2f}x")
    print(f"later epoch / DataLoader: {statistics.median(loader / later for loader, _, later in rows):.1f}x")
    own, children = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"peak memory: {own:.0f} MB, and {children:.0f} MB in the largest child (torch included in both)")


def measure_warm(room: Path, pictures: list[Path], options: argparse.Namespace) -> None:
    folder = many_names(room / "many", [path.resolve() for path in pictures], options.warm)
    seconds, _ = first_pass(folder)
    print(f"first pass over {options.warm:,}: {seconds:.1f} s")
    for what, times in zip(
        ("first batch", "all files looked at, beside it"),
        zip(*(warm_start(folder) for _ in range(5)), strict=True),
        strict=True,
    ):
        print(f"warm start, {what}: {statistics.median(times):.3f} s ({', '.join(f'{t:.3f}' for t in times)})")
    start = time.perf_counter()
    open_images(DataSettings(str(folder)), Geometry(size=SIZE))
    print(f"the same with all files looked at first: {time.perf_counter() - start:.3f} s")


if __name__ == "__main__":
    main()
