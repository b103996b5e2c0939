"""Every detector finds its problem in a network built to have it, and only there."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.analysis.diagnostics import Finding, diagnose
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import initialise
from lstm_jax.cell.records import Parameters
from lstm_jax.network.layer import apply

A, B, C = range(3)
NET = Architecture(num_inputs=3, blocks=(1, 1), num_outputs=1, recurrent="none")
SYMBOLS = ("a", "b", "c")
# A, B or C at the start and midway, in all nine ways; C everywhere else.
INPUTS = np.full((9, 40), C)
INPUTS[:, 0], INPUTS[:, 20] = np.divmod(np.arange(9), 3)
# The gates of a healthy block open at A and B; what they let in tells one from the other.
HEALTHY = {
    "input_gate": ([3.0, 3.0, -4.0], 0.0),
    "output_gate": ([-2.0, -2.0, 0.0], 0.0),
    "cell": ([2.0, -2.0, 0.0], 0.0),
}


def build(net: Architecture, *blocks: dict) -> Parameters:
    """Blocks of one cell, of each kind of unit the weights from a, b and c, and its bias."""
    parameters = jax.tree.map(jnp.zeros_like, initialise(jax.random.key(0), net))
    layer = {}
    for kind, weights in parameters.layer._asdict().items():
        if weights is not None:
            given = [(HEALTHY | block).get(kind, ([0.0] * 3, 2.0)) for block in blocks]
            bias = None if weights.bias is None else jnp.array([bias for _, bias in given])
            layer[kind] = weights._replace(input=jnp.array([w for w, _ in given]).T, bias=bias)
    output = parameters.output._replace(cell=parameters.output.cell + 1)
    return parameters._replace(layer=parameters.layer._replace(**layer), output=output)


def find(
    kind: str, parameters: Parameters, net: Architecture = NET, inputs=INPUTS, **options
) -> list[Finding]:
    found = diagnose(net, parameters, inputs, symbols=SYMBOLS, **options)
    return [finding for finding in found if finding.kind == kind]


# The second block, healthy but for this, has the problem.
OTHER = {"cell": ([2.0, 2.0, 0.0], 0.0), "input_gate": ([2.0, -4.0, -4.0], 0.0)}
PROBLEMS = {
    "drift": {"input_gate": ([0.0] * 3, -1.0), "cell": ([0.0] * 3, 1.0)},
    "saturated_state": {"input_gate": ([0.0] * 3, 3.0), "cell": ([8.0, -8.0, 8.0], 0.0)},
    "bias_cell": {
        "input_gate": ([0.0] * 3, 0.0),
        "output_gate": ([0.0] * 3, 0.0),
        "cell": ([0.0] * 3, 9.0),
    },
    "redundant_cells": HEALTHY | {"cell": ([-2.0, 2.0, 0.0], 0.0)},
    "never_opens": {"input_gate": ([0.0] * 3, -5.0)},
    "never_closes": {"output_gate": ([0.0] * 3, 4.0)},
    "saturated_gate": {"output_gate": ([-9.0, -9.0, 9.0], 0.0)},
}


@pytest.mark.parametrize("kind", PROBLEMS)
def test_a_problem_is_found_where_it_is_and_nowhere_else(kind: str):
    (finding,) = find(kind, build(NET, {}, OTHER | PROBLEMS[kind]))
    assert finding.block == 1
    assert finding.remedy and finding.sentence.startswith("block 2")
    assert (finding.cell is None) != (finding.gate is None)


def without_outputs(parameters: Parameters) -> Parameters:
    """The outputs do not see the second block."""
    seen = parameters.output.cell * jnp.array([[1.0], [0.0]])
    return parameters._replace(output=parameters.output._replace(cell=seen))


def shut_out(parameters: Parameters) -> Parameters:
    """The second block's output gate is all but shut."""
    gate = parameters.layer.output_gate
    gate = gate._replace(input=gate.input * 0, bias=jnp.array([0.0, -9.0]))
    return parameters._replace(layer=parameters.layer._replace(output_gate=gate))


@pytest.mark.parametrize(
    ("cut", "remedy"),
    [(without_outputs, "weights to the output units"), (shut_out, "output gate's bias nearer 0")],
)
def test_a_block_that_no_error_reaches_is_found_and_learns_nothing(cut, remedy: str):
    """By the truncated gradient, for any error of the outputs."""
    parameters = cut(build(NET, {}, OTHER))
    (finding,) = find("no_error", parameters)
    assert (finding.block, finding.cell, finding.gate) == (1, None, None)
    assert finding.sentence.startswith("no error reaches block 2") and remedy in finding.remedy

    def error(parameters: Parameters) -> jax.Array:
        run = lambda inputs: apply(NET, parameters, inputs)[0]
        return jnp.sum((jax.vmap(run)(jnp.asarray(INPUTS)) - 0.5) ** 2)

    cell = jax.jit(jax.grad(error))(parameters).layer.cell.input
    assert jnp.abs(cell[:, 1]).max() <= 1e-3 * jnp.abs(cell[:, 0]).max()
    assert not find("no_error", build(NET, {}, OTHER))


def test_an_error_that_is_let_in_at_one_step_alone_is_enough():
    """Output gates that open at a trigger are how most tasks are solved."""
    opens_at_a = {"output_gate": ([9.0, 0.0, 0.0], -9.0)}
    parameters = build(NET, {}, OTHER | opens_at_a)
    assert not find("no_error", parameters, inputs=INPUTS[:3])  # which begin with a
    assert find("no_error", parameters, inputs=INPUTS[5:6] * 0 + C)


def test_a_healthy_network_has_no_problem():
    found = diagnose(NET, build(NET, {}, OTHER), INPUTS, symbols=SYMBOLS)
    assert [finding for finding in found if finding.remedy] == []
    assert {finding.kind for finding in found} == {"opened_by"}


def test_the_inputs_that_open_a_gate_are_named_with_its_activations():
    """f(3) at a and b, f(-4) at c; the other block's opens at a alone, to f(2)."""
    first, second = (f for f in find("opened_by", build(NET, {}, OTHER)) if f.gate == "input_gate")
    f = lambda x: 1 / (1 + np.exp(-x))
    assert first.sentence == (
        f"block 1's input gate opens at a ({f(3):.2f}), b ({f(3):.2f}), "
        f"on average {f(-4):.2f} elsewhere"
    )
    assert second.block == 1 and f"a ({f(2):.2f})" in second.sentence
    assert " b " not in second.sentence


def test_inputs_that_are_numbers_open_gates_by_correlation():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(4, 50, 3))
    found = diagnose(NET, build(NET, {"input_gate": ([0.0, 1.0, 0.0], 0.0)}, {}), inputs)
    (finding,) = (f for f in found if (f.kind, f.block, f.gate) == ("opened_by", 0, "input_gate"))
    gate = 1 / (1 + np.exp(-inputs[..., 1].ravel()))
    expected = np.corrcoef(gate, inputs[..., 1].ravel())[0, 1]
    assert finding.value == pytest.approx(expected, abs=1e-5)
    assert "as input 1 rises" in finding.sentence and "input 0" not in finding.sentence


def test_what_is_measured_is_what_the_network_did():
    """A gate at f(-5); a state that gains y_in g at every step; a constant f(0) h(∞)."""
    f = lambda x: 1 / (1 + np.exp(-x))
    (shut,) = find("never_opens", build(NET, {}, PROBLEMS["never_opens"]))
    assert shut.value == pytest.approx(f(-5), rel=1e-5)
    assert shut.sentence == "block 2's input gate stayed below 0.007 over 9 sequences of 40 steps"
    assert shut.remedy == "start its bias nearer 0"
    (drift,) = find("drift", build(NET, {}, PROBLEMS["drift"]))
    assert drift.value == pytest.approx(40 * f(-1) * (4 * f(1) - 2), rel=1e-5)
    (bias,) = find("bias_cell", build(NET, {}, PROBLEMS["bias_cell"]))
    assert bias.value == pytest.approx(0.5, abs=1e-5)


def test_padding_is_ignored():
    """The gate opens at c alone, which comes only after the length."""
    opens_at_c = {"input_gate": ([-5.0, -5.0, 5.0], 0.0)}
    parameters = build(NET, {}, opens_at_c)
    assert not find("never_opens", parameters)
    (finding,) = find("never_opens", parameters, inputs=INPUTS[:6], length=np.ones(6, int))
    assert finding.block == 1 and "6 sequences of 1 step" in finding.sentence


def test_a_latch_set_at_any_time_does_not_drift():
    """On average its state grows all the time, but in no sequence."""
    steps = np.arange(40)
    inputs = np.where(steps == np.arange(0, 40, 2)[:, None], A, C)
    found = diagnose(NET, build(NET, {"cell": ([9.0, 0.0, 0.0], 0.0)}, OTHER), inputs)
    assert not [finding for finding in found if finding.kind == "drift"]


def test_a_forget_gate_that_stays_open_is_no_problem_and_one_that_stays_shut_is():
    net = dataclasses.replace(NET, forget_gates=True)
    parameters = build(net, {"forget_gate": ([0.0] * 3, 6.0)}, {"forget_gate": ([0.0] * 3, -6.0)})
    stuck = [f for f in diagnose(net, parameters, INPUTS) if f.gate == "forget_gate"]
    assert [(finding.kind, finding.block) for finding in stuck] == [("never_opens", 1)]
    assert "higher" in stuck[0].remedy


def test_a_remedy_asks_for_what_the_network_has():
    problem = PROBLEMS["drift"]
    without_bias = dataclasses.replace(NET, biases=("cell", "output"))
    (finding,) = find("drift", build(without_bias, {}, problem), without_bias)
    assert "give the input gates biases" in finding.remedy
    without_gate = dataclasses.replace(NET, input_gates=False)
    still = {"cell": ([0.0] * 3, 0.0)}
    (finding,) = find("drift", build(without_gate, still, problem), without_gate)
    assert "give the blocks input gates" in finding.remedy
