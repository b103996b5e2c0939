"""The kernel of a layer's loop gives the scan's results and gradients, for every type of unit."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DESCENDANT, EVERYTHING, Problem, assert_close, make_problem, quick_jit

from lstm_jax.cell import kernel
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.scan import Steps
from lstm_jax.network.interop import modern
from lstm_jax.network.layer import apply, unroll
from lstm_jax.network.losses import half_squared_error
from lstm_jax.network.run import RunOptions, check_run, unroll_layer

pytestmark = pytest.mark.usefixtures("float64")

UNGATED = Architecture(
    2, (1, 1), 1, num_hidden=1, input_gates=False, output_gates=False, cell_input="tanh"
)
# Blocks of three and four cells: padding lies between the cells, and after them.
NETWORKS = {
    "everything": EVERYTHING,
    "descendant": dataclasses.replace(DESCENDANT, blocks=(3, 4), cell_output="identity"),
    "modern": dataclasses.replace(modern(3, 20), num_outputs=1),
    "ungated": UNGATED,
    "peepholes alone": dataclasses.replace(DESCENDANT, recurrent="none", biases="none"),
}
RESET = np.array([False, False, True, False, True])


def several(architecture: Architecture, number: int, **options) -> Problem:
    """Return a batch of problems, [B, ...], without their architecture."""
    made = [make_problem(architecture, 5, seed, initial=True, **options) for seed in range(number)]
    made = [problem._replace(architecture=None) for problem in made]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *made)


def assert_loops_agree(run: Callable[[RunOptions], object], tolerance: float = 1e-12) -> None:
    """Assert that a function of the options has the same results by the kernel and by the scan."""
    by_kernel = run(RunOptions(loop="interpreted_kernel"))
    assert_close(by_kernel, run(RunOptions(loop="scan")), tolerance)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_kernel_equals_the_scan(name: str):
    net, problems = NETWORKS[name], several(NETWORKS[name], 17)  # more than a program takes
    parameters = make_problem(net, 5).parameters

    def run(options: RunOptions):
        one = lambda x, state: unroll(net, parameters, x, initial_state=state, options=options)
        return quick_jit(jax.vmap(one))(problems.inputs, problems.initial_state)

    assert_loops_agree(run)


def test_networks_with_weights_of_their_own_are_those_of_the_scan():
    problems = several(EVERYTHING, 2, symbols=True)

    def run(options: RunOptions):
        one = lambda problem: unroll(
            EVERYTHING, problem.parameters, problem.inputs, options=options
        )
        return quick_jit(jax.vmap(one))(problems)

    assert_loops_agree(run)


def test_gradients_with_padding_and_resets_are_those_of_the_scan():
    problems = several(DESCENDANT, 2, padding="mask")

    def run(options: RunOptions):
        def loss(parameters, states, inputs):
            def one(state, x, mask):
                given = {"initial_state": state, "steps": Steps(mask=mask, reset=RESET)}
                return apply(DESCENDANT, parameters, x, options=options, **given)

            outputs, final = jax.vmap(one)(states, inputs, problems.mask)
            return half_squared_error(outputs, problems.targets), (outputs, final)

        gradient = jax.grad(loss, argnums=(0, 1, 2), has_aux=True)
        parameters = make_problem(DESCENDANT, 5).parameters
        return quick_jit(gradient)(parameters, problems.initial_state, problems.inputs)

    assert_loops_agree(run)


@pytest.mark.parametrize("num_steps", [5, 0])
def test_single_precision_is_equal_to_rounding(num_steps: int):
    problem = jax.tree.map(
        np.float32, make_problem(DESCENDANT, num_steps)._replace(architecture=None)
    )
    steps = Steps(length=3) if num_steps else Steps()

    def run(options: RunOptions):
        run = lambda *given: apply(DESCENDANT, *given, at="end", steps=steps, options=options)
        return quick_jit(run)(problem.parameters, problem.inputs)

    assert_loops_agree(run, 1e-6)


@pytest.mark.parametrize("name", ["descendant", "modern", "peepholes alone"])
def test_a_gradient_is_translated_for_a_gpu_with_one_launch(name: str):
    net = NETWORKS[name]
    with jax.enable_x64(False):
        problem = jax.tree.map(np.float32, make_problem(net, 5)._replace(architecture=None))
        steps = Steps(mask=np.ones(5, bool), reset=RESET)
        sequence = check_run(net, problem.parameters, problem.inputs, steps)
        sequences = jax.tree.map(lambda x: jnp.stack([x] * 17), sequence)
        run = functools.partial(unroll_layer, net, RunOptions(loop="kernel"))
        loss = lambda parameters: jax.vmap(run, (None, 0))(parameters, sequences)[
            0
        ].cell_output.sum()
        traced = jax.jit(jax.grad(loss)).trace(problem.parameters)
        text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert text.count("@__gpu$xla.gpu.triton") == 1 and "grid_x = 2 : i32" in text


def test_what_a_kernel_cannot_run_is_refused(monkeypatch: pytest.MonkeyPatch):
    problem = make_problem(EVERYTHING, 5)

    def refused(match: str, loop: str, parameters=problem.parameters, net=EVERYTHING) -> None:
        with pytest.raises(ValueError, match=match):
            unroll(net, parameters, problem.inputs, options=RunOptions(loop=loop))

    refused("loop must be 'scan' or 'interpreted_kernel' on a cpu, got 'kernel'", "kernel")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    refused("dtype of parameters must be float32 in a kernel, got", "kernel")
    large = dataclasses.replace(modern(3, 128), num_outputs=1)
    weights = make_problem(large, 5).parameters
    refused(
        "architecture must be small enough for 147456 bytes", "interpreted_kernel", weights, large
    )
    lanes, inputs = jax.tree.map(lambda x: x[..., None], (problem.parameters, problem.inputs))
    with pytest.raises(ValueError, match="loop must be 'scan' for parameters with lanes"):
        unroll(EVERYTHING, lanes, inputs, options=RunOptions(loop="interpreted_kernel"))
    for gradient in ("full", "truncated_autodiff"):
        with pytest.raises(ValueError, match="gradient must be 'truncated' with loop='kernel'"):
            RunOptions(gradient=gradient, loop="kernel")


def test_a_padded_layer_has_sizes_of_products():
    wide = kernel.pad_architecture(dataclasses.replace(EVERYTHING, blocks=(3,) * 17))
    assert wide.blocks == (4,) * 32 and wide.num_hidden == 16
    single = Architecture(3, (1,) * 64, 1)
    assert kernel.pad_architecture(single) == single
