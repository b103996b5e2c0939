"""Elman's procedure is a window of one step; a window of all steps is BPTT."""

from __future__ import annotations

import itertools

import baselines_oracle as oracle
import jax
import numpy as np
import pytest
from helpers import assert_close
from recurrent_problems import NETS, STEPS, as_weights, make_recurrent_problem

from lstm_jax.baselines.elman import elman_gradient, windowed_gradient
from lstm_jax.baselines.fully_recurrent import bptt_gradient

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("name", NETS)
def test_elmans_procedure_is_a_window_of_one_step(name: str):
    problem = make_recurrent_problem(NETS[name])
    found, outputs = elman_gradient(*problem)
    expected, expected_outputs = windowed_gradient(*problem, window=1)
    assert_close(found, expected, 1e-13)
    assert_close(outputs[:5], expected_outputs[:5], 1e-14)


@pytest.mark.parametrize("window", [STEPS, STEPS + 3])
@pytest.mark.parametrize("name", NETS)
def test_a_window_of_all_steps_is_bptt(name: str, window: int):
    problem = make_recurrent_problem(NETS[name], symbols=True)
    found = windowed_gradient(*problem, window=window)
    assert_close(found, bptt_gradient(*problem), 1e-13)


@pytest.mark.parametrize("window", [1, 2, 4])
@pytest.mark.parametrize("name", ["simple", "simple, with time constants", "full"])
def test_a_window_takes_what_lies_before_it_as_given(name: str, window: int):
    """The gradient by differences, step by step, from fixed activations before each window."""
    problem = make_recurrent_problem(NETS[name], seed=2)
    found, _ = jax.jit(windowed_gradient, static_argnums=0, static_argnames="window")(
        *problem, window=window
    )
    expected = oracle.windowed_gradient(*problem.for_oracle(), problem.tau(), window)
    assert_close(found, as_weights(expected), 1e-8)


def test_every_further_step_of_a_window_counts():
    problem = make_recurrent_problem(NETS["simple"], seed=4)
    gradients = [windowed_gradient(*problem, window=window)[0].input for window in range(1, STEPS)]
    for shorter, longer in itertools.pairwise(gradients):
        assert np.abs(longer - shorter).max() > 1e-6


def test_an_empty_window_is_refused():
    problem = make_recurrent_problem(NETS["simple"])
    with pytest.raises(ValueError, match="window must be at least 1, got 0"):
        windowed_gradient(*problem, window=0)
