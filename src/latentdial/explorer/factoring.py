"""Layers of an ONNX model whose weights have few independent directions, as two thin ones: fewer bytes, and faster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

LEAST, MOST = 256, 4096  # of the smaller side of a layer, whose cube is the work
NOTHING = 1e-5  # of the largest singular value, below which there is only rounding
WORTH = 0.75  # of the layer's values that both thin ones may have
STRONG = 64  # directions that are kept apart, as most of the output lies along them: they can have more digits


def factor_layers(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same net, in which x W is (x A) B where A and B have fewer values than W.

    Nets of principal components have such layers (`training.subspace`), and what is small in them can be rounded to
    int8, as A and B are ordered by strength. Changes the model in place.
    """
    from onnx import numpy_helper

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    uses = [name for node in model.graph.node for name in node.input]
    for node in list(model.graph.node):
        turned = any(a.name in ("transA", "transB") and a.i for a in node.attribute)
        if node.op_type != "Gemm" or turned or node.input[1] not in weights or uses.count(node.input[1]) > 1:
            continue
        tensor = weights[node.input[1]]
        thin = _thin(numpy_helper.to_array(tensor)) if LEAST <= min(tensor.dims) <= MOST else None
        if thin is not None:
            model.graph.initializer.remove(tensor)
            _put(model, node, *thin)
    return model


def _thin(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """A (I, R) and B (R, O) with A B = W (I, O), by strength of their parts; None where they are not worth it."""
    rows = len(weight) <= weight.shape[1]
    wide = (weight if rows else weight.T).astype(np.float64)
    squares, vectors = np.linalg.eigh(wide @ wide.T)
    rank = int((squares > NOTHING**2 * squares[-1]).sum())
    if rank <= STRONG or rank * sum(weight.shape) > WORTH * weight.size:
        return None
    ordered = vectors[:, ::-1][:, :rank]
    other = ordered.T @ wide
    first, second = (ordered, other) if rows else (other.T, ordered.T)
    return first.astype(np.float32), second.astype(np.float32)


def _put(model: onnx.ModelProto, node: onnx.NodeProto, first: np.ndarray, second: np.ndarray) -> None:
    """Both factors, each in a strong and a weak part, in the place of the weight of this linear layer."""
    from onnx import helper, numpy_helper

    name, made = node.input[1], []
    for side, values, axis in (("first", first, 1), ("second", second, 0)):
        parts = [f"{name}.{side}.{part}" for part in ("strong", "weak")]
        split = np.split(values, [STRONG], axis)
        model.graph.initializer.extend(
            numpy_helper.from_array(np.ascontiguousarray(part), one) for part, one in zip(split, parts, strict=True)
        )
        made.append(helper.make_node("Concat", parts, [f"{name}.{side}"], axis=axis))
    made.append(helper.make_node("MatMul", [node.input[0], f"{name}.first"], [f"{name}.between"]))
    node.input[0], node.input[1] = f"{name}.between", f"{name}.second"
    place = list(model.graph.node).index(node)
    for one in reversed(made):
        model.graph.node.insert(place, one)
