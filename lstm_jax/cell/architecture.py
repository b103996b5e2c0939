"""The topology of a network: a static, hashable description that counts its own weights.

Dimensions, here and everywhere in this package:

    T  time steps             I  input units          J  memory blocks (and gates of one type)
    C  memory cells in all    N  conventional hidden  H  hidden layer: gates, cells and hidden
    K  output units           S  what the hidden layer sees of itself
    R  trials (networks)      B  sequences in a batch
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Generic, Literal, TypeVar, get_args

from lstm_jax.cell.activations import ACTIVATIONS, output_activations
from lstm_jax.cell.pytrees import static
from lstm_jax.cell.records import (
    Activations,
    AnyActivations,
    AnyParameters,
    AnyState,
    LayerState,
    Parameters,
    StackParameters,
    State,
)
from lstm_jax.cell.units import GATES, UNIT_TYPES, Layer, UnitType
from lstm_jax.cell.validation import as_float, as_integer, check_choice, require

P = TypeVar("P", covariant=True)
S = TypeVar("S", covariant=True)
A = TypeVar("A", covariant=True)

Biases = Literal["none", "gates", "hidden", "all"]
Sources = Literal["all", "cells", "none"]
Normalisation = Literal["none", "rms", "layer"]

_UNITS = (*(unit_type.name for unit_type in UNIT_TYPES), "output")  # all that may have a bias
_BIASED: dict[str, tuple[str, ...]] = {
    "none": (),
    "gates": tuple(gate.name for gate in GATES),
    "hidden": _UNITS[:-1],
    "all": _UNITS,
}


class NetworkOf(Generic[P, S, A]):
    """An `Architecture` or a `Stack`; P, S and A are its parameters, states and activations.

    Functions of networks read their layers, and make P, S and A of what belongs to each layer.
    """

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field]]
    layers: tuple[Architecture, ...]
    num_inputs: int
    num_outputs: int
    output: str
    bidirectional: bool = False
    dropout: float = 0.0
    normalisation: Normalisation = "none"

    def seen(self, index: int) -> Architecture:
        """Return a layer as those see it that are above: with the blocks of both directions."""
        return self.layers[index]

    def make_parameters(self, weights: StackParameters) -> P:
        """Return the parameters of the network from those of its layers."""
        raise NotImplementedError

    def make_state(self, states: tuple[LayerState, ...]) -> S:
        """Return the state of the network from those of its layers."""
        raise NotImplementedError

    def make_activations(self, activations: tuple[Activations, ...]) -> A:
        """Return the activations of the network from those of its layers."""
        raise NotImplementedError


NetworkWith = NetworkOf[P, AnyState, AnyActivations]
NetworkWithState = NetworkOf[P, S, AnyActivations]
AnyNetwork = NetworkWith[AnyParameters]


def check_network(architecture: object) -> None:
    """Raise ValueError unless a value is an architecture or a stack."""
    is_network = isinstance(architecture, NetworkOf)
    require(is_network, "architecture", "an Architecture or a Stack", architecture)


def check_outputs(architecture: AnyNetwork) -> None:
    """Raise ValueError unless a value is a network with output units."""
    check_network(architecture)
    if not architecture.num_outputs:
        raise ValueError("num_outputs must be at least 1 here, got 0; unroll runs a hidden layer")


@static
@dataclasses.dataclass(frozen=True)
class Architecture(NetworkOf[Parameters, State, Activations]):
    """The topology of an LSTM network (section 4, appendix A.1), of 1997 or a descendant.

    The hidden layer holds, in this order, the J input gates, J forget gates, J output gates, the C
    memory cells and the N conventional hidden units, all of which see the inputs. The output units
    see the cells and the conventional hidden units, not the gates.

    >>> net = Architecture(num_inputs=8, blocks=(2, 2), num_outputs=4)  # task 6a
    >>> net.num_cells, net.num_units, net.num_weights
    (4, 8, 156)

    Attributes:
      num_inputs: I, input units, at least 1.
      blocks: cells in each memory block, at least one block of at least one cell.
      num_outputs: K, output units; 0 for a hidden layer alone, such as one below another: it has no
        output weights, and `unroll` runs it.
      num_hidden: N, conventional hidden units, at least 0.
      input_gates: whether blocks have input gates; otherwise y_in = 1.
      output_gates: whether blocks have output gates; otherwise y_out = 1.
      recurrent: what the hidden layer sees of itself one step before: "all" of it, as in the paper;
        its "cells" and conventional hidden units but no gates, as in later work; or "none". True
        stands for "all", False for "none".
      input_to_output: whether the inputs also feed the output units directly.
      biases: which units have a bias weight: "none", "gates", "hidden" (the whole hidden layer)
        or "all" (the hidden layer and the output units); or a tuple of unit types, such as
        ("input_gate", "output").
      cell_input: the activation function g, a key of `ACTIVATIONS`, to which `register_activation`
        adds.
      cell_output: the activation function h, a key of `ACTIVATIONS`.
      output: the activation function of the output units, a key of `ACTIVATIONS`; or "softmax" for
        the probabilities of K classes, at least 2.
      forget_gates: whether blocks have forget gates (Gers et al. 2000); otherwise y_phi = 1.
      peepholes: whether gates see the internal states of their block, by one weight per cell (Gers
        et al. 2002).
      initial_activation: y(0) of gates, cells and hidden units; 0 in the paper, 0.5 in a simulator
        by its authors. Internal states start at 0.

    Raises:
      ValueError: if a field is out of its range.
    """

    num_inputs: int
    blocks: tuple[int, ...]
    num_outputs: int
    num_hidden: int = 0
    input_gates: bool = True
    output_gates: bool = True
    recurrent: Sources | bool = "all"
    input_to_output: bool = False
    biases: Biases | tuple[str, ...] = "all"
    cell_input: str = "centred_2"
    cell_output: str = "centred_1"
    output: str = "logistic"
    forget_gates: bool = False
    peepholes: bool = False
    initial_activation: float = 0.0

    def __post_init__(self) -> None:
        normalise = lambda name, value: object.__setattr__(self, name, value)
        is_tuple = isinstance(self.blocks, (tuple, list)) and len(self.blocks) > 0
        require(is_tuple, "blocks", "a non-empty tuple of cells per block", self.blocks)
        normalise("blocks", tuple(as_integer("each of blocks", size, 1) for size in self.blocks))
        for name, least in (("num_inputs", 1), ("num_outputs", 0), ("num_hidden", 0)):
            normalise(name, as_integer(name, getattr(self, name), least))
        for name in ("input_to_output", "peepholes", *(gate.count_field for gate in GATES)):
            check_choice(name, getattr(self, name), (True, False))
        if isinstance(self.recurrent, bool):
            normalise("recurrent", "all" if self.recurrent else "none")
        check_choice("recurrent", self.recurrent, get_args(Sources))
        if isinstance(self.biases, (tuple, list)):  # JSON makes lists of tuples
            for name in self.biases:
                check_choice("biases", name, _UNITS)
            normalise("biases", tuple(name for name in _UNITS if name in self.biases))
        else:
            check_choice("biases", self.biases, get_args(Biases))
        for name in ("cell_input", "cell_output"):
            value = getattr(self, name)
            is_known = isinstance(value, str) and value in ACTIVATIONS
            allowed = f"one of {tuple(ACTIVATIONS)}, or made known by register_activation"
            require(is_known, name, allowed, value)
        check_choice("output", self.output, output_activations())
        if self.output == "softmax":
            as_integer("num_outputs of a softmax", self.num_outputs, 2)
        if self.input_to_output and not self.num_outputs:
            raise ValueError("input_to_output must be False without output units")
        normalise("initial_activation", as_float("initial_activation", self.initial_activation))

    @property
    def layers(self) -> tuple[Architecture, ...]:
        """The network as a stack of one layer."""
        return (self,)

    @property
    def num_blocks(self) -> int:
        """J, the number of memory blocks."""
        return len(self.blocks)

    @property
    def num_cells(self) -> int:
        """C, the number of memory cells in all blocks together."""
        return sum(self.blocks)

    @property
    def num_units(self) -> int:
        """H, the size of the hidden layer: gates, cells and conventional hidden units."""
        return sum(self.sizes)

    @property
    def num_sources(self) -> int:
        """S, the number of its own activations that the hidden layer sees."""
        return sum(n for n, is_seen in zip(self.sizes, self.is_recurrent, strict=True) if is_seen)

    @property
    def num_weights(self) -> int:
        """W, the number of trainable weights, biases included; equals the paper's counts."""
        into_layer = self.num_units * (self.num_inputs + self.num_sources)
        output_fan_in = self.num_cells + self.num_hidden + self.num_inputs * self.input_to_output
        num_biases = sum(self.count(t) for t in UNIT_TYPES if t.name in self.biased)
        num_biases += self.num_outputs * ("output" in self.biased)
        num_peepholes = self.num_cells * sum(self.has_peephole(t) for t in UNIT_TYPES)
        return into_layer + self.num_outputs * output_fan_in + num_biases + num_peepholes

    @property
    def sizes(self) -> Layer[int]:
        """The number of units of each type in the hidden layer."""
        return Layer(*map(self.count, UNIT_TYPES))

    @property
    def is_recurrent(self) -> Layer[bool]:
        """For each type, whether the hidden layer sees it one step later."""
        sees_gates, sees_others = self.recurrent == "all", self.recurrent != "none"
        return Layer(*(sees_gates if t.is_gate else sees_others for t in UNIT_TYPES))

    @property
    def biased(self) -> tuple[str, ...]:
        """The names of the types that have a bias, those of the hidden layer and "output"."""
        return _BIASED[self.biases] if isinstance(self.biases, str) else self.biases

    def count(self, unit_type: UnitType) -> int:
        """Return the number of units of a type."""
        number = int(getattr(self, unit_type.count_field))
        return self.num_blocks * number if unit_type.is_gate else number

    def has_peephole(self, unit_type: UnitType) -> bool:
        """Return whether units of a type see internal states."""
        return self.peepholes and unit_type.peephole != "none" and self.count(unit_type) > 0

    def make_parameters(self, weights: StackParameters) -> Parameters:
        """Return the parameters of the one layer."""
        return Parameters(weights.layers[0], weights.output)

    def make_state(self, states: tuple[LayerState, ...]) -> State:
        """Return the state of the one layer."""
        (state,) = states
        assert isinstance(state, State)
        return state

    def make_activations(self, activations: tuple[Activations, ...]) -> Activations:
        """Return the activations of the one layer."""
        return activations[0]
