"""Nothing about a set is decided on a part of it, and no file that is cut short is used."""

from __future__ import annotations

import gzip
import io
import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentdial.config import DataSettings, Geometry
from latentdial.errors import LatentdialError
from latentdial.images import ImageSet, arrays, open_images, spread
from latentdial.images.geometry import Unreadable, decode
from latentdial.runs import pictures
from pictures import encoded, photo, write_folder

datasets = pytest.importorskip("datasets")
pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

GREY = Geometry(size=8, colour="grey")


def opened(source: Path | str, geometry: Geometry = GREY, **settings) -> ImageSet:
    return open_images(DataSettings(str(source), **settings), geometry)


@pytest.fixture
def deep() -> np.ndarray:
    """24 pictures of 16 bits, (24, 8, 8): the first half holds values up to 255, as dark pictures do, the rest all."""
    values = np.random.default_rng(0).integers(0, 65536, (24, 8, 8), np.uint16)
    values[:12] //= 257
    return values


def save_npy(path: Path, values: np.ndarray) -> Path:
    np.save(path / "deep.npy", values)
    return path / "deep.npy"


def save_big_endian(path: Path, values: np.ndarray) -> Path:
    return save_npy(path, values.astype(">u2"))


def save_npz(path: Path, values: np.ndarray) -> Path:
    np.savez_compressed(path / "deep.npz", images=values)
    return path / "deep.npz"


def png_files(values: np.ndarray) -> list[bytes]:
    return [encoded(Image.fromarray(picture), "PNG") for picture in values]


def save_folder(path: Path, values: np.ndarray) -> Path:
    return write_folder(path / "files", {f"{i:02d}.png": data for i, data in enumerate(png_files(values))})


def save_table(path: Path, values: np.ndarray) -> Path:
    names = sorted(f"files/{file.name}" for file in save_folder(path, values).iterdir())
    (path / "list.csv").write_text("\n".join(["path", *names]))
    return path / "list.csv"


def save_parquet(path: Path, values: np.ndarray) -> Path:
    parquet.write_table(pyarrow.table({"image": png_files(values)}), path / "deep.parquet", row_group_size=12)
    return path / "deep.parquet"


def save_dataset(path: Path, values: np.ndarray) -> Path:
    datasets.disable_progress_bars()
    rows = {"image": [{"bytes": data, "path": None} for data in png_files(values)]}
    datasets.Dataset.from_dict(rows, datasets.Features({"image": datasets.Image()})).save_to_disk(path / "set")
    return path / "set"


@pytest.mark.parametrize(
    "save",
    [save_npy, save_big_endian, save_npz, save_folder, save_table, save_parquet, save_dataset],
    ids=lambda save: save.__name__,
)
def test_16_bits_have_one_scale_over_a_whole_set(tmp_path, monkeypatch, deep, save):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 6 * 128)  # six pictures
    images = opened(save(tmp_path, deep))
    expected = (deep / 257).round().astype(np.uint8)
    assert (images.pixels[:][..., 0] == expected).all()
    assert expected[:12].max() <= 1


def test_a_limit_does_not_change_the_scale(tmp_path, monkeypatch, deep):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 6 * 128)
    path = save_npy(tmp_path, deep)
    few = opened(path, limit=6)
    assert (few.pixels[:] == opened(path).pixels[:6]).all()


def test_16_bits_that_hold_8_are_taken_as_8_and_levels_say_otherwise(tmp_path, deep):
    path = save_npy(tmp_path, deep[:12])
    assert (opened(path).pixels[:][..., 0] == deep[:12]).all()
    told = opened(path, replace(GREY, levels=[0, 510])).pixels[:][..., 0]
    assert np.abs(told - deep[:12] / 2.0).max() <= 0.5


@pytest.mark.parametrize("save", [save_npy, save_npz, save_folder, save_parquet], ids=lambda save: save.__name__)
def test_levels_hold_for_values_of_more_than_8_bits(tmp_path, deep, save):
    """Such as the 12 bits of a scanner in files of 16."""
    values = deep // 16
    pixels = opened(save(tmp_path, values), replace(GREY, levels=[0, 4095])).pixels[:][..., 0]
    assert np.abs(pixels - values / 4095 * 255).max() <= 0.5 + 1e-6


def test_idx_has_one_scale(tmp_path, monkeypatch):
    """IDX has signed 16 bits: levels say what they mean, and without them they are refused wherever they stand."""
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 6 * 128)
    values = np.random.default_rng(0).integers(0, 255, (24, 8, 8)).astype(">i2")
    values[12:] *= 128
    path = tmp_path / "deep-images-idx3"
    path.write_bytes(struct.pack(">HBB3I", 0, 11, 3, *values.shape) + values.tobytes())
    with pytest.raises(LatentdialError, match="--levels"):
        opened(path)
    pixels = opened(path, replace(GREY, levels=[0, 32767])).pixels[:][..., 0]
    assert np.abs(pixels - values / 32767 * 255).max() <= 0.5 + 1e-6


def test_32_bit_pictures_beyond_16_bits_are_not_clipped(tmp_path):
    values = (np.arange(64, dtype=np.int32) * 4000).reshape(8, 8)
    write_folder(tmp_path, {f"{i}.tif": encoded(Image.fromarray(values), "TIFF") for i in range(4)})
    with pytest.raises(LatentdialError, match="--levels"):
        opened(tmp_path)
    pixels = opened(tmp_path, replace(GREY, levels=[0, 252_000])).pixels[0][..., 0]
    assert np.abs(pixels - values / 252_000 * 255).max() <= 0.5


def dataset(names: list[str], labels: list[int], **columns) -> datasets.Dataset:
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=names)}
    features |= {name: datasets.Value("int32") for name in columns}
    pictures = [{"bytes": encoded(photo(i), "PNG"), "path": None} for i in range(len(labels))]
    return datasets.Dataset.from_dict(
        {"image": pictures, "label": labels, **columns}, features=datasets.Features(features)
    )


def save_splits(path: Path, **splits: datasets.Dataset) -> Path:
    datasets.disable_progress_bars()
    for name, part in splits.items():
        part.save_to_disk(path / name)
    (path / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    return path


def words(images: ImageSet) -> list[str]:
    return [images.label_names[i] for i in images.labels]


def test_labels_of_every_split_are_its_own(tmp_path):
    parts = {"train": dataset(["cat", "dog"], [0, 1, 0, 1]), "test": dataset(["dog", "cat"], [0, 1, 0, 1])}
    assert words(opened(save_splits(tmp_path, **parts))) == ["cat", "dog", "cat", "dog", "dog", "cat", "dog", "cat"]


def test_columns_that_not_every_split_has_are_left_out(tmp_path):
    parts = {"train": dataset(["cat", "dog"], [0, 1, 0, 1], age=[1, 2, 3, 4]), "test": dataset(["cat", "dog"], [1] * 4)}
    images = opened(save_splits(tmp_path, **parts))
    assert list(images.factors) == []
    assert words(images)[4:] == ["dog"] * 4


def test_a_missing_label_is_no_class(tmp_path):
    """`datasets` writes -1 where a label is not known, as in the test part of a competition."""
    parts = {"train": dataset(["cat", "dog"], [0, 1, 0, 1]), "test": dataset(["cat", "dog"], [-1] * 4)}
    assert words(opened(save_splits(tmp_path, **parts)))[4:] == ["unknown"] * 4


def test_a_row_longer_than_its_head_is_refused(tmp_path):
    write_folder(tmp_path, {f"{i}.png": encoded(photo(i), "PNG") for i in range(4)})
    (tmp_path / "list.csv").write_text("path,label\n0.png,a\n1.png,b\n2.png,smiling, old\n3.png,a\n")
    with pytest.raises(LatentdialError, match=r"line 4 .* more cells"):
        opened(tmp_path / "list.csv")


def test_pictures_are_taken_from_all_over_a_set():
    assert spread(10, 20).tolist() == list(range(10))
    assert spread(100, 4).tolist() == [0, 33, 66, 99]


def test_what_a_run_learns_of_attributes_is_from_all_over_its_set(codec, monkeypatch):
    """Sets are often in the order of their labels: the first pictures would hold the first labels alone."""
    monkeypatch.setattr(pictures, "MAX_PICTURES", 8)
    few, _ = pictures.run_pictures(codec)
    places = [int(name.partition("[")[2].rstrip("]")) for name in few.names]
    assert len(places) == 8
    assert places[0] < 8
    assert places[-1] > 39


@pytest.mark.parametrize("shape", [(24,), (24, 8, 8)])
def test_labels_beside_idx_pictures_are_one_a_picture(tmp_path, shape):
    """Else they are not read: a small .gz may hold more labels than there is memory."""
    (tmp_path / "x-images-idx3").write_bytes(struct.pack(">HBB3I", 0, 8, 3, 24, 8, 8) + bytes(24 * 64))
    data = gzip.compress(struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + bytes(np.prod(shape)))
    (tmp_path / "x-labels-idx1").write_bytes(data)
    assert (opened(tmp_path / "x-images-idx3").labels is None) == (len(shape) > 1)


FRAMES = [photo(i) for i in range(3)]
ENDINGS = {
    "PNG": encoded(photo(3), "PNG"),
    "GIF": encoded(photo(3), "GIF"),
    "GIF, animated": encoded(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]),
    "GIF, interlaced": encoded(photo(3).convert("P"), "GIF", interlace=1),
    "JPEG": encoded(photo(3)),
    "JPEG, progressive": encoded(photo(3), progressive=True),
    "WebP": encoded(photo(3), "WEBP"),
    "WebP, lossless": encoded(photo(3), "WEBP", lossless=True),
    "WebP, animated": encoded(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]),
    "BMP": encoded(photo(3), "BMP"),
    "BMP, padded": encoded(photo(3, 59, 50), "BMP"),
    "BMP, palette": encoded(photo(3, 59, 50).convert("P"), "BMP"),
    "TIFF": encoded(photo(3), "TIFF"),
    "TIFF, LZW": encoded(photo(3), "TIFF", compression="tiff_lzw"),
    "PPM": encoded(photo(3), "PPM"),
}


@pytest.mark.parametrize("kind", ENDINGS)
def test_no_file_without_its_last_bytes_is_used(kind):
    whole = ENDINGS[kind]
    expected = decode(io.BytesIO(whole), GREY)[0]
    assert (decode(io.BytesIO(whole + b"more"), GREY)[0] == expected).all()  # what follows the end does no harm
    for missing in range(1, 40):
        with pytest.raises(Unreadable, match=r"\w"):
            decode(io.BytesIO(whole[:-missing]), GREY)


def test_a_damaged_end_is_told(tmp_path):
    png, gif = ENDINGS["PNG"], ENDINGS["GIF"]
    for data in (png[:-1], png[:-4], gif[:-1], gif[:-2]):
        with pytest.raises(Unreadable, match="its end is missing"):
            decode(io.BytesIO(data), GREY)
    with pytest.raises(Unreadable, match="its end is missing"):
        decode(io.BytesIO(png[:-1] + b"\0"), GREY)
