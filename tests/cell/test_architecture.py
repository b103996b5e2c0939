"""Weight counts equal the paper's for every network of its summary, and those of the arrays."""

from __future__ import annotations

import functools
import math
from typing import Any

import hypothesis
import jax
import numpy as np
import pytest
from helpers import architectures

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import initialise, parameter_shapes

REBER = {"num_inputs": 7, "num_outputs": 7, "biases": "gates"}
NOISE_FREE = {"output_gates": False, "recurrent": False, "biases": "none"}
NOISE_FREE |= {"cell_input": "logistic", "cell_output": "identity"}


def long_lag(p: int) -> Architecture:
    return Architecture(num_inputs=p + 4, blocks=(1, 1), num_outputs=2, biases="none")


# The paper's summary of the experiments: the rows of tasks 1, 2a/2b, 2c, 3, 4/5, 6a, 6b.
PAPER = [
    (264, Architecture(blocks=(1, 1, 1, 1), **REBER)),
    (276, Architecture(blocks=(2, 2, 2), **REBER)),
    (10504, Architecture(101, (1,), 101, input_to_output=True, **NOISE_FREE)),
    (364, long_lag(50)),
    (664, long_lag(100)),
    (1264, long_lag(200)),
    (3064, long_lag(500)),
    (6064, long_lag(1000)),
    (102, Architecture(num_inputs=1, blocks=(1, 1, 1), num_outputs=1, biases="hidden")),
    (93, Architecture(num_inputs=2, blocks=(2, 2), num_outputs=1)),
    (156, Architecture(num_inputs=8, blocks=(2, 2), num_outputs=4)),
    (308, Architecture(num_inputs=8, blocks=(2, 2, 2), num_outputs=8)),
]


@pytest.mark.parametrize("weights, architecture", PAPER)
def test_count_equals_the_papers(weights: int, architecture: Architecture):
    assert architecture.num_weights == weights
    draw = functools.partial(initialise, architecture=architecture)
    leaves = jax.tree.leaves(jax.eval_shape(draw, jax.random.key(0)))
    assert sum(leaf.size for leaf in leaves) == weights


@hypothesis.given(architecture=architectures())
@hypothesis.settings(max_examples=300)
def test_count_equals_the_parameters(architecture: Architecture):
    shapes = parameter_shapes(architecture)
    leaves = jax.tree.leaves(shapes, is_leaf=lambda node: type(node) is tuple and node != ())
    assert sum(int(np.prod(shape)) for shape in leaves) == architecture.num_weights
    assert sum(architecture.sizes) == architecture.num_units


@hypothesis.given(architecture=architectures())
@hypothesis.settings(max_examples=100)
def test_equal_architectures_are_one_static_argument(architecture: Architecture):
    fields = vars(architecture) | {"blocks": list(architecture.blocks)}
    again = Architecture(**fields)
    assert again == architecture
    assert hash(again) == hash(architecture)
    assert Architecture(**(fields | {"num_inputs": architecture.num_inputs + 1})) != architecture


BAD_FIELDS = [
    ("num_inputs", 0, "at least 1"),
    ("num_inputs", 2.0, "integer"),
    ("num_inputs", True, "integer"),
    ("num_outputs", -3, "at least 1"),
    ("num_hidden", -1, "at least 0"),
    ("blocks", (), "non-empty"),
    ("blocks", 2, "non-empty tuple"),
    ("blocks", "2", "non-empty tuple"),
    ("blocks", (2, 0), "at least 1"),
    ("blocks", (1.5,), "integer"),
    ("input_gates", None, "True, False"),
    ("output_gates", "yes", "True, False"),
    ("input_gates", 1.0, "True, False"),
    ("forget_gates", 1, "True, False"),
    ("peepholes", None, "True, False"),
    ("recurrent", 2, "'all', 'cells', 'none'"),
    ("input_to_output", "no", "True, False"),
    ("biases", "some", "'none', 'gates', 'hidden', 'all'"),
    ("biases", ("cells",), "'input_gate', .*'output'"),
    ("initial_activation", math.inf, "finite"),
    ("cell_input", "relu", "'logistic', .*'identity'"),
    ("cell_output", "sigmoid", "'logistic', .*'identity'"),
    ("output", "softmax", "'logistic', .*'identity'"),
]


@pytest.mark.parametrize("field, value, allowed", BAD_FIELDS)
def test_bad_fields_are_named(field: str, value: Any, allowed: str):
    fields = {"num_inputs": 2, "blocks": (2, 2), "num_outputs": 1} | {field: value}
    displayed = value[-1] if value in ((2, 0), (1.5,), ("cells",)) else value
    with pytest.raises(
        ValueError, match=rf"(?s)^(each of )?{field} must .*{allowed}.*got .*{displayed!r}"
    ):
        Architecture(**fields)
