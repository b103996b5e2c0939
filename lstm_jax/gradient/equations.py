"""The paper's truncated gradient: eqs. 17-28, as what a step's error does to that step's units.

Error that reaches a net input changes the weights into that unit and goes no further back in
time; inside a cell it flows back through the internal state, unchanged (eqs. 30-35). So nothing
in the backward pass is sequential but a sum: with e_s(t) the error that step t injects into the
internal state (eq. 23),

    delta_s(t) = e_s(t) + y_phi(t+1) delta_s(t+1)                the constant error carrousel
    delta_net_c(t)   = g'(net_c(t)) y_in(t) delta_s(t)              eqs. 27, 28
    delta_net_in(t)  = f'(net_in(t)) Σ_v g(net_cv(t)) delta_s_v(t)     eqs. 25, 26
    delta_net_phi(t) = f'(net_phi(t)) Σ_v s_v(t-1) delta_s_v(t)
    delta_net_out(t) = f'(net_out(t)) Σ_v h(s_v(t)) delta_y_v(t)       eqs. 21, 22

where y_phi = 1 without forget gates. Every weight gradient is Σ_t y_m(t-1) delta_net_l(t), one
product over all steps. Summing e_s(τ) ∂s(τ)/∂w over τ with the forward traces of eqs. 25 and 27
and summing delta_s(t) times the traces' increments over t are the same double sum, taken in the
other order: `online` takes it forward, `reverse_mode` backward, both by the functions here.

What a peephole shows a gate is given, like what other weights show it: error changes the peephole
and goes no further ("no error signals are propagated back from gates via peephole connections to
the CEC", Gers, Schraudolph & Schmidhuber 2002, p. 121).

Here delta_x is ∂E/∂x: the paper's e_x with the other sign.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from optax.tree_utils import tree_where

from lstm_jax.cell.activations import ACTIVATIONS, logistic
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.scan import (
    Activations,
    LayerScan,
    Sequence,
    before_each_step,
    last_step,
)
from lstm_jax.cell.step import State, gated, spread, sum_over_blocks
from lstm_jax.cell.units import Layer

Outcome = tuple[State, Activations | None]


# A step: from the error on activations to the error on net inputs ------------------------------


def injected(
    architecture: Architecture, at: State | Activations, delta: State | Activations, axis: int = 0
) -> State:
    """Sends the error on the activations of a step to the units of that same step.

    Args:
      architecture: the network.
      at: the activations of the step, units in `axis`.
      delta: the error on each of them.
      axis: 0, or 1 for all steps at once.

    Returns:
      The error on the internal states (minus e_s, eq. 23) and on the values of the gates and
      conventional hidden units; its `cell_output` is 0, as all of it was sent on.
    """
    h = ACTIVATIONS[architecture.cell_output]
    squashed_state = h(at.internal_state)
    to_state = gated(architecture, at.output_gate, h.derivative(squashed_state), axis)
    output_gate = delta.output_gate
    if output_gate is not None:
        to_gate = squashed_state * delta.cell_output
        output_gate = output_gate + sum_over_blocks(architecture, to_gate, axis)
    return State(
        internal_state=delta.internal_state + to_state * delta.cell_output,
        cell_output=jnp.zeros_like(delta.cell_output),
        input_gate=delta.input_gate,
        forget_gate=delta.forget_gate,
        output_gate=output_gate,
        hidden=delta.hidden,
    )


def activation_derivatives(architecture: Architecture, at: Activations) -> Layer[jax.Array]:
    """f', and g' of the cells, at the net inputs of a step, or of all of them."""
    f = lambda y: None if y is None else logistic.derivative(y)
    return Layer(
        input_gate=f(at.input_gate),
        forget_gate=f(at.forget_gate),
        output_gate=f(at.output_gate),
        cell=ACTIVATIONS[architecture.cell_input].derivative(at.cell_input),
        hidden=f(at.hidden),
    )


def into_state(
    architecture: Architecture,
    at: Activations,
    s_tm1: jax.Array,
    delta_s: jax.Array,
    axis: int = 0,
) -> Layer[jax.Array]:
    """What an error on the internal states is, cell by cell, to the values that entered them.

    Times the slopes, these are the derivatives by net inputs of eqs. 25 and 27.

    Args:
      architecture: the network.
      at: the activations of the step, units in `axis`.
      s_tm1: [C] in `axis`, the internal states before the step; used with forget gates only.
      delta_s: [C] in `axis`.
      axis: 0, or 1 for all steps at once.

    Returns:
      [C] in `axis` for the input gates, the forget gates and the cells; None for the others.
    """
    return Layer(
        input_gate=None if at.input_gate is None else at.cell_input * delta_s,
        forget_gate=None if at.forget_gate is None else s_tm1 * delta_s,
        output_gate=None,
        cell=gated(architecture, at.input_gate, delta_s, axis),
        hidden=None,
    )


def derivatives_of_state(
    architecture: Architecture, at: Activations, s_tm1: jax.Array
) -> Layer[jax.Array]:
    """∂s_v(t)/∂net_l(t) for every cell v and its own net inputs l (eqs. 25, 27), [..., C] each."""
    axis = at.cell_input.ndim - 1
    entered = into_state(architecture, at, s_tm1, jnp.ones_like(at.cell_input), axis)
    slope = activation_derivatives(architecture, at)
    times = lambda part, f: None if part is None else part * spread(architecture, f, axis)
    return Layer(
        input_gate=times(entered.input_gate, slope.input_gate),
        forget_gate=times(entered.forget_gate, slope.forget_gate),
        output_gate=None,
        cell=entered.cell * slope.cell,
        hidden=None,
    )


def on_net_inputs(
    architecture: Architecture,
    at: Activations,
    s_tm1: jax.Array,
    delta: State,
    delta_cell_input: jax.Array | float = 0.0,
) -> Layer[jax.Array]:
    """The error on every net input, from that on states, gates and hidden units at all steps.

    Args:
      architecture: the network.
      at: the activations, [T, n, *lanes] each.
      s_tm1: [T, C, *lanes], see `into_state`.
      delta: the errors on internal states, gates and hidden units, see `injected`.
      delta_cell_input: the error that g(net_c) itself has, [T, C, *lanes].

    Returns:
      [T, n, *lanes] each.
    """
    slope = activation_derivatives(architecture, at)
    entered = into_state(architecture, at, s_tm1, delta.internal_state, axis=1)

    def gate(kind: str) -> jax.Array | None:
        error, to_gate = getattr(delta, kind), getattr(entered, kind)
        if error is None:
            return None
        if to_gate is not None:
            error = error + sum_over_blocks(architecture, to_gate, axis=1)
        return getattr(slope, kind) * error

    return Layer(
        input_gate=gate("input_gate"),
        forget_gate=gate("forget_gate"),
        output_gate=gate("output_gate"),
        cell=slope.cell * (entered.cell + delta_cell_input),
        hidden=None if slope.hidden is None else slope.hidden * delta.hidden,
    )


# All steps: along the carrousel ----------------------------------------------------------------


def carrousel_factors(
    architecture: Architecture, sequence: Sequence, activations: Activations
) -> jax.Array | None:
    """∂s(t)/∂s(t-1) at every step, [T, C, *lanes]; None if it is 1.0 at all.

    That is y_phi with forget gates; 1 at a step that is masked, and 0 where the state is reset.
    """
    if activations.forget_gate is None and sequence.reset is None:
        return None
    factors = jnp.ones_like(activations.cell_input)
    factors = gated(architecture, activations.forget_gate, factors, axis=1)
    if sequence.mask is not None:
        factors = jnp.where(sequence.mask[:, None], factors, 1)
    if sequence.reset is not None:
        factors = jnp.where(sequence.reset[:, None], 0, factors)
    return factors


def along_carrousel(
    errors: jax.Array, factors: jax.Array | None = None, behind: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """delta_s(t) = errors(t) + factors(t+1) delta_s(t+1): all that the carrousel has gathered by t.

    Args:
      errors: [T, C, *lanes], what each step injects.
      factors: [T, C, *lanes], see `carrousel_factors`; None: 1.0.
      behind: [C, *lanes], what comes from behind the last step; None: nothing.

    Returns:
      delta_s [T, C, *lanes], and what reaches the state before the first step, [C, *lanes].
    """
    if behind is None:
        behind = jnp.zeros_like(errors, shape=errors.shape[1:])

    def back(arrived: jax.Array, at: tuple) -> tuple[jax.Array, jax.Array]:
        error, factor = at
        delta_s = arrived + error
        return delta_s if factor is None else factor * delta_s, delta_s

    reached, delta_s = jax.lax.scan(back, behind, (errors, factors), reverse=True)
    return delta_s, reached


def pull_back(
    layer: LayerScan,
    sequence: Sequence,
    record: tuple[State, Activations],
    delta: Outcome,
) -> tuple[Layer[jax.Array], State]:
    """The whole backward pass: from the error on a run's outcome to that on its net inputs.

    Args:
      layer: what was run.
      sequence: on what.
      record: the final state, and the activations at every step.
      delta: the error on the final state, and on the activations, if they are part of the outcome.

    Returns:
      The error on every net input, [T, n, *lanes] each, and on the initial state: exact along the
      carrousel, and 0 on its activations, where it is cut.
    """
    architecture, (final, activations), (delta_final, delta_steps) = (
        layer.architecture,
        record,
        delta,
    )
    last, ran = last_step(sequence, activations.cell_input.shape[0])
    at_end = injected(architecture, final, delta_final)
    to_units = jax.tree.map(lambda error: jnp.where(last[:, None], error[None], 0), at_end)
    at_steps, delta_cell_input = None, 0.0
    if delta_steps is not None:
        at_steps = injected(architecture, activations, delta_steps, axis=1)
        to_units = jax.tree.map(jnp.add, to_units, at_steps)
        delta_cell_input = delta_steps.cell_input

    # Behind the last real step the carrousel's factor is 1. If no step is real, the outcome is the
    # initial state, and what arrives there passes through.
    behind = tree_where(ran[None], at_end.internal_state, delta_final.internal_state)
    factors = carrousel_factors(architecture, sequence, activations)
    if factors is None and at_steps is None:
        delta_s, delta_start = jnp.broadcast_to(behind, activations.cell_input.shape), behind
    else:
        errors = at_steps and at_steps.internal_state
        errors = jnp.zeros_like(activations.cell_input) if errors is None else errors
        delta_s, delta_start = along_carrousel(errors, factors, behind)

    s_tm1 = before_each_step(layer, sequence, activations).internal_state
    to_units = to_units._replace(internal_state=delta_s)
    delta_net = on_net_inputs(architecture, activations, s_tm1, to_units, delta_cell_input)
    if sequence.mask is not None:
        is_real = sequence.mask[:, None]
        delta_net = jax.tree.map(lambda error: jnp.where(is_real, error, 0), delta_net)
    return delta_net, _passed(sequence, ran, delta_final)._replace(internal_state=delta_start)


def _passed(sequence: Sequence, ran: jax.Array, delta: State) -> State:
    """The error on the initial activations: none, but where they are the outcome."""
    if sequence.reset is not None:
        ran = ran | sequence.reset.any(0)
    return jax.tree.map(lambda error: jnp.where(ran[None], 0, error), delta)
