"""Error flow over q steps back in time (section 3.1, eqs. 1-2; appendix A.2, eqs. 30-35).

For a recurrent net and ϑ the error signal at a net input, eq. 1 gives, for q = 1, 2, ...,

    ∂ϑ_v(t-q)/∂ϑ_u(t) = f'(net_v(t-q)) Σ_l w_lv ∂ϑ_l(t-q+1)/∂ϑ_u(t),

a product of q derivatives and q weights for each path, bounded by n (f'max ||W||)^q (eq. 2): with
logistic units it vanishes if ||W|| < 4. For the constant error carrousel it is 1.0 for every q.
"""

from __future__ import annotations

import functools
from typing import Literal, get_args

import jax
import jax.numpy as jnp

from lstm_jax.baselines import fully_recurrent
from lstm_jax.baselines.fully_recurrent import RecurrentNet, Weights, as_vectors
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import join
from lstm_jax.cell.records import Parameters, State
from lstm_jax.cell.scan import Sequence, project
from lstm_jax.cell.step import cell_step
from lstm_jax.cell.validation import check_choice
from lstm_jax.network.run import check_run, prepare

Paths = Literal["truncated", "full"]


def recurrent_factors(net: RecurrentNet, weights: Weights, inputs: jax.Array) -> jax.Array:
    """Return ∂ϑ_v(t-q)/∂ϑ_u(t) of a recurrent net, for the last step t and all paths (BPTT).

    The inputs are [T, I] floating, or [T] integers for one-hot vectors.

    Returns:
      [T - 1, R, R]: at [q - 1, v, u], for q = 1 .. T - 1.
    """
    return _recurrent_factors(net, weights, as_vectors(net, inputs, weights.input.dtype))


@functools.partial(jax.jit, static_argnums=0, inline=True)
def _recurrent_factors(net: RecurrentNet, weights: Weights, inputs: jax.Array) -> jax.Array:
    def forward(y_tm1: jax.Array, x_t: jax.Array) -> tuple[jax.Array, jax.Array]:
        y_t, value = fully_recurrent.step(net, weights, y_tm1, x_t)
        return y_t, fully_recurrent.activation_derivatives(net, value)

    _, derivatives = jax.lax.scan(forward, jnp.zeros_like(weights.recurrent[0]), inputs)
    tau = fully_recurrent.time_constants(net, derivatives.dtype)

    def backward(on_y: jax.Array, derivatives_t: jax.Array) -> tuple[jax.Array, jax.Array]:
        on_net = derivatives_t[:, None] * on_y
        leak = 0 if tau is None else tau[:, None] * on_y
        return weights.recurrent @ on_net + leak, on_net

    return jax.lax.scan(backward, weights.recurrent, derivatives[:-1], reverse=True)[1][::-1]


def error_bound(weights: Weights, num_steps: int) -> jax.Array:
    """Return n (f'max ||W||)^q, the bound of eq. 2, for q = 1 .. num_steps.

    ||W|| is the matrix norm induced by the maximum norm, the largest row sum of absolute values.
    The bound holds for logistic units without time constants.

    >>> weights = Weights(None, jnp.array([[2.0]]), None, None)
    >>> error_bound(weights, 3)
    Array([0.5  , 0.25 , 0.125], dtype=float32)
    """
    recurrent = weights.recurrent
    norm = jnp.abs(recurrent).sum(0).max()  # w_uv is at [v, u]
    q = jnp.arange(1, num_steps + 1).astype(recurrent.dtype)
    return recurrent.shape[0] * (0.25 * norm) ** q  # f'max = 0.25


def carrousel_factors(
    architecture: Architecture,
    parameters: Parameters,
    inputs: jax.Array,
    paths: Paths = "truncated",
) -> jax.Array:
    """Return ∂E/∂s_v(t-q) for an error of 1 at s_u(t), t the last step.

    `paths` is "truncated", the paper's gradient, or "full", through gates and activations as well.
    The other arguments and errors are those of `unroll`.

    Returns:
      [T - 1, C, C]: at [q - 1, v, u], for q = 1 .. T - 1. Truncated, each is the identity.
    """
    check_choice("paths", paths, get_args(Paths))
    sequence = check_run(architecture, parameters, inputs)
    return _carrousel_factors(architecture, paths == "truncated", parameters, sequence)


@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
def _carrousel_factors(
    architecture: Architecture, truncate: bool, parameters: Parameters, sequence: Sequence[State]
) -> jax.Array:
    sequence = prepare(sequence, architecture.num_inputs)
    weights = join(architecture, parameters.layer)
    net_inputs = project(weights, sequence.inputs)

    def step(state: State, net_input: jax.Array) -> State:
        return cell_step(architecture, weights, state, net_input, truncate)[0]

    record = lambda state, net_input: (step(state, net_input), state)
    final, before = jax.lax.scan(record, sequence.initial_state, net_inputs)

    def backward(delta: State, at: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
        state_tm1, net_input = at
        _, pull = jax.vjp(lambda state: step(state, net_input), state_tm1)
        (delta_tm1,) = jax.vmap(pull)(delta)  # for each u
        # A change of s(t-1) as step t sees it is a change of s(t), so this is the error at s(t),
        # including the part through y_c(t).
        return delta_tm1, delta_tm1.internal_state

    cells = architecture.num_cells
    nothing = jax.tree.map(lambda a: jnp.zeros((cells, *a.shape), a.dtype), final)
    unit = nothing._replace(internal_state=jnp.eye(cells, dtype=final.internal_state.dtype))
    _, arrived = jax.lax.scan(backward, unit, (before, net_inputs), reverse=True)
    return jnp.swapaxes(arrived[::-1][1:], 1, 2)
