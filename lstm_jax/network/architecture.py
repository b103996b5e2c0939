"""What a network looks like: a static, hashable description that counts its own weights.

Dimensions, here and everywhere in this package:

    T  time steps             I  input units          J  memory blocks (and gates of a kind)
    C  memory cells in all    N  conventional hidden  H  hidden layer: gates, cells and hidden
    K  output units           R  trials (networks)    B  sequences in a batch
"""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

from lstm_jax.network.activations import ACTIVATIONS

Biases = Literal["none", "gates", "hidden", "all"]


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The topology of a 1997 LSTM network (section 4, appendix A.1).

    The hidden layer holds, in this order, the J input gates, the J output gates, the C memory
    cells and the N conventional hidden units. Every unit of it sees the inputs and, if
    `recurrent`, the whole hidden layer one step before. The output units see the cells and the
    conventional hidden units, and the inputs if `input_to_output`; they do not see the gates.

    >>> net = Architecture(num_inputs=8, blocks=(2, 2), num_outputs=4)  # task 6a
    >>> net.num_cells, net.num_units, net.num_weights
    (4, 8, 156)

    Attributes:
      num_inputs: I, input units, at least 1.
      blocks: cells in each memory block, at least one block of at least one cell.
      num_outputs: K, output units, at least 1.
      num_hidden: N, conventional hidden units.
      input_gates: whether blocks have input gates; without one, y_in = 1.
      output_gates: whether blocks have output gates; without one, y_out = 1.
      recurrent: whether the hidden layer sees itself one step before.
      input_to_output: whether the inputs also feed the output units directly.
      biases: which units have a bias weight: "none", "gates", "hidden" (the whole hidden layer)
        or "all" (the hidden layer and the output units).
      cell_input: the squashing function g, a key of `ACTIVATIONS`.
      cell_output: the squashing function h, a key of `ACTIVATIONS`.
      output: the squashing function of the output units, a key of `ACTIVATIONS`.

    Raises:
      ValueError: if a field is out of its range, naming the field, its value and what is allowed.
    """

    num_inputs: int
    blocks: tuple[int, ...]
    num_outputs: int
    num_hidden: int = 0
    input_gates: bool = True
    output_gates: bool = True
    recurrent: bool = True
    input_to_output: bool = False
    biases: Biases = "all"
    cell_input: str = "centred_2"
    cell_output: str = "centred_1"
    output: str = "logistic"

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", _as_blocks(self.blocks))
        for name, least in (("num_inputs", 1), ("num_outputs", 1), ("num_hidden", 0)):
            _check_count(name, getattr(self, name), least)
        for name in ("input_gates", "output_gates", "recurrent", "input_to_output"):
            _check_choice(name, getattr(self, name), (True, False))
        _check_choice("biases", self.biases, get_args(Biases))
        for name in ("cell_input", "cell_output", "output"):
            _check_choice(name, getattr(self, name), tuple(ACTIVATIONS))

    @property
    def num_blocks(self) -> int:
        """J, the number of memory blocks."""
        return len(self.blocks)

    @property
    def num_cells(self) -> int:
        """C, the number of memory cells in all blocks together."""
        return sum(self.blocks)

    @property
    def num_gates(self) -> int:
        """The number of gate units of both kinds."""
        return self.num_blocks * (self.input_gates + self.output_gates)

    @property
    def num_units(self) -> int:
        """H, the size of the hidden layer: gates, cells and conventional hidden units."""
        return self.num_gates + self.num_cells + self.num_hidden

    @property
    def num_weights(self) -> int:
        """W, the number of trainable weights, biases included; equals the paper's counts."""
        fan_in = self.num_inputs + self.num_units * self.recurrent
        output_fan_in = self.num_cells + self.num_hidden + self.num_inputs * self.input_to_output
        num_biases = {
            "none": 0,
            "gates": self.num_gates,
            "hidden": self.num_units,
            "all": self.num_units + self.num_outputs,
        }[self.biases]
        return self.num_units * fan_in + self.num_outputs * output_fan_in + num_biases


def _as_blocks(blocks: object) -> tuple[int, ...]:
    if not isinstance(blocks, (tuple, list)) or not blocks:
        raise ValueError(f"blocks must be a non-empty tuple of cells per block, got {blocks!r}")
    for size in blocks:
        _check_count("blocks", size, 1)
    return tuple(blocks)


def _check_count(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must hold integers of at least {least}, got {value!r}")


def _check_choice(name: str, value: object, allowed: tuple) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {allowed}, got {value!r}")
