"""Stacks of layers: a static, hashable description, as `Architecture` is of one layer.

The inputs of every layer but the lowest are the outputs of the layer below: of its cells and its
conventional hidden units, in this order, forward layer first in each if there are two directions.
Between layers they may be normalised, without trainable gains, because the weights of the layer
above are such gains already, and dropped out, with one mask for all steps of a sequence (Gal &
Ghahramani 2016):

    rms    x / sqrt(mean(x²) + 1e-6)      (Zhang & Sennrich 2019)
    layer  the same of x - mean(x)        (Ba, Kiros & Hinton 2016)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, get_args

from lstm_jax.cell.architecture import Architecture, NetworkOf, Normalisation
from lstm_jax.cell.pytrees import static
from lstm_jax.cell.records import Activations, LayerState, StackParameters
from lstm_jax.cell.validation import as_float, check_choice, check_type, require

States = tuple[LayerState, ...]


@static
@dataclasses.dataclass(frozen=True)
class Stack(NetworkOf[StackParameters, States, tuple[Activations, ...]]):
    """A network of layers on top of each other; `make_stack` makes one from sizes.

    >>> lower = Architecture(num_inputs=3, blocks=(2, 2), num_outputs=0)
    >>> upper = Architecture(num_inputs=4, blocks=(2,), num_outputs=1)
    >>> Stack((lower, upper)).num_weights == lower.num_weights + upper.num_weights
    True

    Attributes:
      layers: the layers, the lowest first. Each has as many inputs as the layer below has outputs;
        those below the top have no output units. The output units are those of the top layer.
      bidirectional: whether every layer is two, in opposite directions (Graves & Schmidhuber 2005).
        The layer above, or the output units, see both.
      dropout: the probability with which an input of a layer above another is 0 throughout a
        sequence, where a key is given; in [0, 1). The others are divided by 1 - dropout.
      normalisation: of the inputs of the layers above others at every step, before dropout: "none",
        "rms" or "layer".

    Raises:
      ValueError: if a field is out of its range, or the layers do not fit each other.
    """

    layers: tuple[Architecture, ...]
    bidirectional: bool = False
    dropout: float = 0.0
    normalisation: Normalisation = "none"

    def __post_init__(self) -> None:
        is_tuple = isinstance(self.layers, (tuple, list)) and len(self.layers) > 0
        require(is_tuple, "layers", "a non-empty tuple of Architecture", self.layers)
        layers = tuple(Architecture(**a) if isinstance(a, dict) else a for a in self.layers)  # JSON
        object.__setattr__(self, "layers", layers)
        check_choice("bidirectional", self.bidirectional, (True, False))
        object.__setattr__(self, "dropout", as_float("dropout", self.dropout, least=0.0))
        require(self.dropout < 1, "dropout", "below 1", self.dropout)
        check_choice("normalisation", self.normalisation, get_args(Normalisation))
        for i, layer in enumerate(layers):
            check_type(f"layers[{i}]", layer, Architecture)
            if i < len(layers) - 1:
                is_hidden = layer.num_outputs == 0
                require(is_hidden, f"num_outputs of layers[{i}]", "0", layer.num_outputs)
            if i > 0:
                wanted = self.width(i - 1)
                got = f"num_inputs of layers[{i}]"
                require(layer.num_inputs == wanted, got, f"{wanted}", layer.num_inputs)

    @property
    def num_inputs(self) -> int:
        """I, the number of input units."""
        return self.layers[0].num_inputs

    @property
    def num_outputs(self) -> int:
        """K, the number of output units."""
        return self.layers[-1].num_outputs

    @property
    def output(self) -> str:
        """The activation function of the output units."""
        return self.layers[-1].output

    @property
    def num_blocks(self) -> int:
        """The number of memory blocks of all layers and directions."""
        return sum(self.seen(i).num_blocks for i in range(len(self.layers)))

    @property
    def num_weights(self) -> int:
        """W, the number of trainable weights, biases included."""
        hidden = [without_outputs(layer).num_weights for layer in self.layers]
        top = self.seen(-1)
        outputs = top.num_weights - without_outputs(top).num_weights
        return sum(hidden) * (1 + self.bidirectional) + outputs

    def width(self, index: int) -> int:
        """Return the number of outputs of a layer: cells and conventional hidden units."""
        seen = self.seen(index)
        return seen.num_cells + seen.num_hidden

    def seen(self, index: int) -> Architecture:
        """Return a layer as those see it that are above: with the blocks of both directions."""
        layer = self.layers[index]
        if not self.bidirectional:
            return layer
        return dataclasses.replace(layer, blocks=2 * layer.blocks, num_hidden=2 * layer.num_hidden)

    def make_parameters(self, weights: StackParameters) -> StackParameters:
        """Return them as they are."""
        return weights

    def make_state(self, states: States) -> States:
        """Return them as they are."""
        return states

    def make_activations(self, activations: tuple[Activations, ...]) -> tuple[Activations, ...]:
        """Return them as they are."""
        return activations


def make_stack(
    num_inputs: int,
    blocks: Sequence[Sequence[int]],
    num_outputs: int,
    *,
    bidirectional: bool = False,
    dropout: float = 0.0,
    normalisation: Normalisation = "none",
    **fields: Any,
) -> Stack:
    """Return a stack of layers that differ in their sizes alone.

    >>> stack = make_stack(3, blocks=((2, 2), (1, 1, 1)), num_outputs=1, forget_gates=True)
    >>> [layer.num_inputs for layer in stack.layers], [x.num_outputs for x in stack.layers]
    ([3, 4], [0, 1])

    Args:
      num_inputs: I, the inputs of the lowest layer.
      blocks: the cells in each memory block of each layer, the lowest first.
      num_outputs: K, the output units of the top layer.
      bidirectional, dropout, normalisation: fields of `Stack`.
      **fields: further fields of `Architecture`, for all layers; `input_to_output` for the top one.

    Raises:
      TypeError: if `Architecture` does not have a field.
      ValueError: if a value is out of its range.
    """
    is_list = lambda value: isinstance(value, (tuple, list)) and len(value) > 0
    is_met = is_list(blocks) and all(map(is_list, blocks))
    require(is_met, "blocks", "the blocks of each layer, such as ((2, 2), (2,))", blocks)
    layers: list[Architecture] = []
    for i, sizes in enumerate(blocks):
        is_top = i == len(blocks) - 1
        own = fields if is_top else {**fields, "input_to_output": False}
        layer = Architecture(num_inputs, tuple(sizes), num_outputs if is_top else 0, **own)
        layers.append(layer)
        num_inputs = Stack((without_outputs(layer),), bidirectional).width(0)
    return Stack(tuple(layers), bidirectional, dropout, normalisation)


def without_outputs(architecture: Architecture) -> Architecture:
    """Return the hidden layer of an architecture, without output units."""
    output = "identity" if architecture.output == "softmax" else architecture.output
    return dataclasses.replace(architecture, num_outputs=0, input_to_output=False, output=output)
