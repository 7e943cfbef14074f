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

Weights = Literal["fp16", "int8", "float32"]

MAX_INT8_ERROR = 2.0  # levels of 255
SMALL = 1024  # tensors with fewer values stay float32
MAX_ONNX_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Nets:
    """Encoder (B, H, W, C) levels -> (B, D) and decoder (B, D) -> (B, H, W, C) levels, as ONNX with stored `weights`.

    `error` is the largest difference from torch over decoded real codes, in levels of 255.
    """

    encoder: bytes
    decoder: bytes
    weights: Weights
    error: float


class NotExportable(LatentdialError):
    """A net that has no ONNX form; the page can still decode on the local server."""


def export_nets(codec: Codec, codes: np.ndarray, weights: Weights = "fp16") -> Nets:
    """Export a codec to ONNX with `weights` stored so, and measure the decoder against torch on `codes` (N, D).

    Raises NotExportable where a net has no ONNX form, and LatentdialError where int8 is more than 2 levels off.
    """
    encoder, decoder = (_store(codec, net, weights) for net in trace(codec))
    error = largest_difference(decoder, codec, codes)
    if weights == "int8" and not error <= MAX_INT8_ERROR:
        raise LatentdialError(
            f"with int8 weights {codec.name} is {error:.1f} levels off, more than {MAX_INT8_ERROR:g}: use fp16"
        )
    return Nets(encoder, decoder, weights, error)


def trace(codec: Codec) -> tuple[onnx.ModelProto, onnx.ModelProto]:
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
        return program.model_proto  # type: ignore[union-attr]
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


def round_weights(original: onnx.ModelProto, weights: Weights) -> onnx.ModelProto:
    """A copy that stores large weights in fewer bytes; a node behind each gives them back as float32."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.ModelProto()
    model.CopyFrom(original)
    graph, nodes = model.graph, []
    axes = _output_axes(graph)
    for index, tensor in enumerate(list(graph.initializer)):
        values = numpy_helper.to_array(tensor)
        if weights == "float32" or tensor.data_type != TensorProto.FLOAT or values.size < SMALL:
            continue
        name, stored = tensor.name, f"{tensor.name}.stored"
        if weights == "fp16":
            if np.abs(values).max() > np.finfo(np.float16).max:
                continue
            graph.initializer[index].CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
            nodes.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
            continue
        axis = axes.get(name, 0)
        others = tuple(i for i in range(values.ndim) if i != axis)
        scale = np.maximum(np.abs(values).max(axis=others, keepdims=True) / 127, 1e-30).astype(np.float32)
        graph.initializer[index].CopyFrom(numpy_helper.from_array((values / scale).round().astype(np.int8), stored))
        graph.initializer.append(numpy_helper.from_array(scale.ravel(), f"{name}.scale"))
        nodes.append(helper.make_node("DequantizeLinear", [stored, f"{name}.scale"], [name], axis=axis))
    for node in reversed(nodes):
        graph.node.insert(0, node)
    return model


def _output_axes(graph: onnx.GraphProto) -> dict[str, int]:
    """The axis of each weight that counts its output channels: int8 has one scale for each."""
    axes = {}
    for node in graph.node:
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        if node.op_type == "ConvTranspose" or node.op_type == "MatMul" or (node.op_type == "Gemm" and not transposed):
            axes[node.input[1]] = 1
    return axes


def largest_difference(decoder: bytes, codec: Codec, codes: np.ndarray) -> float:
    """Between a stored decoder in onnxruntime and the codec in torch, over codes (N, D), in levels of 255."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(decoder, options, providers=["CPUExecutionProvider"])
    try:
        (decoded,) = session.run(None, {"input": codes.astype(np.float32)})
    except Exception as error:
        raise NotExportable(
            f"{codec.name} only takes batches of one size: explore it on the local server, without --out"
        ) from error
    return float(np.abs(decoded - codec.levels(codes)).max())


def _need_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise LatentdialError(f"the explorer needs {error.name}: pip install 'latentdial[explorer]'") from None
