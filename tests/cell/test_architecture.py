"""Weight counts equal the paper's for every network of its summary, and those of the arrays."""

from __future__ import annotations

import functools
import math

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


# One for each type of field; tests/test_arguments.py has more.
BAD_FIELDS = {
    "num_inputs must be an integer of at least 1, got 0": {"num_inputs": 0},
    "num_hidden must be an integer of at least 0, got 2.0": {"num_hidden": 2.0},
    r"blocks must be a non-empty tuple of cells per block, got \(\)": {"blocks": ()},
    "each of blocks must be an integer of at least 1, got 0": {"blocks": (2, 0)},
    r"input_gates must be one of \(True, False\), got 1.0": {"input_gates": 1.0},
    r"recurrent must be one of \('all', 'cells', 'none'\), got 2": {"recurrent": 2},
    r"biases must be one of \('none', .* got 'some'": {"biases": "some"},
    r"biases must be one of \('input_gate', .*, 'output'\), got 'cells'": {"biases": ("cells",)},
    "initial_activation must be a finite number .* got inf": {"initial_activation": math.inf},
    r"cell_input must be one of \('logistic', .* got 'relu'": {"cell_input": "relu"},
}


@pytest.mark.parametrize("message", BAD_FIELDS)
def test_bad_fields_are_named(message: str):
    fields: dict = {"num_inputs": 2, "blocks": (2, 2), "num_outputs": 1}
    with pytest.raises(ValueError, match=f"^{message}$"):
        Architecture(**(fields | BAD_FIELDS[message]))
