"""The backward pass has no sequential product, and the forward pass saves only what it needs.

Both are read from the compiled program, for narrow networks, whose products are written out, and
for wide ones, whose products are matrix products.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import pytest
from helpers import EVERYTHING

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import initialise
from lstm_jax.cell.scan import Steps
from lstm_jax.network.layer import apply, unroll
from lstm_jax.network.losses import half_squared_error
from lstm_jax.network.run import RunOptions

STEPS = 10
NETWORKS = {
    "narrow": EVERYTHING,
    "wide": Architecture(40, (2, 2), 2, num_hidden=30, input_to_output=True),
}
PRODUCTS = {"mul", "dot_general"}


def equations(jaxpr) -> Iterator:
    """Yield all equations of a jaxpr, including those of the jaxprs inside it."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in inner_jaxprs(equation):
            yield from equations(inner)


def inner_jaxprs(equation) -> Iterator:
    for parameter in jax.tree.leaves(equation.params, is_leaf=lambda p: hasattr(p, "jaxpr")):
        if hasattr(parameter, "jaxpr"):
            yield parameter.jaxpr
        elif hasattr(parameter, "eqns"):
            yield parameter


def loops(jaxpr) -> list[set[str]]:
    """Return the names of the operations inside each loop."""
    return [
        {inner.primitive.name for body in inner_jaxprs(equation) for inner in equations(body)}
        for equation in equations(jaxpr)
        if equation.primitive.name in ("scan", "while")
    ]


def network_and_inputs(width: str, symbols: bool = False, lanes: tuple[int, ...] = ()) -> tuple:
    net = NETWORKS[width]
    parameters = initialise(jax.random.key(0), net)
    parameters = jax.tree.map(
        lambda w: jnp.broadcast_to(w.reshape(w.shape + (1,) * len(lanes)), w.shape + lanes),
        parameters,
    )
    shape = (STEPS, *lanes) if symbols else (STEPS, net.num_inputs, *lanes)
    return net, parameters, jnp.ones(shape, int if symbols else float)


def backward_pass(
    width: str, gradient: str, at: str = "every_step", masked: bool = True, **options
):
    """Return the jaxpr of the backward pass alone, from E / 2 to the parameters."""
    net, parameters, inputs = network_and_inputs(width, **options)

    def loss(parameters) -> jax.Array:
        steps = Steps(length=STEPS - 1 if masked else None)
        given = {"at": at, "steps": steps, "options": RunOptions(gradient=gradient)}
        outputs, _ = apply(net, parameters, inputs, **given)
        return half_squared_error(outputs, jnp.zeros_like(outputs))

    vjp = jax.eval_shape(lambda p: jax.vjp(loss, p)[1], parameters)
    return jax.make_jaxpr(lambda vjp, delta: vjp(delta))(vjp, jnp.ones(())).jaxpr


@pytest.mark.parametrize("width", NETWORKS)
@pytest.mark.parametrize("lanes", [(), (2,)])
@pytest.mark.parametrize("masked", [True, False])
def test_only_loop_is_the_sum_along_the_carrousel(width: str, lanes: tuple, masked: bool):
    assert loops(backward_pass(width, "truncated", lanes=lanes, masked=masked)) == [{"add"}]


@pytest.mark.parametrize("width", NETWORKS)
@pytest.mark.parametrize("lanes", [(), (2,)])
def test_no_loop_multiplies_when_inputs_are_symbols(width: str, lanes: tuple):
    found = loops(backward_pass(width, "truncated", symbols=True, lanes=lanes))
    assert {"add"} in found
    assert not PRODUCTS & set.union(*found)


@pytest.mark.parametrize("width", NETWORKS)
def test_error_at_the_end_needs_no_loop(width: str):
    assert loops(backward_pass(width, "truncated", at="end")) == []


@pytest.mark.parametrize("width", NETWORKS)
@pytest.mark.parametrize("gradient", ["truncated_autodiff", "full"])
def test_autodiff_multiplies_at_every_step(width: str, gradient: str):
    # The tests above can fail.
    found = loops(backward_pass(width, gradient))
    assert PRODUCTS & set.union(*found)
    if gradient == "full" and width == "wide":
        assert "dot_general" in set.union(*found)


@pytest.mark.parametrize("width", NETWORKS)
@pytest.mark.parametrize("symbols", [True, False])
def test_forward_pass_is_one_loop_that_carries_only_the_state(width: str, symbols: bool):
    net, parameters, inputs = network_and_inputs(width, symbols)
    run = functools.partial(apply, net)
    assert jax.jit(run).lower(parameters, inputs).compile().as_text().count(" while(") == 1
    jaxpr = jax.make_jaxpr(run)(parameters, inputs).jaxpr
    scans = [equation for equation in equations(jaxpr) if equation.primitive.name == "scan"]
    assert scans  # of which the compiler leaves one
    for loop in scans:
        (body,) = inner_jaxprs(loop)
        results = zip(body.outvars, loop.outvars, strict=True)
        carried = [step.aval for step, all_ in results if step.aval.shape == all_.aval.shape]
        assert sum(a.size for a in carried) == sum(net.sizes) + net.num_cells


def saved_per_step(gradient: str, record: str) -> float:
    """Return how many numbers each further step adds to the residuals of the backward pass."""
    net, parameters, _ = network_and_inputs("narrow")

    def saved(steps: int) -> int:
        inputs = jnp.ones((steps, net.num_inputs))

        options = RunOptions(gradient=gradient)
        run = lambda parameters: unroll(net, parameters, inputs, options=options)
        if record == "last":
            run = lambda parameters: apply(net, parameters, inputs, options=options, at="end")[1]
        vjp = jax.eval_shape(lambda p: jax.vjp(run, p)[1], parameters)
        return sum(leaf.size for leaf in jax.tree.leaves(vjp) if leaf.ndim)

    return (saved(30) - saved(10)) / 20


@pytest.mark.parametrize("record", ["all", "last"])
def test_what_is_saved_for_the_backward_pass(record: str):
    # The inputs, what the hidden layer saw of itself, its activations, and s_c and g(net_c).
    net = EVERYTHING
    needed = net.num_inputs + 2 * net.num_units + 2 * net.num_cells
    assert saved_per_step("truncated", record) == needed
    assert saved_per_step("full", record) > needed
