"""The paper's gradient in forward mode: eqs. 25-28 as running sums, for streams without end.

A learner takes one input at a time. What it must remember to learn from an error that comes much
later is, for each cell v and each weight into its input gate and its cell input, the derivative
of the internal state by that weight:

    ∂s_v/∂w_in,m (t) = ∂s_v/∂w_in,m (t-1) + g(net_cv) f'(net_in) y_m      eq. 25
    ∂s_v/∂w_cv,m (t) = ∂s_v/∂w_cv,m (t-1) + g'(net_cv) f(net_in) y_m      eq. 27

so memory is O(W) however long the stream, and each step's work is O(1) per weight. Every step's
gradient, eqs. 19-28, is added up until an update uses it. The sums equal those of `truncated`.

`learn` takes a step, as the equations do. `learn_steps` takes a stretch of them at once, where the
weights need not change in between: errors flow back to the start of the stretch in reverse mode,
what is left of them meets the traces there, and the traces move on to the end in one sum.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lstm_jax.network.activations import ACTIVATIONS, logistic
from lstm_jax.network.architecture import Architecture
from lstm_jax.network.cell import State, gated, spread, step, sum_over_blocks, zero_state
from lstm_jax.network.errors import half_squared_error
from lstm_jax.network.lanes import weighted_sum
from lstm_jax.network.layer import unroll
from lstm_jax.network.outputs import output_units, output_units_over_time
from lstm_jax.network.parameters import (
    Layer,
    OutputWeights,
    Parameters,
    UnitWeights,
    check_parameters,
    join,
)
from lstm_jax.network.recurrence import Activations
from lstm_jax.network.truncated import previous_activations


class Traces(NamedTuple):
    """∂s_v/∂w_m for every cell v and source m; shaped as the weights of C units."""

    input_gate: Any  # eq. 25: one a cell, though its block shares the gate
    cell: UnitWeights  # eq. 27


class Learner(NamedTuple):
    """Everything an online learner knows; a pytree of constant size."""

    parameters: Parameters
    optimiser_state: Any
    state: State
    traces: Traces
    gradient: Parameters  # ∂E/2 / ∂w summed over the steps since the last update


def init_learner(
    architecture: Architecture, parameters: Parameters, optimiser: optax.GradientTransformation
) -> Learner:
    """A learner at the start of its stream.

    Raises:
      ValueError: if the parameters do not fit the architecture.
    """
    check_parameters(architecture, parameters)
    dtype = parameters.output.cell.dtype

    def zeros(weights: UnitWeights | None) -> Any:
        cells = architecture.num_cells
        return jax.tree.map(lambda w: jnp.zeros((*w.shape[:-1], cells), w.dtype), weights)

    return Learner(
        parameters=parameters,
        optimiser_state=optimiser.init(parameters),
        state=zero_state(architecture, dtype),
        traces=Traces(zeros(parameters.layer.input_gate), zeros(parameters.layer.cell)),
        gradient=jax.tree.map(jnp.zeros_like, parameters),
    )


def start_sequence(learner: Learner) -> Learner:
    """Sets state and traces to zero, as before every sequence of the paper; learning goes on."""
    zeros = jax.tree.map(jnp.zeros_like, (learner.state, learner.traces))
    return learner._replace(state=zeros[0], traces=zeros[1])


def learn(
    architecture: Architecture,
    learner: Learner,
    x_t: jax.Array,
    target: jax.Array | None = None,
    *,
    weight: jax.Array | float = 1.0,
) -> tuple[jax.Array, Learner]:
    """Takes one input and, where there is one, its target; returns the prediction for it.

    >>> net = Architecture(num_inputs=2, blocks=(1,), num_outputs=1)
    >>> from lstm_jax.parameters import initialise
    >>> sgd = optax.sgd(0.5)
    >>> learner = init_learner(net, initialise(jax.random.key(0), net), sgd)
    >>> prediction, learner = learn(net, learner, jnp.array([1.0, 0.0]))
    >>> prediction, learner = learn(net, learner, jnp.array([0.0, 1.0]), jnp.array([1.0]))
    >>> learner = update(sgd, learner)

    Args:
      architecture: the network; static under `jit`.
      learner: what it knows so far.
      x_t: [I] floating, or an integer in [0, I) that stands for a one-hot vector.
      target: [K], or None: no error at this step.
      weight: how much this step's error counts: 0 makes a given target count for nothing, so that
        one compiled function serves steps with and without a target.

    Returns:
      The outputs [K], computed before anything is learned from the target, and the new learner,
      whose `gradient` includes this step; `update` applies it.

    Raises:
      ValueError: if the input or the target has the wrong shape.
    """
    _check_step(architecture, x_t, target)
    dtype = learner.parameters.output.cell.dtype
    x_t = _one_hot(architecture, x_t, dtype)
    weights = join(architecture, learner.parameters.layer)
    net_input = weighted_sum(weights.input, [x_t])
    if weights.bias is not None:
        net_input = net_input + weights.bias
    state_tm1 = learner.state
    state, cell_input = step(architecture, weights.recurrent, state_tm1, net_input)
    outputs = output_units(architecture, learner.parameters.output, state, x_t)

    sources = UnitWeights(x_t, jnp.concatenate(state_tm1.rows()), jnp.ones((), dtype))
    traces = _advance(architecture, learner.traces, sources, state.input_gate, cell_input)
    learner = learner._replace(state=state, traces=traces)
    if target is not None:
        weight = jnp.asarray(weight).astype(dtype)
        errors = jnp.where(weight != 0, weight * (outputs - target.astype(dtype)), 0)
        gradient = _gradient(architecture, learner, sources, outputs, errors)
        learner = learner._replace(gradient=jax.tree.map(jnp.add, learner.gradient, gradient))
    return outputs, learner


def learn_steps(
    architecture: Architecture,
    learner: Learner,
    inputs: jax.Array,
    targets: jax.Array | None = None,
    *,
    weights: jax.Array | None = None,
) -> tuple[jax.Array, Learner]:
    """Takes a stretch of T steps: what `learn` does with one after the other, but faster.

    Memory grows with the stretch, not with the stream.

    Args:
      architecture, learner: as in `learn`.
      inputs: [T, I] floating, or [T] integers in [0, I).
      targets: [T, K], or None: no error at these steps.
      weights: [T], how much each step's error counts; None: 1.

    Returns:
      The outputs [T, K] and the new learner.

    Raises:
      ValueError: if the inputs, targets or weights have the wrong shape.
    """
    parameters, start = learner.parameters, learner.state
    if jnp.issubdtype(inputs.dtype, jnp.floating):
        inputs = inputs.astype(parameters.output.cell.dtype)

    def run(parameters: Parameters, start: State) -> tuple[jax.Array, Activations, State]:
        activations, final = unroll(architecture, parameters, inputs, initial_state=start)
        assert activations is not None
        outputs = output_units_over_time(architecture, parameters.output, activations, inputs)
        return outputs, activations, final

    if targets is None:
        outputs, activations, final = run(parameters, start)
    else:

        def error(parameters: Parameters, start: State) -> tuple[jax.Array, tuple]:
            outputs, *others = run(parameters, start)
            return half_squared_error(outputs, targets, weights), (outputs, *others)

        (gradient, delta_start), (outputs, activations, final) = jax.grad(
            error, argnums=(0, 1), has_aux=True
        )(parameters, start)
        input_gate, cell = _through_traces(architecture, learner.traces, delta_start.internal_state)
        add = lambda here, earlier: jax.tree.map(jnp.add, here, earlier)
        layer = gradient.layer._replace(
            input_gate=add(gradient.layer.input_gate, input_gate),
            cell=add(gradient.layer.cell, cell),
        )
        gradient = gradient._replace(layer=layer)
        learner = learner._replace(gradient=jax.tree.map(jnp.add, learner.gradient, gradient))
    seen = UnitWeights(
        _one_hot(architecture, inputs, outputs.dtype),
        previous_activations(start, activations),
        jnp.ones(len(outputs), outputs.dtype),
    )
    gate, cell_input = activations.input_gate, activations.cell_input
    traces = _advance(architecture, learner.traces, seen, gate, cell_input)
    return outputs, learner._replace(state=final, traces=traces)


def update(optimiser: optax.GradientTransformation, learner: Learner) -> Learner:
    """Applies the gradient gathered since the last update: after a step or after a sequence."""
    updates, optimiser_state = optimiser.update(
        learner.gradient, learner.optimiser_state, learner.parameters
    )
    return learner._replace(
        parameters=optax.apply_updates(learner.parameters, updates),
        optimiser_state=optimiser_state,
        gradient=jax.tree.map(jnp.zeros_like, learner.gradient),
    )


def online_gradient(
    architecture: Architecture,
    parameters: Parameters,
    inputs: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
) -> tuple[jax.Array, Parameters]:
    """The truncated gradient of E / 2 over one sequence, in memory that does not grow with it.

    Args:
      architecture, parameters: the network.
      inputs: [T, I] floating or [T] integer.
      targets: [T, K].
      weights: [T], how much each step's error counts.

    Returns:
      The outputs [T, K], and the gradient, shaped as the parameters.
    """
    learner = init_learner(architecture, parameters, optax.identity())

    def body(learner: Learner, at: tuple) -> tuple[Learner, jax.Array]:
        x_t, target, weight = at
        outputs, learner = learn(architecture, learner, x_t, target, weight=weight)
        return learner, outputs

    learner, outputs = jax.lax.scan(body, learner, (inputs, targets, weights))
    return outputs, learner.gradient


def _one_hot(architecture: Architecture, inputs: jax.Array, dtype: Any) -> jax.Array:
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        return jax.nn.one_hot(inputs, architecture.num_inputs, dtype=dtype)
    return inputs.astype(dtype)


def _advance(
    architecture: Architecture,
    traces: Traces,
    sources: UnitWeights,
    input_gate: jax.Array | None,
    cell_input: jax.Array,
) -> Traces:
    """Eqs. 25 and 27: adds to every trace what a step contributes, or T of them, [T, ...] each."""
    g, axis = ACTIVATIONS[architecture.cell_input], cell_input.ndim - 1
    to_cell = gated(architecture, input_gate, g.slope(cell_input), axis)
    cell = _add_outer(traces.cell, sources, to_cell)
    if input_gate is None:
        return Traces(None, cell)
    to_gate = cell_input * spread(architecture, logistic.slope(input_gate), axis)
    return Traces(_add_outer(traces.input_gate, sources, to_gate), cell)


def _through_traces(
    architecture: Architecture, traces: Traces, delta_s: jax.Array
) -> tuple[UnitWeights | None, UnitWeights]:
    """Eqs. 26 and 28: the gradient by the input gates' and the cells' weights, from delta_s [C]."""
    cell = _times(traces.cell, delta_s)
    if traces.input_gate is None:
        return None, cell
    by_cell = _times(traces.input_gate, delta_s)
    add_up = lambda weights: sum_over_blocks(architecture, weights, axis=-1)
    return jax.tree.map(add_up, by_cell), cell


def _gradient(
    architecture: Architecture,
    learner: Learner,
    sources: UnitWeights,
    outputs: jax.Array,
    errors: jax.Array,
) -> Parameters:
    """Eqs. 19-28: one step's gradient of E / 2, from `errors` = outputs - target."""
    state, output, layer = learner.state, learner.parameters.output, learner.parameters.layer
    h = ACTIVATIONS[architecture.cell_output]
    delta_k = ACTIVATIONS[architecture.output].slope(outputs) * errors  # (19)
    delta_y = output.cell @ delta_k
    squashed_state = h.value(state.internal_state)
    delta_s = gated(architecture, state.output_gate, h.slope(squashed_state)) * delta_y  # (23)

    output_gate = hidden = hidden_output = None
    if state.output_gate is not None:  # (21), (22)
        to_gate = sum_over_blocks(architecture, squashed_state * delta_y)
        output_gate = _outer(
            layer.output_gate, sources, logistic.slope(state.output_gate) * to_gate
        )
    if state.hidden is not None:  # (20)
        delta_hidden = logistic.slope(state.hidden) * (output.hidden @ delta_k)
        hidden = _outer(layer.hidden, sources, delta_hidden)
        hidden_output = jnp.outer(state.hidden, delta_k)
    input_gate, cell = _through_traces(architecture, learner.traces, delta_s)  # (26), (28)
    return Parameters(
        Layer(input_gate, output_gate, cell, hidden),
        OutputWeights(
            cell=jnp.outer(state.cell_output, delta_k),
            hidden=hidden_output,
            input=None if output.input is None else jnp.outer(sources.input, delta_k),
            bias=None if output.bias is None else delta_k,
        ),
    )


def _outer(weights: UnitWeights, sources: UnitWeights, delta: jax.Array) -> UnitWeights:
    """y_m delta_l for every weight that `weights` has, summed over the steps if there are many."""
    pairs = zip(weights, sources, strict=True)
    present = UnitWeights(*(None if w is None else y for w, y in pairs))
    if delta.ndim == 1:
        return jax.tree.map(lambda y: jnp.multiply.outer(y, delta), present)
    return jax.tree.map(lambda y: jnp.tensordot(y, delta, axes=(0, 0)), present)


def _times(traces: UnitWeights, delta: jax.Array) -> UnitWeights:
    """The traces of each cell, times its delta."""
    return jax.tree.map(lambda trace: trace * jnp.broadcast_to(delta, trace.shape), traces)


def _add_outer(traces: UnitWeights, sources: UnitWeights, delta: jax.Array) -> UnitWeights:
    return jax.tree.map(jnp.add, traces, _outer(traces, sources, delta))


def _check_step(architecture: Architecture, x_t: jax.Array, target: jax.Array | None) -> None:
    is_symbol = jnp.issubdtype(x_t.dtype, jnp.integer)
    wanted = () if is_symbol else (architecture.num_inputs,)
    if x_t.shape != wanted:
        raise ValueError(f"x_t of dtype {x_t.dtype} must have shape {wanted}, got {x_t.shape}")
    if target is not None and target.shape != (architecture.num_outputs,):
        raise ValueError(
            f"target must have shape {(architecture.num_outputs,)}, got {target.shape}"
        )
