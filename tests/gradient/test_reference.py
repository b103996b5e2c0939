"""The readable reference computes what the library computes, in outputs and gradient."""

from __future__ import annotations

import dataclasses

import hypothesis
import jax
import jax.numpy as jnp
import pytest
from helpers import EVERYTHING, architectures, assert_close, make_problem, quick_jit
from hypothesis import strategies as st

import lstm_jax
from lstm_jax.cell.architecture import Architecture
from lstm_jax.gradient import reference

pytestmark = pytest.mark.usefixtures("float64")


@hypothesis.given(architecture=architectures(), seed=st.integers(0, 999))
@hypothesis.settings(max_examples=12)
@hypothesis.example(EVERYTHING, 0)
def test_outputs_and_gradient_equal_the_librarys(architecture: Architecture, seed: int):
    net = dataclasses.replace(architecture, forget_gates=False, peepholes=False)
    problem = make_problem(net, steps=6, seed=seed)

    def value_and_gradient(apply):
        def loss(parameters, inputs):
            outputs = apply(net, parameters, inputs)
            return 0.5 * jnp.sum((problem.targets - outputs) ** 2), outputs

        of = quick_jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
        return of(problem.parameters, problem.inputs)

    library = value_and_gradient(lambda *arguments: lstm_jax.apply(*arguments)[0])
    assert_close(value_and_gradient(reference.apply), library, 1e-10)


@pytest.mark.parametrize("later", ["forget_gates", "peepholes"])
def test_later_units_are_refused(later: str):
    net = dataclasses.replace(EVERYTHING, **{later: True})
    problem = make_problem(net, steps=2)
    with pytest.raises(ValueError, match="no forget gates and no peepholes"):
        reference.apply(net, problem.parameters, problem.inputs)
