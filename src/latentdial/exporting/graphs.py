"""A codec's encoder and decoder as two ONNX graphs, and how far they are from torch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from latentdial.errors import LatentdialError, needs
from latentdial.latent.codec import Codec
from latentdial.pixels import to_float, to_levels

if TYPE_CHECKING:
    import onnx

MAX_ONNX_BYTES = 2_000_000_000
ELSEWHERE = "explore it on the local server, without --out, or use latentdial export --format safetensors"

Traced = tuple["onnx.ModelProto", "onnx.ModelProto"]


class NotExportable(LatentdialError):
    """A net that has no ONNX form; the explorer can still decode on the local server."""


def trace(codec: Codec) -> Traced:
    """Encoder and decoder as ONNX models with float32 weights; NotExportable where there is no such form."""
    _need_onnx()
    from onnx.utils import Extractor

    picture = torch.zeros(2, codec.geometry.size, codec.geometry.size, codec.geometry.channels, device=codec.device)
    code = torch.zeros(2, codec.latent, device=codec.device)
    pictures, codes = (torch.export.Dim(name, min=1, max=1024) for name in ("pictures", "codes"))
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            program = torch.onnx.export(
                _Pair(codec).eval(),
                (picture, code),
                input_names=["picture", "code"],
                output_names=["encoded", "decoded"],
                dynamic_shapes=({0: pictures}, {0: codes}),
                dynamo=True,
                verbose=False,
            )
        both = Extractor(_rows_first(program.model_proto))  # type: ignore[union-attr]
        encoder, decoder = both.extract_model(["picture"], ["encoded"]), both.extract_model(["code"], ["decoded"])
        return _bare(_without_unused(encoder)), _bare(decoder)
    except Exception as error:  # the exporter raises many types, for many reasons that are the net's
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise NotExportable(f"{codec.name} cannot be exported to ONNX ({reason.strip()[:160]}): {ELSEWHERE}") from error


class _Pair(nn.Module):
    """Both nets in one module: the exporter's own start takes longer than the nets, so it is paid once."""

    def __init__(self, codec: Codec):
        super().__init__()
        self.modules_of_codec = codec.model  # so that the exporter finds the parameters
        self.value_range = codec.value_range
        self.encode: Callable[[Tensor], Tensor] = codec.encoder
        self.decode: Callable[[Tensor], Tensor] = codec.decoder

    def forward(self, levels: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        return self.encode(to_float(levels, self.value_range)), to_levels(self.decode(code), self.value_range)


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
    return model


def _without_unused(model: onnx.ModelProto) -> onnx.ModelProto:
    """Linear layers without the equal parts that are split off and never read: the variances of a VAE's encoder."""
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    read = [name for node in model.graph.node for name in node.input] + [model.graph.output[0].name]
    layers = {node.output[0]: node for node in model.graph.node if node.op_type == "Gemm"}
    for split in [node for node in model.graph.node if node.op_type == "Split" and node.input[0] in layers]:
        layer, used = layers[split.input[0]], [i for i, name in enumerate(split.output) if name in read]
        flags = {a.name: a.i for a in (*layer.attribute, *split.attribute)}
        own = all(name in tensors and read.count(name) == 1 for name in layer.input[1:])
        equal = flags.get("axis") in (1, -1) and "num_outputs" in flags and not flags.get("transB")
        if not own or not equal or len(used) != 1 or read.count(layer.output[0]) != 1:
            continue
        for name in layer.input[1:]:
            part = np.split(numpy_helper.to_array(tensors[name]), flags["num_outputs"], axis=-1)[used[0]]
            tensors[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(part), name))
        layer.output[0] = split.output[used[0]]
        model.graph.node.remove(split)
    return model


def _bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without shapes of inner values, which are out of date, and without notes, which tell paths of this computer."""
    del model.graph.value_info[:]
    for part in (
        model,
        model.graph,
        *model.graph.node,
        *model.graph.initializer,
        *model.graph.input,
        *model.graph.output,
    ):
        del part.metadata_props[:]
        part.doc_string = ""
    return model


def largest_difference(codec: Codec, encoder: bytes, decoder: bytes, codes: np.ndarray, pictures: np.ndarray) -> float:
    """Between stored nets in onnxruntime and the codec in torch, in levels of 255: over decoded codes (N, D), and
    over the reconstructions of pictures (N, H, W, C)."""
    try:
        decoded = run_net(decoder, codes)
        reconstructed = run_net(decoder, run_net(encoder, pictures))
    except Exception as error:
        raise NotExportable(f"{codec.name} only takes batches of one size: {ELSEWHERE}") from error
    differences = decoded - codec.levels(codes), reconstructed - codec.levels(codec.encode(pictures))
    return float(max(np.abs(difference).max() for difference in differences))


def difference_of_codes(codec: Codec, encoder: bytes, pictures: np.ndarray) -> float:
    """Between codes of pictures (N, H, W, C) in onnxruntime and in torch, in sd of the training codes, at most."""
    _, sd = codec.moments
    return float((np.abs(run_net(encoder, pictures) - codec.encode(pictures)) / np.maximum(sd, 1e-6)).max())


def run_net(net: bytes, values: np.ndarray) -> np.ndarray:
    """What onnxruntime makes of float32 `values`, with the settings of the page."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(net, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: values.astype(np.float32)})[0]


def _need_onnx() -> None:
    with needs("explorer", "ONNX"):
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
