"""The types of unit in the hidden layer, and records with an entry per type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from lstm_jax.cell.pytrees import exportable

T = TypeVar("T")

# `Array | MaybeNone` is an array that is None for unit types that the architecture lacks. A type
# checker cannot know which ones those are; with None itself it would ask for a check at every use.
MaybeNone = Any


class UnitType(NamedTuple):
    """One type of unit in the hidden layer.

    Attributes:
      name: its field in `Layer`, and so in `Parameters.layer`.
      count_field: the field of `Architecture` with the number of units; for a gate, whether there
        are any.
      activation: the field of `State` and `Activations` that holds what the hidden layer sees of
        it.
      is_gate: whether there is one per memory block, as a factor of a value of each of its cells.
      enters_state: whether its value enters the internal state, so that there are traces (eqs. 25,
        27).
      peephole: the internal states of its block that a peephole feeds to it.
    """

    name: str
    count_field: str
    activation: str
    is_gate: bool = False
    enters_state: bool = False
    peephole: Literal["s(t-1)", "s(t)", "none"] = "none"


# Counts, weights, initial biases, peepholes, states, traces and argument checks follow from a row.
# CONTRIBUTING.md, "Add a type of unit", lists the rest.
UNIT_TYPES = (
    UnitType("input_gate", "input_gates", "input_gate", True, True, "s(t-1)"),
    UnitType("forget_gate", "forget_gates", "forget_gate", True, True, "s(t-1)"),
    UnitType("output_gate", "output_gates", "output_gate", True, False, "s(t)"),
    UnitType("cell", "num_cells", "cell_output", enters_state=True),
    UnitType("hidden", "num_hidden", "hidden"),
)
GATES = tuple(unit_type for unit_type in UNIT_TYPES if unit_type.is_gate)


@exportable
class Layer(NamedTuple, Generic[T]):
    """One entry per type of unit of the hidden layer, in the layer's order.

    Entries are weights (`Layer[UnitWeights]`) or arrays over the units; None for absent types.

    Attributes:
      input_gate: that of the J input gates, in_j.
      forget_gate: that of the J forget gates, phi_j; not in the paper of 1997.
      output_gate: that of the J output gates, out_j.
      cell: that of the C memory cells, c_j^v, block by block.
      hidden: that of the N conventional hidden units, i.
    """

    input_gate: T | MaybeNone
    forget_gate: T | MaybeNone
    output_gate: T | MaybeNone
    cell: T | MaybeNone
    hidden: T | MaybeNone


def map_layer(function: Callable[..., T | None], *layers: Layer) -> Layer[T]:
    """Return function(unit_type, *entries) per type; None where one of the layers has None."""
    is_absent = lambda entries: any(entry is None for entry in entries)
    rows = zip(UNIT_TYPES, *layers, strict=True)
    return Layer(*(None if is_absent(row) else function(*row) for row in rows))


def add_layers(layer: Layer[T], other: Layer[T]) -> Layer[T]:
    """Add two layers; an entry that one of them lacks counts as 0."""
    add = lambda a, b: a if b is None else b if a is None else jax.tree.map(jnp.add, a, b)
    return Layer(*map(add, layer, other))
