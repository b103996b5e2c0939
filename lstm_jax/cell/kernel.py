"""The loop of a layer over all steps as one GPU kernel, in Pallas; it has never run on a GPU.

A program of the kernel takes `BATCH_TILE` sequences through all steps: one launch, with the weights
loaded once and the state kept on chip (after FlashRNN, Pöppel, Beck & Hochreiter 2024). What inputs
and biases add to the net inputs is one product over all steps before it. The kernel records what
the scan records, so the truncated gradient, whose backward pass has no recurrent product, takes its
record from either.

The Triton backend of Pallas takes arrays whose sizes are powers of 2, and products of at least 16
rows, columns and sources. Blocks, units of a type and sequences are padded accordingly. A padded
unit has no weights, and its activations are dropped.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
from jax.typing import DTypeLike
from optax.tree_utils import tree_where

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import split
from lstm_jax.cell.records import Activations, State, UnitWeights
from lstm_jax.cell.scan import LayerScan, ScanOutput, Sequence, project
from lstm_jax.cell.step import activate_units, recurrent_sources
from lstm_jax.cell.units import UNIT_TYPES, Layer, map_layer

Tree = TypeVar("Tree")

BATCH_TILE = 16  # sequences in a program
SMALLEST_SIZE = 16  # of an axis of a product
NUM_WARPS = 8
# Of the padded recurrent weights of a layer, which share the memory of one multiprocessor with the
# state: 163 KiB for a program on an A100, 227 KiB on an H100.
MAX_WEIGHT_BYTES = 128 * 1024
ABSENT = 2**30  # stands for a unit that is padding, in indices


class _Loop(NamedTuple):
    """What a program is compiled for.

    Attributes:
      architecture: the padded layer.
      record: whether to record the activations of every step.
      interpret: whether Pallas emulates the kernel by other operations.
    """

    architecture: Architecture
    record: bool
    interpret: bool


def check_layer(architecture: Architecture, dtype: DTypeLike) -> None:
    """Raise ValueError unless the weights that a layer has for itself fit into on-chip memory."""
    wide = pad_architecture(architecture)
    found = wide.num_sources * wide.num_units * jnp.dtype(dtype).itemsize
    if found > MAX_WEIGHT_BYTES:
        wanted = f"at most {MAX_WEIGHT_BYTES} bytes of padded recurrent weights for a kernel"
        raise ValueError(f"architecture must have {wanted}, got {found}")


def pad_architecture(architecture: Architecture) -> Architecture:
    """Return the layer with blocks of one size, and as many units of a type as products need."""
    enough = lambda number: max(pl.next_power_of_2(number), SMALLEST_SIZE)
    size = pl.next_power_of_2(max(architecture.blocks))
    hidden = architecture.num_hidden and enough(architecture.num_hidden)
    blocks = (size,) * enough(architecture.num_blocks)
    return dataclasses.replace(architecture, blocks=blocks, num_hidden=hidden)


def run(layer: LayerScan, weights: UnitWeights, sequence: Sequence[State]) -> ScanOutput:
    """Run a layer on a GPU, as `LayerScan` does; its weights are joined and have no lanes."""
    return _run(False, layer, weights, sequence)


def interpret(layer: LayerScan, weights: UnitWeights, sequence: Sequence[State]) -> ScanOutput:
    """Run the same kernel on any device, slowly, as other operations of JAX."""
    return _run(True, layer, weights, sequence)


def _run(
    is_interpreted: bool, layer: LayerScan, weights: UnitWeights, sequence: Sequence[State]
) -> ScanOutput:
    if sequence.inputs.shape[0] == 0:  # Pallas takes no empty arrays
        return layer._replace(kernel=None)(weights, sequence)
    wide = pad_architecture(layer.architecture)
    units = _padded_units(layer.architecture, wide)
    weights = _pad_weights(layer.architecture, weights, units)
    padded = sequence._replace(
        inputs=project(weights, sequence.inputs),
        initial_state=_map_units(_pad, sequence.initial_state, units, axis=0),
        length=None,
    )
    call = _over_batch(_Loop(wide, layer.record, is_interpreted))
    batch_of_one = jax.tree.map(lambda array: array[None], padded)
    results = call(weights._replace(input=None, bias=None), batch_of_one)
    final, record = jax.tree.map(lambda array: array[0], results)
    final = _map_units(_unpad, final, units, axis=0)
    if record is None:
        return final, None
    states, cell_input = record
    states = _map_units(_unpad, states, units, axis=1)
    cell_input = _unpad(cell_input, units.cell, axis=1)
    return final, Activations(cell_input=cell_input, **states._asdict())


# Padding of units ------------------------------------------------------------------------------


def _padded_units(narrow: Architecture, wide: Architecture) -> Layer[np.ndarray]:
    """Return the unit that each unit of a padded layer stands for, or `ABSENT`."""
    first = np.arange(narrow.num_blocks) * wide.blocks[0]
    places = np.concatenate([i + np.arange(n) for i, n in zip(first, narrow.blocks, strict=True)])

    def of_type(name: str, number: int, padded: int) -> np.ndarray | None:
        units = np.full(padded, ABSENT)
        units[places if name == "cell" else slice(number)] = np.arange(number)
        return units if number else None

    names = (unit_type.name for unit_type in UNIT_TYPES)
    return Layer(*map(of_type, names, narrow.sizes, wide.sizes))


def _pad_weights(
    narrow: Architecture, weights: UnitWeights, units: Layer[np.ndarray]
) -> UnitWeights:
    """Return the joined weights of a padded layer; those of padded units are 0."""

    def joined(types: Iterable[bool]) -> np.ndarray:
        kept = [(i, n) for i, n, is_kept in zip(units, narrow.sizes, types, strict=True) if is_kept and n]
        first = np.cumsum([0, *(n for _, n in kept)])
        return np.concatenate([i + start for (i, _), start in zip(kept, first, strict=False)])

    into, recurrent = joined(Layer(*[True] * len(UNIT_TYPES))), weights.recurrent
    if recurrent is not None:
        recurrent = _pad(_pad(recurrent, joined(narrow.is_recurrent), 0), into, 1)
    bias = None if weights.bias is None else _pad(weights.bias, into, 0)
    peephole = jax.tree.map(lambda p: _pad(p, units.cell, 0)[None], weights.peephole)
    return UnitWeights(_pad(weights.input, into, 1), recurrent, bias, peephole)


def _map_units(
    change: Callable[..., jax.Array], state: State, units: Layer[np.ndarray], axis: int
) -> State:
    """Return a state whose arrays are padded, or no longer so."""
    gates = units.input_gate, units.output_gate, units.hidden, units.forget_gate
    return jax.tree.map(
        lambda array, index: change(array, index, axis), state, State(units.cell, units.cell, *gates)
    )


def _pad(array: jax.Array, units: np.ndarray, axis: int) -> jax.Array:
    return jnp.take(array, units, axis, mode="fill", fill_value=0)


def _unpad(array: jax.Array, units: np.ndarray, axis: int) -> jax.Array:
    places = np.flatnonzero(units < ABSENT)
    if places[-1] < len(places):  # all padding is at the end
        return jax.lax.slice_in_dim(array, 0, len(places), axis=axis)
    return jnp.take(array, places, axis)


# The kernel and its launch ---------------------------------------------------------------------


def _over_batch(loop: _Loop) -> Callable[[UnitWeights, Sequence[State]], tuple]:
    """Return the launch for a batch, [B, ...], under `jax.vmap` with all sequences in one."""
    launch = functools.partial(_launch, loop)
    call = custom_vmap(launch)

    @call.def_vmap
    def one_batch(size: int, is_batched: list, weights: UnitWeights, batch: Sequence) -> tuple:
        if any(jax.tree.leaves(is_batched[0])):  # Pallas makes the networks an axis of its grid
            axes = jax.tree.map(lambda is_own: 0 if is_own else None, tuple(is_batched))
            results = jax.vmap(launch, axes)(weights, batch)
        else:
            spread = lambda x, is_own: x if is_own else jnp.broadcast_to(x, (size, *x.shape))
            batch = jax.tree.map(spread, batch, is_batched[1])
            batch = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)
            results = call(weights, batch)
            results = jax.tree.map(lambda x: x.reshape(size, -1, *x.shape[1:]), results)
        return results, jax.tree.map(lambda _: True, results)

    return call


def _launch(loop: _Loop, weights: UnitWeights, batch: Sequence[State]) -> tuple:
    """Run sequences [B, ...]; return the final state and the record, if any."""
    number = len(batch.inputs)
    rows = -number % BATCH_TILE
    batch = jax.tree.map(lambda x: jnp.pad(x, [(0, rows)] + [(0, 0)] * (x.ndim - 1)), batch)
    initial = batch.initial_state
    by_time = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), batch._replace(initial_state=None))
    steps = len(by_time.inputs)
    like = lambda *axes: lambda x: jax.ShapeDtypeStruct((*axes, *x.shape), x.dtype)
    final, states = jax.tree.map(like(), initial), jax.tree.map(like(steps), initial)
    record = (states, states.internal_state) if loop.record else None
    final, record = pl.pallas_call(
        functools.partial(_program, loop),
        out_shape=(final, record),
        grid=((number + rows) // BATCH_TILE,),
        in_specs=(jax.tree.map(lambda _: pl.BlockSpec(), weights), _tiles(initial, 0), _tiles(by_time, 1)),
        out_specs=(_tiles(final, 0), _tiles(record, 1)),
        interpret=loop.interpret,
        compiler_params=None if loop.interpret else triton.CompilerParams(num_warps=NUM_WARPS),
    )(weights, initial, by_time)
    record = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), record)
    return jax.tree.map(lambda x: x[:number], (final, record))


def _tiles(tree: Tree, axis: int) -> Tree:
    """Return the part of each array that belongs to a program: `BATCH_TILE` sequences."""

    def tile(x: jax.Array) -> pl.BlockSpec:
        shape = (*x.shape[:axis], BATCH_TILE, *x.shape[axis + 1 :])
        return pl.BlockSpec(shape, lambda i: tuple(i if k == axis else 0 for k in range(x.ndim)))

    return jax.tree.map(tile, tree)


def _program(loop, weights, initial, by_time, final, record) -> None:
    """Take a tile of sequences through all steps; all arguments but the first are references."""
    architecture = loop.architecture
    columns = _slices(architecture.sizes)
    seen = zip(architecture.sizes, architecture.is_recurrent, strict=True)
    rows = [part for part in _slices(n * is_seen for n, is_seen in seen) if part is not None]
    read = lambda part: [weights.recurrent[row, part] for row in rows]
    matrices = map_layer(lambda _, part: read(part), Layer(*columns))
    peephole = jax.tree.map(lambda ref: ref[...], weights.peephole)
    state_0 = jax.tree.map(lambda ref: ref[...], initial)
    start = jax.tree.map(lambda y: jnp.full_like(y, architecture.initial_activation), state_0)
    start = start._replace(internal_state=jnp.zeros_like(start.internal_state))

    def seen_states(gate: str, s: jax.Array) -> jax.Array:
        by_cell = (getattr(peephole, gate) * s).reshape(*s.shape[:-1], -1, architecture.blocks[0])
        return by_cell.sum(-1)

    def body(t: jax.Array, state_tm1: State) -> State:
        if by_time.reset is not None:
            state_tm1 = tree_where(by_time.reset[t, :][:, None], start, state_tm1)
        sources = recurrent_sources(architecture, state_tm1)

        def net_of(_, part: pl.Slice, matrices: list) -> jax.Array:
            return sum(map(jnp.dot, sources, matrices), by_time.inputs[t, :, part])

        net = map_layer(net_of, Layer(*columns), matrices)
        s_tm1 = state_tm1.internal_state
        state, cell_input = activate_units(architecture, net, s_tm1, seen_states, axis=1)
        if by_time.mask is not None:
            state = tree_where(by_time.mask[t, :][:, None], state, state_tm1)
        if record is not None:
            jax.tree.map(lambda ref, value: ref.__setitem__(t, value), record, (state, cell_input))
        return state

    last = jax.lax.fori_loop(np.int32(0), np.int32(by_time.inputs.shape[0]), body, state_0)
    jax.tree.map(lambda ref, value: ref.__setitem__(..., value), final, last)


def _slices(sizes: Iterable[int]) -> list[pl.Slice | None]:
    """Return where each type of unit lies in a joined array; None for absent ones."""
    sizes = list(sizes)
    first = np.cumsum([0, *sizes]).tolist()
    return [pl.ds(i, n) if n else None for i, n in zip(first, sizes, strict=False)]
