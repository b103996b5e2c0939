"""The kernel of a layer's loop gives the scan's results and gradients, for every type of unit."""

from __future__ import annotations

import dataclasses
import functools

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


def results(
    architecture: Architecture, at: str, loop: str, steps: Steps, problem: Problem
) -> tuple:
    """Return outputs, final state, and the gradient by parameters, initial state and inputs."""
    is_float = np.issubdtype(problem.inputs.dtype, np.floating)

    def loss(parameters, initial_state, inputs):
        outputs, final = apply(
            architecture,
            parameters,
            problem.inputs if inputs is None else inputs,
            at=at,
            steps=steps,
            initial_state=initial_state,
            options=RunOptions(loop=loop),
        )
        targets = problem.targets[-1] if at == "end" else problem.targets
        return half_squared_error(outputs, targets), (outputs, final)

    inputs = problem.inputs if is_float else None
    gradient = jax.grad(loss, argnums=(0, 1, 2) if is_float else (0, 1), has_aux=True)
    return gradient(problem.parameters, problem.initial_state, inputs)


def several(architecture: Architecture, number: int, **options) -> Problem:
    """Return a batch of problems, [B, ...], without their architecture."""
    made = [make_problem(architecture, 5, seed, initial=True, **options) for seed in range(number)]
    made = [problem._replace(architecture=None) for problem in made]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *made)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_kernel_equals_the_scan(name: str):
    # With symbols for one of the networks, and more sequences than a program takes.
    problems = several(NETWORKS[name], 17, symbols=name == "descendant")
    problems = problems._replace(parameters=make_problem(NETWORKS[name], 5).parameters)
    axes = problems._replace(**{f: 0 for f in Problem._fields[2:]}, parameters=None)

    def run(loop: str):
        one = functools.partial(results, NETWORKS[name], "every_step", loop, Steps())
        return quick_jit(jax.vmap(one, (axes,)))(problems)

    assert_close(run("interpreted_kernel"), run("scan"), 1e-12)


@pytest.mark.parametrize("at", ["every_step", "end"])
def test_padding_and_resets_are_those_of_the_scan(at: str):
    problem = several(DESCENDANT, 3, padding="mask")

    def run(loop: str):  # each network its own weights
        one = lambda problem: results(
            DESCENDANT, at, loop, Steps(mask=problem.mask, reset=RESET), problem
        )
        return quick_jit(jax.vmap(one))(problem)

    assert_close(run("interpreted_kernel"), run("scan"), 1e-12)


def test_lengths_and_no_steps_are_those_of_the_scan():
    problem = make_problem(EVERYTHING, 5)

    def run(loop: str, inputs, length: int):
        options = RunOptions(loop=loop, reverse=True)
        steps = Steps(length=length)
        return unroll(EVERYTHING, problem.parameters, inputs, steps=steps, options=options)

    for inputs, length in ((problem.inputs, 3), (problem.inputs[:0], 0)):
        expected = run("scan", inputs, length)
        assert_close(run("interpreted_kernel", inputs, length), expected, 1e-12)


def test_single_precision_is_equal_to_rounding():
    problem = jax.tree.map(np.float32, make_problem(DESCENDANT, 5)._replace(architecture=None))
    run = lambda loop: unroll(
        DESCENDANT, problem.parameters, problem.inputs, options=RunOptions(loop=loop)
    )
    assert_close(run("interpreted_kernel"), run("scan"), 1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_kernel_is_translated_for_a_gpu_where_there_is_none(name: str):
    net = NETWORKS[name]
    with jax.enable_x64(False):
        problem = jax.tree.map(np.float32, make_problem(net, 5)._replace(architecture=None))
        steps = Steps(mask=np.ones(5, bool), reset=RESET)
        sequence = check_run(net, problem.parameters, problem.inputs, steps)
        run = functools.partial(unroll_layer, net, RunOptions(loop="kernel"))
        batch = jax.jit(jax.vmap(run, (None, 0)))
        sequences = jax.tree.map(lambda x: jnp.stack([x] * 17), sequence)
        traced = batch.trace(problem.parameters, sequences)
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
    large = modern(3, 128)
    weights = make_problem(large, 5).parameters
    refused(
        "architecture must be small enough for 147456 bytes", "interpreted_kernel", weights, large
    )
    lanes = jax.tree.map(lambda x: x[..., None], problem.parameters)
    with pytest.raises(ValueError, match="loop must be 'scan' for parameters with lanes"):
        unroll(
            EVERYTHING,
            lanes,
            problem.inputs[..., None],
            options=RunOptions(loop="interpreted_kernel"),
        )
    for gradient in ("full", "truncated_autodiff"):
        with pytest.raises(ValueError, match="gradient must be 'truncated' with loop='kernel'"):
            RunOptions(gradient=gradient, loop="kernel")


def test_a_padded_layer_has_sizes_of_products():
    wide = kernel.pad_architecture(dataclasses.replace(EVERYTHING, blocks=(3,) * 17))
    assert wide.blocks == (4,) * 32 and wide.num_hidden == 16
    single = Architecture(3, (1,) * 64, 1)
    assert kernel.pad_architecture(single) == single
