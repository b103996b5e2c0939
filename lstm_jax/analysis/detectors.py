"""What troubles a network, each trouble found in a record of what it did.

A detector is a pure function of a `Record` to `Finding`s. Most troubles are the paper's own
(section 4): states that drift, cells that serve as biases. `diagnostics` makes the record.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from lstm_jax.cell.activations import ACTIVATIONS
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.scan import Activations
from lstm_jax.cell.units import GATES, UnitType

MOST_NAMED = 4  # of the inputs that open a gate, in a sentence

FindingKind = Literal[
    "drift",
    "saturated_state",
    "bias_cell",
    "redundant_cells",
    "never_opens",
    "never_closes",
    "saturated_gate",
    "no_error",
    "opened_by",
]


class Finding(NamedTuple):
    """One thing that a network does, as data and in words."""

    kind: FindingKind
    """What it is."""
    block: int
    """Which memory block, from 0; sentences and pictures count from 1."""
    cell: int | None
    """Which cell of the block, from 0; None: it is a gate of the block, or all of it."""
    gate: str | None
    """"input_gate", "forget_gate" or "output_gate"; None: it is a cell, or all of the block."""
    value: float
    """What was measured, as the sentence says."""
    sentence: str
    """What was found."""
    remedy: str
    """What the paper advises; "" where nothing is wrong."""

    def __str__(self) -> str:
        return f"{self.sentence}; {self.remedy}." if self.remedy else f"{self.sentence}."


class Thresholds(NamedTuple):
    """From where on something is a finding."""

    drift: float = 0.1
    """Every quarter of a sequence adds so much of the final state, in half of the sequences..."""
    state: float = 2.0
    """...and the final state is so far from 0."""
    slope: float = 0.05
    """A unit is saturated where its slope is so small a part of the largest one."""
    saturated: float = 0.5
    """A cell is, in so large a part of the steps."""
    saturated_gate: float = 0.95
    """A gate that both opens and closes is, in so large a part of the steps."""
    constant: float = 0.1
    """A bias cell's output moves by no more than this part of its mean..."""
    output: float = 0.1
    """...which is so far from 0."""
    correlation: float = 0.98
    """Two cells are redundant if their outputs' correlation is so far from 0."""
    opens: float = 0.1
    """A gate never opens if it stays below this; never closes if above 1 minus this."""
    error: float = 0.001
    """A block learns nothing if no more than this part of an error reaches its states at any step,
    in half of the sequences."""
    attends: float = 0.3
    """An input opens a gate that is so much more open at it than at others; of inputs that are
    numbers, if the correlation is as large."""


class Record(NamedTuple):
    """What a network did on a batch of B sequences of at most T steps, as NumPy arrays."""

    architecture: Architecture
    """The network."""
    activations: Activations
    """[B, T, n] each."""
    inputs: np.ndarray
    """[B, T] integers or [B, T, I] floating."""
    is_real: np.ndarray
    """[B, T] bool, False at padding."""
    symbols: tuple[str, ...]
    """The names of the I inputs."""
    to_outputs: np.ndarray
    """[C], the sum of the sizes of each cell's weights to the output units."""
    thresholds: Thresholds
    """From where on something is found."""

    @property
    def extent(self) -> str:
        """How much was looked at, in words."""
        lengths = self.is_real.sum(1)
        steps = f"{lengths.min()}" if np.ptp(lengths) == 0 else f"{lengths.min()}-{lengths.max()}"
        plural = lambda word, number: word + "s" * bool(number > 1)
        batch = f"{len(lengths)} {plural('sequence', len(lengths))}"
        return f"over {batch} of {steps} {plural('step', lengths.max())}"

    def cells(self) -> Iterator[tuple[int, int, int]]:
        """Block, number in it and number in all, of every cell."""
        number = 0
        for block, size in enumerate(self.architecture.blocks):
            for cell in range(size):
                yield block, cell, number
                number += 1

    def gates(self) -> Iterator[tuple[UnitType, int, np.ndarray]]:
        """Kind, block and activation [M], at all real steps one behind the other, of every gate."""
        for kind in GATES:
            values = getattr(self.activations, kind.activity)
            for block in range(0 if values is None else self.architecture.num_blocks):
                yield kind, block, values[self.is_real, block]


def drifting_states(record: Record) -> Iterator[Finding]:
    """States that go one way through all of a sequence, so that h and error flow end."""
    lengths = record.is_real.sum(1)
    ends = np.ceil(np.arange(1, 5)[:, None] * lengths / 4).astype(int) - 1  # of the quarters
    states = record.activations.internal_state[np.arange(len(lengths)), ends]  # [4, B, C]
    added = np.diff(states, axis=0, prepend=0 * states[:1])
    shares = (added / np.where(states[-1] == 0, np.inf, states[-1])).min(0)
    sizes = np.abs(states[-1]).mean(0)
    is_steady = np.median(shares, 0) >= record.thresholds.drift
    for block, cell, number in record.cells():
        if is_steady[number] and sizes[number] >= record.thresholds.state:
            yield Finding(
                "drift",
                block,
                cell,
                None,
                float(sizes[number]),
                f"{_cell(block, cell)} drifts: its state grows in every quarter of a sequence, "
                f"to {sizes[number]:.1f} on average, {record.extent}",
                _of_its_gate(record.architecture, "input_gate", "lower, such as at -2 or -4"),
            )


def saturated_states(record: Record) -> Iterator[Finding]:
    """States so far out that h is flat there: hardly any error enters the cell."""
    h = ACTIVATIONS[record.architecture.cell_output]
    states = record.activations.internal_state[record.is_real]
    slopes = np.asarray(h.derivative(h(jnp.asarray(states))) / h.derivative(h(jnp.zeros(()))))
    parts = (slopes < record.thresholds.slope).mean(0)
    for block, cell, number in record.cells():
        if parts[number] >= record.thresholds.saturated:
            yield Finding(
                "saturated_state",
                block,
                cell,
                None,
                float(parts[number]),
                f"{_cell(block, cell)} is saturated: h is flat at {parts[number]:.0%} of its "
                f"states, {record.extent}",
                _of_its_gate(record.architecture, "input_gate", "lower, so that states stay small"),
            )


def bias_cells(record: Record) -> Iterator[Finding]:
    """Cells whose output is a constant: the abuse problem (section 4)."""
    half = record.is_real.sum(1, keepdims=True) // 2
    is_late = record.is_real & (np.arange(record.is_real.shape[1]) >= half)
    outputs = record.activations.cell_output[is_late]
    means, moves = outputs.mean(0), outputs.std(0)
    limits = record.thresholds
    for block, cell, number in record.cells():
        mean = abs(means[number])
        if mean >= limits.output and moves[number] <= limits.constant * mean:
            yield Finding(
                "bias_cell",
                block,
                cell,
                None,
                float(means[number]),
                f"{_cell(block, cell)} serves as a bias: in the second half of every sequence its "
                f"output is {means[number]:.2f} ± {moves[number]:.2f}, {record.extent}",
                _abuse_remedy(record.architecture),
            )


def redundant_cells(record: Record) -> Iterator[Finding]:
    """Cells whose outputs follow those of an earlier cell."""
    outputs = np.asarray(record.activations.cell_output[record.is_real])
    cells = list(record.cells())
    correlations = _correlations(outputs, outputs)
    for block, cell, number in cells:
        others = np.abs(correlations[number, :number])
        if number and others.max() >= record.thresholds.correlation:
            other = int(others.argmax())
            found = float(correlations[number, other])
            yield Finding(
                "redundant_cells",
                block,
                cell,
                None,
                found,
                f"{_cell(block, cell)} does what {_cell(*cells[other][:2])} does: their outputs' "
                f"correlation is {found:.2f}, {record.extent}",
                "take a smaller network, or start gate biases that differ from block to block, "
                "so that blocks come into use one after the other",
            )


def stuck_gates(record: Record) -> Iterator[Finding]:
    """Gates that never open, or never close; a forget gate that stays open is a 1997 cell's."""
    for kind, block, values in record.gates():
        low, high = float(values.min()), float(values.max())
        name = _gate(block, kind.name)
        if high < record.thresholds.opens:
            remedy = _bias_remedy(record.architecture, kind.name, _TO_OPEN[kind.name])
            told = f"{name} stayed below {_above(high)} {record.extent}"
            yield Finding("never_opens", block, None, kind.name, high, told, remedy)
        elif low > 1 - record.thresholds.opens and kind.name != "forget_gate":
            remedy = _bias_remedy(record.architecture, kind.name, "lower, such as at -1 or -2")
            told = f"{name} stayed above {1 - _above(1 - low):g} {record.extent}"
            yield Finding("never_closes", block, None, kind.name, low, told, remedy)


def saturated_gates(record: Record) -> Iterator[Finding]:
    """Gates that are a switch: open or shut, hardly ever between, so that they learn no more."""
    limits = record.thresholds
    for kind, block, values in record.gates():
        part = float((4 * values * (1 - values) < limits.slope).mean())
        is_stuck = values.max() < 0.5 or values.min() > 0.5
        if part >= limits.saturated_gate and not is_stuck:
            told = f"{_gate(block, kind.name)} is a switch: f is flat at {part:.0%} of the steps"
            remedy = "if training goes on, take a smaller learning rate or initial range"
            told = f"{told}, {record.extent}"
            yield Finding("saturated_gate", block, None, kind.name, part, told, remedy)


def blocks_without_error(record: Record) -> Iterator[Finding]:
    """Blocks that no error reaches: of one at the output units' net inputs, eq. 23 lets in
    y_out h'(s) w_kc, and the truncated gradient has no other way into a block."""
    h = ACTIVATIONS[record.architecture.cell_output]
    states = jnp.asarray(record.activations.internal_state)
    slope = np.asarray(h.derivative(h(states)))
    gates = record.activations.output_gate
    owners = np.repeat(np.arange(record.architecture.num_blocks), record.architecture.blocks)
    opens = np.ones_like(slope) if gates is None else np.asarray(gates)[..., owners]
    arrives = np.where(record.is_real[..., None], opens * slope * record.to_outputs, 0)
    most = np.median(arrives.max(1), 0)  # of the steps, in half of the sequences
    for block in range(record.architecture.num_blocks):
        own = owners == block
        found = float(most[own].max())
        if found <= record.thresholds.error:
            factors = [a[..., own].max() for a in (record.to_outputs, opens, slope)]
            told = f"no error reaches block {block + 1}: of one at the output units no more than "
            told += f"{_above(found):g} enters its states at any step, {record.extent}"
            remedy = _ways_in(record.architecture)[int(np.argmin(factors))]
            yield Finding("no_error", block, None, None, found, told, remedy)


def _ways_in(architecture: Architecture) -> tuple[str, str, str]:
    """What to do where weights, output gates or the slope of h keep errors out."""
    return (
        "start its cells' weights to the output units in a larger range, or take fewer blocks",
        _bias_remedy(architecture, "output_gate", "nearer 0", "its output gate's"),
        _of_its_gate(architecture, "input_gate", "lower, so that states stay small"),
    )


def opened_by(record: Record) -> Iterator[Finding]:
    """Which inputs open which gate: what the network stores, forgets and reads at."""
    inputs = record.inputs[record.is_real]
    of_symbols = inputs.ndim == 1
    measure = _contrasts if of_symbols else _correlations_of_one
    for kind, block, values in record.gates():
        found = measure(inputs, values, len(record.symbols))
        which = [i for i in np.argsort(-found) if found[i] >= record.thresholds.attends]
        if which:
            told = ", ".join(
                f"{record.symbols[i]} ({values[inputs == i].mean():.2f})"
                if of_symbols
                else f"{record.symbols[i]} rises (correlation {found[i]:.2f})"
                for i in which[:MOST_NAMED]
            )
            told += f" and {len(which) - MOST_NAMED} more" if len(which) > MOST_NAMED else ""
            told = f"{_gate(block, kind.name)} opens {'at' if of_symbols else 'as'} {told}"
            if of_symbols:
                told += f", on average {values[~np.isin(inputs, which)].mean():.2f} elsewhere"
            yield Finding("opened_by", block, None, kind.name, float(found[which[0]]), told, "")


DETECTORS = (
    drifting_states,
    saturated_states,
    bias_cells,
    redundant_cells,
    stuck_gates,
    saturated_gates,
    blocks_without_error,
    opened_by,
)

_TO_OPEN = {
    "input_gate": "nearer 0",
    "forget_gate": "higher, such as at 1 or 2",
    "output_gate": "nearer 0",
}


def _cell(block: int, cell: int) -> str:
    return f"block {block + 1}, cell {cell + 1}"


def _gate(block: int, kind: str) -> str:
    return f"block {block + 1}'s {kind.replace('_', ' ')}"


def _bias_remedy(architecture: Architecture, kind: str, how: str, whose: str = "its") -> str:
    """To start a gate's bias otherwise, if there is one."""
    name = kind.replace("_", " ")
    if not getattr(architecture, f"{kind}s"):
        return f"give the blocks {name}s, and start their biases {how}"
    if kind not in architecture.biased:
        return f"give the {name}s biases, and start them {how}"
    return f"start {whose} bias {how}"


def _of_its_gate(architecture: Architecture, kind: str, how: str) -> str:
    """The same, said of a cell."""
    return _bias_remedy(architecture, kind, how, f"its {kind.replace('_', ' ')}'s")


def _abuse_remedy(architecture: Architecture) -> str:
    """The two of section 4, and a bias where the output units have none."""
    remedies = [
        _of_its_gate(architecture, "output_gate", "lower, such as at -2"),
        "add cells when the error has stopped decreasing (sequential construction)",
    ]
    if "output" not in architecture.biased:
        remedies.insert(0, "give the output units biases of their own")
    return ", or ".join(remedies)


def _above(value: float) -> float:
    """The next larger number of one digit, such as 0.003 for 0.0021."""
    digit = 10.0 ** np.floor(np.log10(max(value, 1e-12)))
    return float(f"{np.ceil(value / digit) * digit:.1g}")


def _correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of every column of [M, n] with every one of [M, m], [n, m]; 0 where one is constant."""
    standard = [
        (x - x.mean(0)) / np.where(x.std(0) > 1e-6, x.std(0), np.inf)
        for x in (np.asarray(a, np.float64), np.asarray(b, np.float64))
    ]
    return standard[0].T @ standard[1] / len(a)


def _correlations_of_one(inputs: np.ndarray, values: np.ndarray, number: int) -> np.ndarray:
    """Of a gate's values [M] with every input of [M, I]."""
    del number
    return _correlations(inputs, values[:, None])[:, 0]


def _contrasts(inputs: np.ndarray, values: np.ndarray, number: int) -> np.ndarray:
    """How much larger values [M] are at every symbol than at the others, [I]; 0 without either."""
    is_at = inputs[:, None] == np.arange(number)
    count = is_at.sum(0)
    total = (is_at * values[:, None]).sum(0)
    there = total / np.maximum(count, 1)
    elsewhere = (values.sum() - total) / np.maximum(len(values) - count, 1)
    return np.where((count > 0) & (count < len(values)), there - elsewhere, 0)
