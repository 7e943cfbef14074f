"""A codec's encoder and decoder as two ONNX files that run in a browser, and how far they are from torch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor, nn

from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec
from latentdial.pixels import to_float, to_levels

if TYPE_CHECKING:
    import onnx

Weights = Literal["auto", "int8", "fp16", "float32"]

MAX_INT8_ERROR = 2.0  # levels of 255
SMALL = 1024  # tensors with fewer values stay float32
BLOCK = 64  # int8 weights that share a scale
MAX_ONNX_BYTES = 2_000_000_000


TRIES: dict[Weights, list[tuple[Weights, Weights]]] = {  # of encoder and decoder, smallest first
    "auto": [("int8", "int8"), ("fp16", "int8"), ("fp16", "fp16")],
    "int8": [("int8", "int8"), ("fp16", "int8")],
    "fp16": [("fp16", "fp16")],
    "float32": [("float32", "float32")],
}
Traced = tuple["onnx.ModelProto", "onnx.ModelProto"]


@dataclass(frozen=True)
class Nets:
    """Encoder (B, H, W, C) levels -> (B, D) and decoder (B, D) -> (B, H, W, C) levels, as ONNX with stored `weights`.

    `error` is the largest difference from torch over decoded real codes and over reconstructions, in levels of 255.
    """

    encoder: bytes
    decoder: bytes
    weights: Weights  # of the decoder
    encoder_weights: Weights
    error: float


class NotExportable(LatentdialError):
    """A net that has no ONNX form; the page can still decode on the local server."""


def export_nets(codec: Codec, codes: np.ndarray, pictures: np.ndarray, weights: Weights = "auto") -> Nets:
    """Export a codec to ONNX with `weights` stored so, and measure it against torch on codes (N, D) and pictures.

    int8 is taken where that is at most 2 levels off, for the decoder alone where the encoder is too far off; "auto" is
    fp16 where neither will do, and "int8" a LatentdialError. Raises NotExportable where a net has no ONNX form.
    """
    traced = trace(codec)
    for encoder_weights, decoder_weights in TRIES[weights]:
        encoder, decoder = _store(codec, traced[0], encoder_weights), _store(codec, traced[1], decoder_weights)
        error = largest_difference(codec, encoder, decoder, codes, pictures)
        if decoder_weights != "int8" or error <= MAX_INT8_ERROR:
            return Nets(encoder, decoder, decoder_weights, encoder_weights, error)
    raise LatentdialError(
        f"with int8 weights {codec.name} is {error:.1f} levels off, over {MAX_INT8_ERROR:g}: use fp16"
    )


def trace(codec: Codec) -> Traced:
    """Encoder and decoder as ONNX models with float32 weights; NotExportable where there is no such form."""
    _need_onnx()
    picture = torch.zeros(2, codec.geometry.size, codec.geometry.size, codec.geometry.channels)
    code = torch.zeros(2, codec.latent)
    return _export(codec, _Encode(codec), picture), _export(codec, _Decode(codec), code)


class _Net(nn.Module):
    """Holds the codec's modules where there are any, so that the exporter finds their parameters."""

    def __init__(self, codec: Codec):
        super().__init__()
        self.modules_of_codec = codec.model
        self.value_range = codec.value_range


class _Encode(_Net):
    def __init__(self, codec: Codec):
        super().__init__(codec)
        self.encode: Callable[[Tensor], Tensor] = codec.encoder

    def forward(self, levels: Tensor) -> Tensor:
        return self.encode(to_float(levels, self.value_range))


class _Decode(_Net):
    def __init__(self, codec: Codec):
        super().__init__(codec)
        self.decode: Callable[[Tensor], Tensor] = codec.decoder

    def forward(self, code: Tensor) -> Tensor:
        return to_levels(self.decode(code), self.value_range)


def _export(codec: Codec, net: _Net, example: Tensor) -> onnx.ModelProto:
    batch = torch.export.Dim("batch", min=1, max=1024)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            program = torch.onnx.export(
                net.eval(),
                (example.to(codec.device),),
                input_names=["input"],
                output_names=["output"],
                dynamic_shapes=({0: batch},),
                dynamo=True,
                verbose=False,
            )
        return _rows_first(program.model_proto)  # type: ignore[union-attr]
    except Exception as error:  # the exporter raises many types, for many reasons that are the net's
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise NotExportable(
            f"{codec.name} cannot be exported to ONNX ({reason.strip()[:160]}): "
            "explore it on the local server, without --out"
        ) from error


def _store(codec: Codec, model: onnx.ModelProto, weights: Weights) -> bytes:
    rounded = round_weights(model, weights)
    if rounded.ByteSize() > MAX_ONNX_BYTES:
        raise NotExportable(f"{codec.name} is larger than 2 GB: explore it on the local server, without --out")
    return rounded.SerializeToString()


def _rows_first(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights of linear layers as (in, out): onnxruntime in a browser multiplies one code by them twice as fast."""
    from onnx import numpy_helper

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    uses = [name for node in model.graph.node for name in node.input]
    for node in model.graph.node:
        flags = [a for a in node.attribute if a.name == "transB" and a.i]
        if node.op_type == "Gemm" and flags and node.input[1] in weights and uses.count(node.input[1]) == 1:
            tensor = weights[node.input[1]]
            turned = np.ascontiguousarray(numpy_helper.to_array(tensor).T)
            tensor.CopyFrom(numpy_helper.from_array(turned, tensor.name))
            flags[0].i = 0
    del model.graph.value_info[:]  # it tells the old shapes
    return model


def round_weights(original: onnx.ModelProto, weights: Weights) -> onnx.ModelProto:
    """A copy that stores large weights in fewer bytes; nodes behind each give them back as float32."""
    import onnx
    from onnx import TensorProto, numpy_helper

    model = onnx.ModelProto()
    model.CopyFrom(original)
    nodes = []
    for tensor in list(model.graph.initializer):
        values = numpy_helper.to_array(tensor)
        if weights == "float32" or tensor.data_type != TensorProto.FLOAT or values.size < SMALL:
            continue
        store = _as_int8 if weights == "int8" and values.size % BLOCK == 0 else _as_fp16
        if store is _as_fp16 and np.abs(values).max() > np.finfo(np.float16).max:
            continue
        arrays, behind = store(tensor.name, values)
        first, *others = (numpy_helper.from_array(array, name) for name, array in arrays.items())
        tensor.CopyFrom(first)
        model.graph.initializer.extend(others)
        nodes += behind
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    return model


def _as_fp16(name: str, values: np.ndarray) -> tuple[dict[str, np.ndarray], list[onnx.NodeProto]]:
    from onnx import TensorProto, helper

    stored = f"{name}.stored"
    return {stored: values.astype(np.float16)}, [helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT)]


def _as_int8(name: str, values: np.ndarray) -> tuple[dict[str, np.ndarray], list[onnx.NodeProto]]:
    """Blocks of neighbours share a scale: a scale for each output of a layer is two to three times less exact."""
    from onnx import helper

    blocks = values.reshape(-1, BLOCK)
    scale = np.maximum(np.abs(blocks).max(1) / 127, 1e-30).astype(np.float32)
    stored = {
        f"{name}.stored": (blocks / scale[:, None]).round().astype(np.int8),
        f"{name}.scale": scale,
        f"{name}.shape": np.array(values.shape, np.int64),
    }
    whole, scales, shape = stored
    return stored, [
        helper.make_node("DequantizeLinear", [whole, scales], [f"{name}.blocks"], axis=0),
        helper.make_node("Reshape", [f"{name}.blocks", shape], [name]),
    ]


def largest_difference(codec: Codec, encoder: bytes, decoder: bytes, codes: np.ndarray, pictures: np.ndarray) -> float:
    """Between stored nets in onnxruntime and the codec in torch, in levels of 255: over decoded codes (N, D), and
    over the reconstructions of pictures (N, H, W, C)."""
    try:
        decoded = run_net(decoder, codes)
        reconstructed = run_net(decoder, run_net(encoder, pictures))
    except Exception as error:
        raise NotExportable(
            f"{codec.name} only takes batches of one size: explore it on the local server, without --out"
        ) from error
    differences = decoded - codec.levels(codes), reconstructed - codec.levels(codec.encode(pictures))
    return float(max(np.abs(difference).max() for difference in differences))


def run_net(net: bytes, values: np.ndarray) -> np.ndarray:
    """What onnxruntime makes of float32 `values`, with the settings of the page."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(net, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": values.astype(np.float32)})[0]


def _need_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise LatentdialError(f"the explorer needs {error.name}: pip install 'latentdial[explorer]'") from None
