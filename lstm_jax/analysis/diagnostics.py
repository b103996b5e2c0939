"""A network's troubles, found by the library: what `detectors` see in what it does."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import numpy as np
from jax.typing import ArrayLike

from lstm_jax.analysis.detectors import DETECTORS, Finding, Record, Thresholds
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import Parameters, check_parameters
from lstm_jax.cell.scan import Activations, Steps
from lstm_jax.cell.validation import as_array, check_symbols, check_type, displayed
from lstm_jax.network.layer import unroll


def diagnose(
    architecture: Architecture,
    parameters: Parameters,
    inputs: ArrayLike,
    length: ArrayLike | None = None,
    *,
    symbols: Sequence[str] | None = None,
    thresholds: Thresholds = Thresholds(),  # noqa: B008 (a tuple of numbers)
) -> list[Finding]:
    """Runs a network over a batch of sequences and says what is wrong with it, and what it does.

    Looks for states that drift or are saturated, cells that serve as bias units or do what others
    do, gates that never open, never close or have become switches, blocks that no error reaches,
    and for the inputs that open each gate. Troubles have the paper's remedy (section 4).

    >>> from lstm_jax import initialise
    >>> net = Architecture(num_inputs=2, blocks=(1,), num_outputs=1)
    >>> shut = initialise(jax.random.key(0), net, input_gate_bias=(-6.0,))
    >>> finding, *_ = diagnose(net, shut, np.zeros((9, 110), int))
    >>> print(finding)
    block 1's input gate stayed below 0.003 over 9 sequences of 110 steps; start its bias nearer 0.
    >>> finding.kind, finding.block, finding.gate
    ('never_opens', 0, 'input_gate')

    Args:
      architecture, parameters: the network.
      inputs: [B, T, I] floating, or [B, T] integers in [0, I), such as `Task.sample_batch` draws.
      length: [B] integers in [1, T], the steps before the padding; None: T.
      symbols: the names of the I inputs, for the sentences; None: their numbers.
      thresholds: from where on something is found.

    Returns:
      The findings, kind by kind. Those with a `remedy` are troubles.

    Raises:
      ValueError: if an argument does not fit the architecture.
    """
    check_parameters(architecture, parameters)
    check_type("thresholds", thresholds, Thresholds)
    inputs = np.asarray(as_array("inputs", inputs))
    _check_batch(inputs)
    length = _as_lengths(inputs, length)
    names = _as_names(architecture, symbols)
    unroll(
        architecture, parameters, inputs[0], steps=Steps(length=int(length[0]))
    )  # which checks the shapes
    is_real = np.arange(inputs.shape[1]) < length[:, None]
    check_symbols("inputs", inputs.T, architecture.num_inputs, is_real.T)
    if not np.isfinite(inputs[is_real]).all():
        raise ValueError("inputs must be finite, but hold NaN or infinity")
    activations = _activations(architecture, parameters, inputs, length)
    record = Record(
        architecture,
        jax.tree.map(lambda values: np.asarray(values, np.float64), activations),
        inputs,
        is_real,
        names,
        np.abs(np.asarray(parameters.output.cell, np.float64)).sum(1),
        thresholds,
    )
    return [finding for detect in DETECTORS for finding in detect(record)]


def _as_names(architecture: Architecture, symbols: Sequence[str] | None) -> tuple[str, ...]:
    if symbols is None:
        return tuple(f"input {i}" for i in range(architecture.num_inputs))
    if not isinstance(symbols, (tuple, list)) or len(symbols) != architecture.num_inputs:
        wanted = f"{architecture.num_inputs} names"
        raise ValueError(f"symbols must hold {wanted}, got {displayed(symbols)}")
    return tuple(map(str, symbols))


def _check_batch(inputs: np.ndarray) -> None:
    dimensions = 2 if np.issubdtype(inputs.dtype, np.integer) else 3
    if inputs.ndim != dimensions or 0 in inputs.shape:
        wanted = "[B, T] integers" if dimensions == 2 else "[B, T, I] floating"
        raise ValueError(f"inputs must be a batch of sequences, {wanted}, got {inputs.shape}")


def _as_lengths(inputs: np.ndarray, length: ArrayLike | None) -> np.ndarray:
    size, steps = inputs.shape[:2]
    if length is None:
        return np.full(size, steps)
    found = np.asarray(as_array("length", length))
    fits = found.shape == (size,) and np.issubdtype(found.dtype, np.integer)
    if not fits or found.min() < 1 or found.max() > steps:
        raise ValueError(f"length must hold {size} integers in [1, {steps}], got {length!r}")
    return found


@functools.partial(jax.jit, static_argnums=0)
def _activations(
    architecture: Architecture, parameters: Parameters, inputs: jax.Array, length: jax.Array
) -> Activations:
    """[B, T, n] each."""
    run = lambda one, n: unroll(architecture, parameters, one, steps=Steps(length=n))[0]
    return jax.vmap(run)(inputs, length)
