"""Diagnostics of a trained network: problems in its activations, and the inputs its gates react to.

`diagnose` records the activations over a batch of sequences. Each detector is a function of this
record that yields findings; `DETECTORS` lists them. Most of the problems are those of section 4 of
the paper: internal states that drift, and memory cells abused as bias units.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from lstm_jax.cell.activations import ACTIVATIONS
from lstm_jax.cell.architecture import Architecture, NetworkWith
from lstm_jax.cell.parameters import check_parameters
from lstm_jax.cell.records import Activations, P
from lstm_jax.cell.scan import Steps
from lstm_jax.cell.units import GATES
from lstm_jax.cell.validation import as_array, check_symbols, displayed
from lstm_jax.network.layer import unroll_one

MOST_NAMED = 4  # most inputs that a sentence names

# Limits of the detectors, in units of the internal state or as fractions.
DRIFT = 0.1  # least fraction of the final state added in each quarter, in half of the sequences
STATE = 2.0  # least mean absolute final state of a drifting cell
DERIVATIVE = 0.05  # fraction of the largest derivative below which a unit is saturated at a step
SATURATED = 0.5  # least fraction of steps at which a cell that is reported is saturated
SATURATED_GATE = 0.95  # the same for a gate
CONSTANT = 0.1  # largest standard deviation of a bias cell's output, relative to its mean
OUTPUT = 0.1  # least absolute mean of a bias cell's output
CORRELATION = 0.98  # least absolute correlation of the outputs of redundant cells
OPENS = 0.1  # activation that a gate must exceed to open, and 1 minus that below which it closes
ERROR = 0.001  # largest fraction of an error signal that enters an unreached block
ATTENDS = 0.3  # least difference of mean activations at a symbol and elsewhere; least correlation


class Finding(NamedTuple):
    """A property of a block, a cell or a gate, as data and as a sentence.

    Attributes:
      kind: "drift", "saturated_state", "bias_cell", "redundant_cells", "never_opens",
        "never_closes", "saturated_gate", "no_error" or "opened_by".
      block: the memory block, from 0; sentences count from 1.
      cell: the cell of the block, from 0; None for a gate or a whole block.
      gate: "input_gate", "forget_gate" or "output_gate"; None for a cell or a whole block.
      value: the measured value, which the sentence explains.
      sentence: the finding in words.
      remedy: the paper's remedy in words; "" if nothing is wrong.
    """

    kind: str
    block: int
    cell: int | None
    gate: str | None
    value: float
    sentence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.sentence}; {self.remedy}." if self.remedy else f"{self.sentence}."


def diagnose(
    architecture: NetworkWith[P],
    parameters: P,
    inputs: ArrayLike,
    length: ArrayLike | None = None,
    *,
    symbols: Sequence[str] | None = None,
    layer: int = -1,
) -> list[Finding]:
    """Run a network over a batch of sequences and report its problems and what opens its gates.

    >>> from lstm_jax import initialise
    >>> net = Architecture(num_inputs=2, blocks=(1,), num_outputs=1)
    >>> shut = initialise(jax.random.key(0), net, input_gate_bias=(-6.0,))
    >>> finding, *_ = diagnose(net, shut, np.zeros((9, 110), int))
    >>> print(finding)
    block 1's input gate stayed below 0.003 over 9 sequences of 110 steps; start its bias nearer 0.
    >>> finding.kind, finding.block, finding.gate
    ('never_opens', 0, 'input_gate')

    Args:
      architecture: the network, an `Architecture` or a `Stack`.
      parameters: its weights.
      inputs: [B, T, I] floating, or [B, T] integers in [0, I), as `Task.sample_batch` draws them.
      length: [B] integers in [1, T], the number of steps before the padding; None: T.
      symbols: the names of the I inputs in sentences; None: their numbers.
      layer: the layer of a stack, 0 for the lowest and -1 for the top one. The blocks of a backward
        direction follow those of the forward one.

    Returns:
      The findings, detector by detector. Those with a `remedy` are problems.

    Raises:
      ValueError: if an argument does not fit the architecture, or the inputs are not finite.
    """
    check_parameters(architecture, parameters)
    num_inputs = architecture.num_inputs
    inputs, length = _as_batch(inputs, length)
    names = [f"input {i}" for i in range(num_inputs)] if symbols is None else symbols
    if not isinstance(names, (tuple, list)) or len(names) != num_inputs:
        raise ValueError(f"symbols must name all inputs, got {displayed(symbols)}")
    is_real = np.arange(inputs.shape[1]) < length[:, None]
    steps = Steps(length=int(length[0]))
    seen, _ = unroll_one(architecture, parameters, inputs[0], layer, steps)  # checks
    check_symbols("inputs", inputs.T, num_inputs, is_real.T)
    if not np.isfinite(inputs[is_real]).all():
        raise ValueError("inputs must be finite, but hold NaN or infinity")
    activations = _activations(architecture, layer, parameters, inputs, length)
    is_top = seen.num_outputs > 0
    record = Record(
        seen,
        jax.tree.map(lambda values: np.asarray(values, np.float64), activations),
        inputs,
        is_real,
        names,
        np.abs(np.asarray(parameters.output.cell, np.float64)).sum(1) if is_top else None,
    )
    return [finding for detect in DETECTORS for finding in detect(record)]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _activations(
    architecture: NetworkWith[P], layer: int, parameters: P, inputs: jax.Array, length: jax.Array
) -> Activations:
    run = lambda x, n: unroll_one(architecture, parameters, x, layer, Steps(length=n))[1]
    return jax.vmap(run)(inputs, length)


def _as_batch(inputs: ArrayLike, length: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    inputs = np.asarray(as_array("inputs", inputs))
    if inputs.ndim < 2 or 0 in inputs.shape:
        raise ValueError(f"inputs must be a batch of sequences, [B, T, ...], got {inputs.shape}")
    size, steps = inputs.shape[:2]
    found = np.full(size, steps) if length is None else np.asarray(as_array("length", length))
    fits = found.shape == (size,) and np.issubdtype(found.dtype, np.integer)
    if not fits or found.min() < 1 or found.max() > steps:
        raise ValueError(f"length must hold {size} integers in [1, {steps}], got {length!r}")
    return inputs, found


class Record(NamedTuple):
    """The activations of a network on B sequences of at most T steps, as NumPy arrays."""

    architecture: Architecture
    activations: Activations  # [B, T, n] each
    inputs: np.ndarray  # [B, T] integers or [B, T, I] floating
    is_real: np.ndarray  # [B, T] bool, False at padding
    symbols: Sequence[str]  # the names of the I inputs
    to_outputs: np.ndarray | None  # [C], each cell's absolute weights to the outputs, summed

    @property
    def extent(self) -> str:
        """The amount of data, in words."""
        lengths = self.is_real.sum(1)
        steps = f"{lengths.min()}" if np.ptp(lengths) == 0 else f"{lengths.min()}-{lengths.max()}"
        s = lambda number: "s" * bool(number > 1)
        return f"over {len(lengths)} sequence{s(len(lengths))} of {steps} step{s(lengths.max())}"

    @property
    def cells(self) -> list[tuple[int, int]]:
        """The block of every cell, and the cell's index in it."""
        return [(j, v) for j, size in enumerate(self.architecture.blocks) for v in range(size)]

    @property
    def derivatives(self) -> np.ndarray:
        """h'(s), [B, T, C]."""
        h = ACTIVATIONS[self.architecture.cell_output]
        return np.asarray(h.derivative(h(jnp.asarray(self.activations.internal_state))))

    @property
    def gates(self) -> Iterator[tuple[str, int, np.ndarray]]:
        """Type, block and activation at all real steps, [M], of every gate."""
        for gate in GATES:
            values = getattr(self.activations, gate.activation)
            for block in range(0 if values is None else self.architecture.num_blocks):
                yield gate.name, block, values[self.is_real, block]

    def of_cells(
        self, kind: str, is_found: np.ndarray, text: str, remedy: str, *values: Iterable
    ) -> Iterator[Finding]:
        """Yield a finding per cell where `is_found` [C]; its value is the first of `values`."""
        cells = zip(self.cells, is_found, *values, strict=True)
        for (block, cell), found, value, *others in cells:
            if found:
                sentence = f"{_cell(block, cell)} {text.format(value, *others)}, {self.extent}"
                yield Finding(kind, block, cell, None, float(value), sentence, remedy)

    def bias_remedy(self, gate: str, change: str, whose: str = "its") -> str:
        """Return advice to change a gate's initial bias, or to add a missing bias or gate."""
        name = gate.replace("_", " ")
        if not getattr(self.architecture, f"{gate}s"):
            return f"give the blocks {name}s, and start their biases {change}"
        if gate not in self.architecture.biased:
            return f"give the {name}s biases, and start them {change}"
        return f"start {whose} bias {change}"


def drift(record: Record) -> Iterator[Finding]:
    """Find states that move in one direction throughout, until h saturates and blocks errors."""
    lengths = record.is_real.sum(1)
    ends = np.ceil(np.arange(1, 5)[:, None] * lengths / 4).astype(int) - 1  # of the quarters
    states = record.activations.internal_state[np.arange(len(lengths)), ends]  # [4, B, C]
    added = np.diff(states, axis=0, prepend=0 * states[:1])
    shares = (added / np.where(states[-1] == 0, np.inf, states[-1])).min(0)
    sizes = np.abs(states[-1]).mean(0)
    is_found = (np.median(shares, 0) >= DRIFT) & (sizes >= STATE)
    text = "drifts: its state grows in every quarter of a sequence, to {:.1f} on average"
    remedy = record.bias_remedy("input_gate", "lower, such as at -2 or -4", "its input gate's")
    return record.of_cells("drift", is_found, text, remedy, sizes)


def saturated_states(record: Record) -> Iterator[Finding]:
    """Find states where h is flat, so that hardly any error enters the cell."""
    h = ACTIVATIONS[record.architecture.cell_output]
    relative = record.derivatives[record.is_real] / np.asarray(h.derivative(h(jnp.zeros(()))))
    parts = (relative < DERIVATIVE).mean(0)
    text = "is saturated: h is flat at {:.0%} of its states"
    change = "lower, so that states stay small"
    remedy = record.bias_remedy("input_gate", change, "its input gate's")
    return record.of_cells("saturated_state", parts >= SATURATED, text, remedy, parts)


def bias_cells(record: Record) -> Iterator[Finding]:
    """Find cells whose output is constant: the abuse problem (section 4)."""
    half = record.is_real.sum(1, keepdims=True) // 2
    is_late = record.is_real & (np.arange(record.is_real.shape[1]) >= half)
    outputs = record.activations.cell_output[is_late]
    means, deviations = outputs.mean(0), outputs.std(0)
    sizes = np.abs(means)
    remedies = [
        record.bias_remedy("output_gate", "lower, such as at -2", "its output gate's"),
        "add cells when the error has stopped decreasing (sequential construction)",
    ]
    if "output" not in record.architecture.biased:
        remedies.insert(0, "give the output units biases")
    is_found = (sizes >= OUTPUT) & (deviations <= CONSTANT * sizes)
    text = "acts as a bias unit: in the second half of every sequence its output is {:.2f} ± {:.2f}"
    return record.of_cells("bias_cell", is_found, text, ", or ".join(remedies), means, deviations)


def redundant_cells(record: Record) -> Iterator[Finding]:
    """Find cells whose outputs correlate with those of an earlier cell."""
    outputs = np.asarray(record.activations.cell_output[record.is_real])
    earlier = np.tril(_correlations(outputs, outputs), -1)
    others = np.abs(earlier).argmax(1)
    found = earlier[np.arange(len(earlier)), others]
    text = "duplicates {1}: the correlation of their outputs is {0:.2f}"
    remedy = "take a smaller network, or initial gate biases that differ from block to block"
    names = [_cell(*record.cells[other]) for other in others]
    is_found = np.abs(found) >= CORRELATION
    return record.of_cells("redundant_cells", is_found, text, remedy, found, names)


def stuck_gates(record: Record) -> Iterator[Finding]:
    """Find gates that never open, never close, or are nearly always saturated, so that f' is 0.

    A forget gate that never closes is the carrousel of 1997.
    """
    for gate, block, values in record.gates:
        low, high = float(values.min()), float(values.max())
        flat = float((4 * values * (1 - values) < DERIVATIVE).mean())
        if high < OPENS:
            kind, value, text = "never_opens", high, f"stayed below {_above(high)}"
            change = "higher, such as at 1 or 2" if gate == "forget_gate" else "nearer 0"
            remedy = record.bias_remedy(gate, change)
        elif low > 1 - OPENS and gate != "forget_gate":
            kind, value, text = "never_closes", low, f"stayed above {1 - _above(1 - low):g}"
            remedy = record.bias_remedy(gate, "lower, such as at -1 or -2")
        elif flat >= SATURATED_GATE and low <= 0.5 <= high:
            text = f"is saturated: f is flat at {flat:.0%} of the steps,"
            kind, value = "saturated_gate", flat
            remedy = "if training goes on, take a smaller learning rate or initial range"
        else:
            continue
        sentence = f"{_gate(block, gate)} {text} {record.extent}"
        yield Finding(kind, block, None, gate, value, sentence, remedy)


def no_error(record: Record) -> Iterator[Finding]:
    """Find blocks that no error reaches.

    An error at the net input of output unit k enters a state multiplied by y_out h'(s) w_kc (eq.
    23). The truncated gradient has no other path into a block.
    """
    if record.to_outputs is None:
        return
    derivatives, gates = record.derivatives, record.activations.output_gate
    blocks = np.array([block for block, _ in record.cells])
    gates = np.ones_like(derivatives) if gates is None else np.asarray(gates)[..., blocks]
    factors = record.to_outputs, gates, derivatives
    remedies = (
        "start its cells' weights to the output units in a larger range, or take fewer blocks",
        record.bias_remedy("output_gate", "nearer 0", "its output gate's"),
        record.bias_remedy("input_gate", "lower, so that states stay small", "its input gate's"),
    )
    entering = np.where(record.is_real[..., None], gates * derivatives * record.to_outputs, 0)
    most = np.median(entering.max(1), 0)  # of the steps, in half of the sequences
    for block in range(record.architecture.num_blocks):
        cells = blocks == block
        found = float(most[cells].max())
        if found <= ERROR:
            smallest = np.argmin([factor[..., cells].max() for factor in factors])
            sentence = (
                f"no error reaches block {block + 1}: of one at the output units no more than "
                f"{_above(found):g} enters its states at any step, {record.extent}"
            )
            yield Finding("no_error", block, None, None, found, sentence, remedies[smallest])


def opened_by(record: Record) -> Iterator[Finding]:
    """Find the inputs that open each gate: where the network stores, forgets and outputs."""
    inputs, names = record.inputs[record.is_real], record.symbols
    for gate, block, values in record.gates:
        if inputs.ndim == 1:
            found = np.array([_contrast(values, inputs == i) for i in range(len(names))])
        else:
            found = _correlations(inputs, values[:, None])[:, 0]
        which = [i for i in np.argsort(-found) if found[i] >= ATTENDS]
        if not which:
            continue
        if inputs.ndim == 1:
            verb, rest = "opens at", values[~np.isin(inputs, which)].mean()
            described = [f"{names[i]} ({values[inputs == i].mean():.2f})" for i in which]
            end = f", on average {rest:.2f} elsewhere"
        else:
            verb, end = "opens as", ""
            described = [f"{names[i]} rises (correlation {found[i]:.2f})" for i in which]
        more = f" and {len(which) - MOST_NAMED} more" * (len(which) > MOST_NAMED)
        sentence = f"{_gate(block, gate)} {verb} {', '.join(described[:MOST_NAMED])}{more}{end}"
        yield Finding("opened_by", block, None, gate, float(found[which[0]]), sentence, "")


DETECTORS = (drift, saturated_states, bias_cells, redundant_cells, stuck_gates, no_error, opened_by)


def _cell(block: int, cell: int) -> str:
    return f"block {block + 1}, cell {cell + 1}"


def _gate(block: int, gate: str) -> str:
    return f"block {block + 1}'s {gate.replace('_', ' ')}"


def _above(value: float) -> float:
    """Round up to one digit, such as 0.0021 to 0.003."""
    digit = 10.0 ** np.floor(np.log10(max(value, 1e-12)))
    return float(f"{np.ceil(value / digit) * digit:.1g}")


def _correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the correlations of the columns of [M, n] and [M, m]; 0 where one is constant."""
    standard = [
        (x - x.mean(0)) / np.where(x.std(0) > 1e-6, x.std(0), np.inf)
        for x in (np.asarray(a, np.float64), np.asarray(b, np.float64))
    ]
    return standard[0].T @ standard[1] / len(a)


def _contrast(values: np.ndarray, is_at: np.ndarray) -> float:
    """Return the mean of values at some steps minus that elsewhere; 0 if either has no steps."""
    return values[is_at].mean() - values[~is_at].mean() if 0 < is_at.mean() < 1 else 0.0
