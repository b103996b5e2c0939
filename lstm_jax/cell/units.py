"""The kinds of unit in the hidden layer, as a table.

How many units of a kind there are, their weights, initialisation, places in the joined matrices,
biases, peepholes and checks follow from its row. Only the equations of a step (`cell`) and of its
error (`truncated`) say what a kind does. A new kind is a
row here, a field of `Layer`, and its term in those equations.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, NamedTuple, TypeVar

T = TypeVar("T")

# In a union: or None, where a type checker cannot know it, as of the kinds of unit that an
# architecture lacks. Were it told None itself, it would ask for a check at every use.
MaybeNone = Any


class UnitType(NamedTuple):
    """One kind of unit in the hidden layer."""

    name: str
    """Its field in `Layer`, and in `Parameters.layer`."""
    amount: str
    """The field of `Architecture` that says how many there are: of gates, if there is one a block;
    of others, their number."""
    is_gate: bool
    """Whether it is one unit a block, that multiplies something of all the block's cells."""
    activity: str
    """The field of `State` and of `Activations` with what the rest of the layer sees of it."""
    peephole: Literal["s(t-1)", "s(t)", "none"] = "none"
    """Which internal states of its block's cells a peephole shows it."""


# In the hidden layer's order.
UNIT_TYPES = (
    UnitType("input_gate", "input_gates", True, "input_gate", "s(t-1)"),
    UnitType("forget_gate", "forget_gates", True, "forget_gate", "s(t-1)"),
    UnitType("output_gate", "output_gates", True, "output_gate", "s(t)"),
    UnitType("cell", "num_cells", False, "cell_output"),
    UnitType("hidden", "num_hidden", False, "hidden"),
)
GATES = tuple(kind for kind in UNIT_TYPES if kind.is_gate)


class Layer(NamedTuple, Generic[T]):
    """One entry for each kind of unit of the hidden layer, in the layer's order.

    Holds weights (`Layer[UnitWeights]`) or arrays over the units. A kind that the architecture
    lacks is None.
    """

    input_gate: T | MaybeNone
    """Of the J input gates, in_j."""
    forget_gate: T | MaybeNone
    """Of the J forget gates, phi_j; not in the paper of 1997."""
    output_gate: T | MaybeNone
    """Of the J output gates, out_j."""
    cell: T | MaybeNone
    """Of the C memory cells, c_j^v, block by block."""
    hidden: T | MaybeNone
    """Of the N conventional hidden units, i."""
