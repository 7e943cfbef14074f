"""Layers of an ONNX net whose weights have few independent directions, as two thin ones."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from latentdial.explorer.factoring import STRONG, factor_layers
from latentdial.explorer.nets import export_nets
from latentdial.explorer.rounding import round_weights
from latentdial.exporting.graphs import run_net

INPUTS, OUTPUTS, RANK = 300, 700, 90


def weight_of(rank: int, inputs: int = INPUTS, outputs: int = OUTPUTS) -> np.ndarray:
    rng = np.random.default_rng(0)
    strengths = 0.9 ** np.arange(rank)
    return ((rng.normal(size=(inputs, rank)) * strengths) @ rng.normal(size=(rank, outputs))).astype(np.float32)


def layer_of(weight: np.ndarray, **flags: int) -> onnx.ModelProto:
    inputs, outputs = weight.shape[:: -1 if flags else 1]
    bias = np.arange(outputs, dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "weight", "bias"], ["y"], **flags)],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", outputs])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def twice(weight: np.ndarray) -> onnx.ModelProto:
    """A net whose two layers share their weight."""
    model = layer_of(weight)
    model.graph.node[0].output[0] = "between"
    model.graph.node.append(helper.make_node("Gemm", ["between", "weight", "bias"], ["y"]))
    return model


def values_of(model: onnx.ModelProto) -> int:
    return sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)


@pytest.mark.parametrize("shape", [(INPUTS, OUTPUTS), (OUTPUTS, INPUTS)])
def test_a_layer_of_few_directions_becomes_two_that_do_the_same(shape):
    weight = weight_of(RANK, *shape)
    x = np.random.default_rng(1).normal(size=(5, shape[0])).astype(np.float32)
    made = factor_layers(layer_of(weight))
    onnx.checker.check_model(made)
    assert values_of(made) == RANK * (INPUTS + OUTPUTS) + shape[1]
    expected = x @ weight + np.arange(shape[1])
    np.testing.assert_allclose(run_net(made.SerializeToString(), x), expected, atol=1e-3)
    rounded = round_weights(made, "fp16").SerializeToString()
    assert 0 < np.abs(run_net(rounded, x) - expected).max() < 0.5


def test_what_comes_first_is_the_strongest():
    made = factor_layers(layer_of(weight_of(RANK)))
    parts = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    lengths = np.linalg.norm(np.concatenate([parts["weight.second.strong"], parts["weight.second.weak"]]), axis=1)
    assert len(parts["weight.second.strong"]) == STRONG
    assert (np.diff(lengths) < 0).all()
    both = np.concatenate([parts["weight.first.strong"], parts["weight.first.weak"]], 1)
    np.testing.assert_allclose(both.T @ both, np.eye(RANK), atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(layer_of(np.eye(INPUTS, OUTPUTS, dtype=np.float32)), id="all directions"),
        pytest.param(layer_of(weight_of(RANK, 100, 200)), id="small"),
        pytest.param(layer_of(weight_of(RANK), transB=1), id="turned"),
        pytest.param(twice(weight_of(RANK, INPUTS, INPUTS)), id="shared"),
    ],
)
def test_other_layers_stay_as_they_are(model):
    before = model.SerializeToString()
    assert factor_layers(model).SerializeToString() == before


def test_a_run_of_components_has_a_smaller_page(tmp_path):
    import latentdial

    options = {"widths": [300], "latent": 8}
    settings = {"size": 16, "steps": 3, "limit": 400, "subspace": 100}
    codec = latentdial.train("fcn-ae", "avatars", tmp_path / "run", options=options, **settings)
    made = export_nets(codec, codec.codes, codec.decode(codec.codes[:9]), "float32")
    assert len(made.decoder) < 4 * 0.6 * 300 * 768
    assert made.error < 0.01
