"""The network of 1997 with its truncated gradient: a short, slow, readable definition."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cell.activations import ACTIVATIONS, activate_outputs, logistic
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.records import Parameters
from lstm_jax.cell.units import Layer


def apply(architecture: Architecture, parameters: Parameters, inputs: jax.Array) -> jax.Array:
    """Compute the outputs [T, K] for one sequence [T, I]; `jax.grad` is the truncated gradient.

    E = Σ_t Σ_k (target_k(t) - y_k(t))² (eq. 16); the paper descends along the gradient of E / 2.
    Raises ValueError if the architecture has forget gates or peepholes, which came later.
    """
    if architecture.forget_gates or architecture.peepholes:
        raise ValueError("architecture must have no forget gates and no peepholes")
    f, g, h = logistic, ACTIVATIONS[architecture.cell_input], ACTIVATIONS[architecture.cell_output]
    layer, output = parameters
    block = np.repeat(np.arange(architecture.num_blocks), architecture.blocks)  # of each cell
    absent = jnp.zeros(0, inputs.dtype)

    def step(carry: tuple[Layer, jax.Array], x: jax.Array) -> tuple:
        y_tm1, s_tm1 = carry
        sees = zip(y_tm1, architecture.is_recurrent, strict=True)
        y_tm1 = jnp.concatenate([y if is_seen else absent for y, is_seen in sees])
        y_tm1 = jax.lax.stop_gradient(y_tm1)  # the truncation: no error goes from net_l to y(t-1)

        def units(weights, activation):  # net_l = Σ_m w_lm y_m over inputs, y(t-1) and a bias
            if weights is None:
                return absent
            net = x @ weights.input
            net = net if weights.recurrent is None else net + y_tm1 @ weights.recurrent
            return activation(net if weights.bias is None else net + weights.bias)

        gate = lambda y, cells: y[block] * cells if y.size else cells
        y_in, y_out = units(layer.input_gate, f), units(layer.output_gate, f)  # (7), (8)
        s = s_tm1 + gate(y_in, units(layer.cell, g))  # (9): error flows back to s(t-1) unchanged
        y_c, y_i = gate(y_out, h(s)), units(layer.hidden, f)  # (9), (7)
        net_k = y_c @ output.cell
        net_k = net_k if output.hidden is None else net_k + y_i @ output.hidden
        net_k = net_k if output.input is None else net_k + x @ output.input
        net_k = net_k if output.bias is None else net_k + output.bias
        outputs = activate_outputs(architecture.output, net_k, axis=0)
        return (Layer(y_in, absent, y_out, y_c, y_i), s), outputs

    start = lambda n: jnp.full(n, architecture.initial_activation, inputs.dtype)
    s_0 = jnp.zeros(architecture.num_cells, inputs.dtype)
    return jax.lax.scan(step, (jax.tree.map(start, architecture.sizes), s_0), inputs)[1]
