"""The arrays of a network as named tuples, which are pytrees: weights, states, activations."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import jax

from lstm_jax.cell.pytrees import exportable
from lstm_jax.cell.units import Layer, MaybeNone


@exportable
class UnitWeights(NamedTuple):
    """The incoming weights of the n units of one type; the paper's `w_lm` is `[m, l]` here.

    Attributes:
      input: [I, n] floating.
      recurrent: [S, n], the sources in the order of `Layer`; None if the layer does not see itself.
      bias: [n]; None without biases.
      peephole: [C], from each cell to its block's gate; None without peepholes. After `join`, a
        `Layer`.
    """

    input: jax.Array
    recurrent: jax.Array | MaybeNone
    bias: jax.Array | MaybeNone
    peephole: MaybeNone = None


@exportable
class OutputWeights(NamedTuple):
    """The incoming weights of the K output units, which see no gates.

    Attributes:
      cell: [C, K] floating.
      hidden: [N, K]; None without conventional hidden units.
      input: [I, K] with `input_to_output`; otherwise None.
      bias: [K]; None without biases.
    """

    cell: jax.Array
    hidden: jax.Array | MaybeNone
    input: jax.Array | MaybeNone
    bias: jax.Array | MaybeNone


@exportable
class Parameters(NamedTuple):
    """All weights of one network, a pytree; all arrays have one floating dtype.

    Attributes:
      layer: the weights into the hidden layer, by type of unit.
      output: the weights into the output units; None without output units.
    """

    layer: Layer[UnitWeights]
    output: OutputWeights | MaybeNone

    @property
    def layers(self) -> tuple[Layer[UnitWeights], ...]:
        """The weights into each hidden layer, as of a stack of one."""
        return (self.layer,)

    @property
    def backward(self) -> None:
        """None: there is one direction."""
        return None


@exportable
class StackParameters(NamedTuple):
    """All weights of a stack of layers, a pytree; all arrays have one floating dtype.

    Attributes:
      layers: the weights into each hidden layer, the lowest first.
      backward: those of the layers that run backwards; None with one direction.
      output: the weights into the output units, from both directions [2C, K] and [2N, K]; None
        without output units.
    """

    layers: tuple[Layer[UnitWeights], ...]
    backward: tuple[Layer[UnitWeights], ...] | MaybeNone
    output: OutputWeights | MaybeNone


@exportable
class State(NamedTuple):
    """The hidden layer's carry from one step to the next; absent types of unit are None.

    Attributes:
      internal_state: [C], s_c: the constant error carrousels.
      cell_output: [C], y_c.
      input_gate: [J], y_in, in [0, 1].
      output_gate: [J], y_out, in [0, 1].
      hidden: [N], y_i, in [0, 1].
      forget_gate: [J], y_phi, in [0, 1].
    """

    internal_state: jax.Array
    cell_output: jax.Array
    input_gate: jax.Array | MaybeNone
    output_gate: jax.Array | MaybeNone
    hidden: jax.Array | MaybeNone
    forget_gate: jax.Array | MaybeNone = None


@exportable
class Activations(NamedTuple):
    """The activations of the hidden layer over a sequence; absent types of unit are None.

    Attributes:
      cell_output: [T, C], y_c.
      hidden: [T, N], y_i.
      internal_state: [T, C], s_c.
      input_gate: [T, J], y_in.
      output_gate: [T, J], y_out.
      cell_input: [T, C], g(net_c).
      forget_gate: [T, J], y_phi.
    """

    cell_output: jax.Array
    hidden: jax.Array | MaybeNone
    internal_state: jax.Array
    input_gate: jax.Array | MaybeNone
    output_gate: jax.Array | MaybeNone
    cell_input: jax.Array
    forget_gate: jax.Array | MaybeNone = None


LayerState = State | tuple[State, State]  # of one direction, or of both

# What belongs to a network: of one layer, or of a stack.
AnyParameters = Parameters | StackParameters
AnyState = State | tuple[LayerState, ...]
AnyActivations = Activations | tuple[Activations, ...]
P = TypeVar("P", bound=AnyParameters)
S = TypeVar("S", bound=AnyState)
A = TypeVar("A", bound=AnyActivations)


def by_layer(state: AnyState) -> tuple[LayerState, ...]:
    """Return the states of the layers of a network, which of a stack are a tuple already."""
    return (state,) if isinstance(state, State) else state
