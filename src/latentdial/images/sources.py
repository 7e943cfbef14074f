"""Where pictures come from: a folder, an .npy or .npz array, or a built-in name."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from latentdial.config import DataSettings, Geometry
from latentdial.errors import LatentdialError
from latentdial.images import avatars
from latentdial.images.geometry import SUFFIXES, fit_arrays, read_picture
from latentdial.images.types import ImageSet

Progress = Callable[[str, int, int], None]  # what is being done, done so far, in all


def quiet(_what: str, _done: int, _total: int) -> None:
    """A progress that shows nothing."""


def open_images(data: DataSettings, geometry: Geometry, progress: Progress = quiet) -> ImageSet:
    """Open an image set by its source and fit every picture to the geometry.

    A source that does not exist or holds no readable picture is a LatentdialError.
    """
    source = data.source
    if source in BUILT_IN:
        images = BUILT_IN[source](data, geometry, progress)
    elif Path(source).is_dir():
        images = _folder(Path(source), data, geometry, progress)
    elif Path(source).suffix in {".npy", ".npz"} and Path(source).is_file():
        images = _array(Path(source), geometry)
    else:
        names = ", ".join(BUILT_IN)
        raise LatentdialError(f"there are no pictures at {source!r}: give a folder, an .npy or .npz file, or {names}")
    return images if data.limit is None else images.take(np.arange(min(data.limit, len(images))))


def _folder(root: Path, data: DataSettings, geometry: Geometry, progress: Progress) -> ImageSet:
    paths = sorted(_picture_files(root))
    if data.limit is not None:
        paths = _spread(paths, data.limit)
    if not paths:
        raise LatentdialError(f"{root} holds no picture files: it or its sub-folders need .jpg, .png or .webp files")
    pictures: list[np.ndarray] = []
    kept: list[Path] = []
    skipped: list[tuple[str, str]] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, result in zip(paths, pool.map(lambda p: _try_read(p, geometry), paths), strict=True):
            if isinstance(result, str):
                skipped.append((str(path.relative_to(root)), result))
            else:
                pictures.append(result)
                kept.append(path)
            progress("reading pictures", len(kept) + len(skipped), len(paths))
    if not pictures:
        reason, count = Counter(reason for _, reason in skipped).most_common(1)[0]
        raise LatentdialError(f"none of the {len(paths)} files in {root} could be read; {count} of them: {reason}")
    folders = [str(path.relative_to(root).parent) for path in kept]
    label_names = sorted(set(folders))
    labelled = len(label_names) > 1
    labels = np.array([label_names.index(folder) for folder in folders]) if labelled else None
    names = [str(path.relative_to(root)) for path in kept]
    return ImageSet(np.stack(pictures), names, labels, label_names if labelled else [], skipped=skipped)


def _picture_files(root: Path) -> Iterable[Path]:
    for folder, _, files in os.walk(root):
        for name in files:
            path = Path(folder, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith(".") and path.is_file():
                yield path


def _spread(paths: list[Path], limit: int) -> list[Path]:
    """`limit` paths evenly over the sorted list, so that every sub-folder is there."""
    return [paths[i] for i in np.linspace(0, len(paths) - 1, min(limit, len(paths))).astype(int)]


def _try_read(path: Path, geometry: Geometry) -> np.ndarray | str:
    try:
        return read_picture(path, geometry)
    except LatentdialError as error:
        return str(error).replace(str(path), "the file")


def _array(path: Path, geometry: Geometry) -> ImageSet:
    try:
        loaded = np.load(path, allow_pickle=False)
        array = loaded if isinstance(loaded, np.ndarray) else loaded[_only_key(path, loaded.files)]
    except (ValueError, OSError, EOFError) as error:
        reason = " ".join(str(error).split())[:160]
        raise LatentdialError(f"{path} is no array of pictures ({reason}): save uint8 (N, H, W, C)") from None
    pixels = fit_arrays(_as_bytes(path, array), geometry)
    return ImageSet(pixels, [f"{path.stem}[{i}]" for i in range(len(pixels))])


def _only_key(path: Path, keys: list[str]) -> str:
    if len(keys) == 1 or "images" in keys:
        return "images" if "images" in keys else keys[0]
    raise LatentdialError(f"{path} holds {', '.join(keys)}: name the array of pictures 'images'")


def _as_bytes(path: Path, array: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, C) from uint8 or float in 0..1, grey with or without a channel axis, channels first or last."""
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim == 4 and array.shape[-1] not in (1, 3, 4) and array.shape[1] in (1, 3, 4):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim != 4 or array.shape[-1] not in (1, 3, 4) or not len(array):
        raise LatentdialError(f"{path} has shape {array.shape}: pictures need (N, H, W), (N, H, W, C) or (N, C, H, W)")
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "f" and np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1:
        return (array * 255).round().astype(np.uint8)
    raise LatentdialError(f"{path} holds {array.dtype} values: save uint8, or finite floats from 0 to 1")


def _avatars(data: DataSettings, geometry: Geometry, progress: Progress) -> ImageSet:
    n = data.limit or avatars.DEFAULT_COUNT
    pixels, factors = avatars.render(n, geometry.size, lambda done, total: progress("drawing avatars", done, total))
    names = [f"avatar {i}" for i in range(n)]
    return ImageSet(fit_arrays(pixels, geometry), names, factors=factors)


def _lfw(data: DataSettings, geometry: Geometry, progress: Progress) -> ImageSet:
    from skimage.data import lfw_subset

    pixels = (lfw_subset() * 255).round().astype(np.uint8)[..., None]
    names = [f"lfw {i}" for i in range(len(pixels))]
    labels = (np.arange(len(pixels)) >= 100).astype(int)
    return ImageSet(fit_arrays(pixels, geometry), names, labels, ["face", "not a face"])


BUILT_IN: dict[str, Callable[[DataSettings, Geometry, Progress], ImageSet]] = {"avatars": _avatars, "lfw": _lfw}
