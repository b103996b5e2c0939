"""Random networks and sequences, and their conversion for the NumPy oracle."""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal, NamedTuple

import jax
import numpy as np
import oracle
from hypothesis import strategies as st

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import parameter_shapes
from lstm_jax.cell.records import OutputWeights, Parameters, State, UnitWeights
from lstm_jax.cell.step import zero_state
from lstm_jax.cell.units import Layer

# Compiles in half the time of `jax.jit`; for tests of many networks, on few steps of each.
quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

Errors = Literal["every", "some", "end"]
Padding = Literal["none", "length", "mask"]

# A network with everything of 1997: unequal blocks, conventional hidden units, a direct path.
EVERYTHING = Architecture(
    num_inputs=3, blocks=(2, 1), num_outputs=2, num_hidden=2, input_to_output=True
)
# The same with everything that came later.
DESCENDANT = dataclasses.replace(
    EVERYTHING, forget_gates=True, peepholes=True, initial_activation=0.5
)


class Problem(NamedTuple):
    """A network, a sequence and its targets, in double precision."""

    architecture: Architecture
    parameters: Parameters
    inputs: np.ndarray  # [T, I] floating, or [T] integer
    targets: np.ndarray  # [T, K]
    weights: np.ndarray  # [T], how much the error of each step counts
    mask: np.ndarray | None  # [T] bool
    initial_state: State | None


def architectures() -> st.SearchStrategy[Architecture]:
    """Return small networks with every option of the oracle."""
    activation = st.sampled_from(sorted(oracle.FUNCTIONS))
    return st.builds(
        Architecture,
        num_inputs=st.integers(1, 3),
        blocks=st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple),
        num_outputs=st.integers(1, 3),
        num_hidden=st.integers(0, 3),
        input_gates=st.booleans(),
        output_gates=st.booleans(),
        recurrent=st.sampled_from(["all", "cells", "none"]),
        input_to_output=st.booleans(),
        biases=st.sampled_from(["none", "gates", "hidden", "all", ("forget_gate", "output")]),
        cell_input=activation,
        cell_output=activation,
        forget_gates=st.booleans(),
        peepholes=st.booleans(),
        initial_activation=st.sampled_from([0.0, 0.5]),
        output=st.sampled_from(["logistic", "identity"]),
    )


@st.composite
def problems(
    draw: st.DrawFn, paddings: tuple[Padding, ...] = ("none", "length", "mask")
) -> Problem:
    """Draw problems on small networks, with every type of input, padding and initial state."""
    return make_problem(
        draw(architectures()),
        steps=draw(st.integers(1, 7)),
        seed=draw(st.integers(0, 999)),
        symbols=draw(st.booleans()),
        padding=draw(st.sampled_from(paddings)),
        initial=draw(st.booleans()),
    )


def make_problem(
    architecture: Architecture,
    steps: int,
    seed: int = 0,
    *,
    symbols: bool = False,
    padding: Padding = "none",
    initial: bool = False,
    errors: Errors = "every",
) -> Problem:
    """Draw a problem whose units are far from linear: weights up to 1 in size."""
    rng = np.random.default_rng(seed)
    if symbols:
        inputs = rng.integers(0, architecture.num_inputs, steps)
    else:
        inputs = rng.normal(size=(steps, architecture.num_inputs))
    mask = None
    if padding == "length":
        mask = np.arange(steps) < rng.integers(0, steps + 1)
    elif padding == "mask":
        mask = rng.random(steps) < 0.6
    problem = Problem(
        architecture,
        random_parameters(architecture, seed),
        inputs,
        targets=rng.random((steps, architecture.num_outputs)),
        weights=np.ones(steps),
        mask=mask,
        initial_state=random_state(architecture, seed) if initial else None,
    )
    return with_errors(problem, errors)


def random_parameters(architecture: Architecture, seed: int = 0) -> Parameters:
    """Draw weights uniform in [-1, 1] with NumPy, which compiles nothing for a new shape."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda shape: rng.uniform(-1, 1, shape),
        parameter_shapes(architecture),
        is_leaf=lambda node: type(node) is tuple,
    )


def random_state(architecture: Architecture, seed: int = 0) -> State:
    """Draw a state, which the network may be unable to reach."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: zero_state(architecture))
    return jax.tree.map(lambda x: rng.uniform(0, 1, x.shape), shapes)


def with_errors(problem: Problem, errors: Errors) -> Problem:
    """Return the problem with errors at every step, at some with weights, or at the last one."""
    steps = len(problem.targets)
    real = np.ones(steps, bool) if problem.mask is None else problem.mask
    weights = np.ones(steps)
    if errors == "some":
        weights = np.random.default_rng(steps).choice([0.0, 0.0, 1.0, 0.3], steps)
    elif errors == "end":
        weights = np.arange(steps) == np.flatnonzero(real).max(initial=-1)
    return problem._replace(weights=weights.astype(np.float64))


def oracle_arguments(problem: Problem) -> tuple[oracle.Net, oracle.Weights, oracle.Sequence]:
    """Return the arguments of the oracle's gradients."""
    inputs = problem.inputs
    if inputs.ndim == 1:
        inputs = np.eye(problem.architecture.num_inputs)[inputs]
    initial = problem.initial_state and problem.initial_state._asdict()
    net, weights = to_oracle(problem.architecture, problem.parameters)
    data = inputs, problem.targets, problem.weights, initial, problem.mask
    return net, weights, oracle.Sequence(*data)


def to_oracle(
    architecture: Architecture, parameters: Parameters
) -> tuple[oracle.Net, oracle.Weights]:
    """Convert a network for the oracle."""
    net = oracle.Net(
        **{field: getattr(architecture, field) for field in oracle.Net.__dataclass_fields__}
    )
    layer = parameters.layer._asdict()
    weights = {name: None if group is None else group._asdict() for name, group in layer.items()}
    return net, weights | {"output": parameters.output._asdict()}


def from_oracle(weights: oracle.Weights) -> Parameters:
    """Convert the oracle's weights or gradients to parameters."""
    layer = (weights[name] for name in Layer._fields)
    return Parameters(
        Layer(*(None if group is None else UnitWeights(**group) for group in layer)),
        OutputWeights(**weights["output"]),
    )


def assert_close(actual, expected, tolerance: float = 1e-10) -> None:
    """Assert that no entry of an array is off by more than `tolerance` of its array's largest."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    expected = jax.tree.leaves(expected)
    for (path, x), y in zip(jax.tree_util.tree_leaves_with_path(actual), expected, strict=True):
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        name = jax.tree_util.keystr(path)
        assert x.shape == y.shape, name
        off = np.abs(x - y).max(initial=0)
        assert off <= tolerance * np.abs(y).max(initial=0), f"{name} is off by {off}: {x} != {y}"


def assert_equal(actual, expected) -> None:
    """Assert equality to the last bit."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, actual, expected)
