"""Weights of an ONNX model stored in fewer bytes; nodes behind each give them back as float32."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

SMALL = 1024  # tensors with fewer values stay float32
BLOCK = 64  # int8 weights that share a scale
CHOICES = {"ArgMin", "Round"}  # of the nearest word, of the nearest level


def large_weights(model: onnx.ModelProto) -> dict[str, int]:
    """The number of values of every weight that can be stored in fewer bytes, by name.

    Not those that a choice of words depends on: where two words are nearly as near, another one would be said.
    """
    from onnx import TensorProto

    sizes = {one.name: int(np.prod(one.dims)) for one in model.graph.initializer if one.data_type == TensorProto.FLOAT}
    exact = _before_choices(model)
    return {name: size for name, size in sizes.items() if size >= SMALL and name not in exact}


def _before_choices(model: onnx.ModelProto) -> set[str]:
    """All values of the graph that the choice of a word depends on."""
    found = set[str]()
    for node in reversed(model.graph.node):  # which stand in the order of their work
        if node.op_type in CHOICES or found.intersection(node.output):
            found.update(node.input)
    return found


def round_weights(original: onnx.ModelProto, weights: str, fp16: Collection[str] = ()) -> onnx.ModelProto:
    """A copy with large weights stored as `weights` ("float32", "fp16" or "int8"), those named in `fp16` as fp16."""
    import onnx
    from onnx import numpy_helper

    model = onnx.ModelProto()
    model.CopyFrom(original)
    large, nodes = large_weights(model), []
    for tensor in list(model.graph.initializer):
        if weights == "float32" or tensor.name not in large:
            continue
        values = numpy_helper.to_array(tensor)
        int8 = weights == "int8" and tensor.name not in fp16 and values.size % BLOCK == 0
        store = _as_int8 if int8 else _as_fp16
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
