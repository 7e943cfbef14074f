"""A codec as files for other programs: ONNX, a plain state dict, safetensors, TensorBoard's projector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch

from latentdial import storage
from latentdial.errors import LatentdialError
from latentdial.exporting import projector, readme
from latentdial.exporting.graphs import MAX_ONNX_BYTES, NotExportable, difference_of_codes, largest_difference, trace
from latentdial.exporting.sequential import plain_nets
from latentdial.images import ImageSet, open_images, spread
from latentdial.images.montage import save_png
from latentdial.latent.codec import Codec
from latentdial.latent.effect import real_codes
from latentdial.progress import Progress, quiet
from latentdial.runs.pictures import run_pictures

Format = Literal["onnx", "sequential", "safetensors", "projector"]
CHECKED = 60  # codes
MAX_ERROR = 0.5  # levels of 255


@dataclass(frozen=True)
class Exported:
    """The files written, and what is to be said of them."""

    files: list[Path]
    figures: Mapping[str, float | int | str]
    sentence: str


def export(
    codec: Codec,
    out: str | Path,
    format: Format = "onnx",
    data: str | None = None,
    overwrite: bool = False,
    progress: Progress = quiet,
) -> Exported:
    """Write a codec into the folder `out` for other programs, with a README.md that says how to read it there.

    "onnx": encoder and decoder, compared with torch by onnxruntime; "sequential": a state dict that torch loads with
    weights_only=True into a class of `nn.Linear` and `nn.ReLU`; "safetensors": all weights under the net's own names;
    "projector": codes, labels and pictures of `data`, by default of the run's own, for TensorBoard's projector.
    A net that has no such form and a folder that is not empty are a LatentdialError.

    >>> latentdial.export(latentdial.load("runs/ae"), "exported", "sequential")  # doctest: +SKIP
    """
    if format not in get_args(Format):
        raise LatentdialError(f"there is no format {format!r}: use {', '.join(get_args(Format))}")
    out = Path(out)
    if out.exists() and not overwrite and (not out.is_dir() or any(out.iterdir())):
        raise LatentdialError(f"{out} is not empty: choose another --out, or give --overwrite")
    if format == "projector":
        files, figures, text = _projector(codec, data, progress)
    else:
        files, figures, text = {"onnx": _onnx, "sequential": _sequential, "safetensors": _safetensors}[format](codec)
    out.mkdir(parents=True, exist_ok=True)
    for name, write in files.items():
        write(out / name)
    storage.write(out / "README.md", text)
    return Exported([out / name for name in [*files, "README.md"]], figures, readme.first_line(text))


Write = Callable[[Path], None]
Made = tuple[dict[str, Write], Mapping[str, float | int | str], str]


def _onnx(codec: Codec) -> Made:
    encoder, decoder = trace(codec)
    if max(encoder.ByteSize(), decoder.ByteSize()) > MAX_ONNX_BYTES:
        raise NotExportable(f"{codec.name} is larger than 2 GB, which ONNX files may not be: use --format safetensors")
    down, up = encoder.SerializeToString(), decoder.SerializeToString()
    codes = real_codes(codec, CHECKED)
    pictures = codec.decode(codes)
    levels = largest_difference(codec, down, up, codes, pictures)
    sds = difference_of_codes(codec, down, pictures)
    if levels > MAX_ERROR:
        raise NotExportable(f"as ONNX {codec.name} is {levels:.2g} levels of 255 off: use --format safetensors")
    figures = {"largest_difference_levels": levels, "largest_difference_sd": sds, "checked_codes": len(codes)}
    files = {"encoder.onnx": _bytes(down), "decoder.onnx": _bytes(up)}
    return files, figures, readme.of_onnx(codec, levels, sds, len(codes))


def _sequential(codec: Codec) -> Made:
    nets = plain_nets(codec)

    def write(path: Path) -> None:
        with storage.writing(path) as file:
            torch.save(nets.state_dict(), file)

    layers = len(nets.state_dict()) // 2
    return {"weights.pt": write}, {"linear_layers": layers}, readme.of_sequential(codec, nets.source())


def _safetensors(codec: Codec) -> Made:
    if codec.model is None:
        raise LatentdialError(f"{codec.name} has no weights: export a run, or wrap torch modules")
    state = {name: tensor.detach().cpu() for name, tensor in codec.model.state_dict().items()}
    about = {"recipe": codec.config.model.recipe} if codec.config else {}
    figures = {"tensors": len(state), "numbers": sum(tensor.numel() for tensor in state.values())}
    write = {"model.safetensors": lambda path: storage.save_tensors(path, state, about)}
    return write, figures, readme.of_safetensors(codec, list(state))


def _projector(codec: Codec, data: str | None, progress: Progress) -> Made:
    images = _pictures(codec, data, progress)
    pixels = np.ascontiguousarray(images.pixels[np.arange(len(images))])
    sheet, side = projector.sprite(pixels)
    files = {
        "vectors.tsv": _bytes(projector.vectors_tsv(codec.encode(pixels)).encode()),
        "metadata.tsv": _bytes(projector.metadata_tsv(images).encode()),
        "sprite.png": lambda path: save_png(path, sheet),
        "projector_config.pbtxt": _bytes(projector.CONFIG.format(side=side).encode()),
    }
    return files, {"points": len(images), "dimensions": codec.latent}, readme.of_projector(codec, len(images))


def _pictures(codec: Codec, data: str | None, progress: Progress) -> ImageSet:
    """At most as many pictures as the projector bears, of `data`, or of the run's own, from all over them."""
    if codec.config is None and data is None:
        raise LatentdialError(f"{codec.name} is no run: name its pictures with --data")
    if data is None:
        images = run_pictures(codec, progress=progress)[0]
    else:
        from latentdial.config import DataSettings

        settings = DataSettings(data) if codec.config is None else replace(codec.config.data, source=data, limit=None)
        images = open_images(settings, codec.geometry, progress)
    return images.take(spread(len(images), projector.MAX_POINTS))


def _bytes(data: bytes) -> Write:
    return lambda path: storage.write(path, data)
