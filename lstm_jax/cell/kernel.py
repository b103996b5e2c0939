"""The loop of a layer over all steps as one GPU kernel, in Pallas; it has never run on a GPU.

A program of the kernel takes `BATCH_TILE` sequences through all steps: one launch, with the weights
loaded once and the state kept on chip (after FlashRNN, Pöppel, Beck & Hochreiter 2024). What inputs
and biases add to the net inputs is one product over all steps before it. The kernel records what
the scan records, which is all that the truncated gradient needs.

The Triton backend of Pallas takes arrays whose sizes are powers of 2, and products of at least 16
rows, columns and sources. Blocks, units of a type and sequences are padded accordingly. A padded
unit has no weights, and its activations are dropped.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
from optax.tree_utils import tree_where

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import split
from lstm_jax.cell.records import Activations, State, UnitWeights
from lstm_jax.cell.scan import LayerScan, ScanOutput, Sequence, project
from lstm_jax.cell.step import activate_units, by_unit_type, recurrent_sources, zero_state
from lstm_jax.cell.units import Layer, MaybeNone, UnitType, map_layer
from lstm_jax.cell.validation import require

BATCH_TILE = 16  # sequences in a program
SMALLEST_SIZE = 16  # of an axis of a product
NUM_WARPS = 8
# Of the padded recurrent weights, 64 single cells of 1997. With the activations that they multiply,
# at most 12 KiB, they have to fit into the 163 KiB that a program has on an A100 (H100: 227 KiB).
MAX_WEIGHT_BYTES = 144 * 1024

# From each type of source, [n', n], into each type of unit; and peepholes, [1, C], of each gate.
Weights = tuple[Layer[list[jax.Array]] | MaybeNone, Layer[jax.Array]]


def check_kernel(loop: str, layers: Iterable[Architecture], weights: jax.Array) -> None:
    """Raise ValueError unless layers can run in a kernel; `weights` [I, C] are some of theirs."""
    if loop == "kernel":
        platform, dtype = jax.default_backend(), weights.dtype
        require(platform == "gpu", "loop", f"'scan' or 'interpreted_kernel' on a {platform}", loop)
        require(dtype == jnp.float32, "dtype of parameters", "float32 in a kernel", dtype)
    require(weights.ndim == 2, "loop", "'scan' for parameters with lanes", loop)
    for wide in map(pad_architecture, layers):
        found = wide.num_sources * wide.num_units * weights.dtype.itemsize
        wanted = f"small enough for {MAX_WEIGHT_BYTES} bytes of recurrent weights in a kernel"
        require(found <= MAX_WEIGHT_BYTES, "architecture", wanted, f"{found} bytes")


def pad_architecture(architecture: Architecture) -> Architecture:
    """Return the layer with blocks of one size, and as many units of a type as products need."""
    enough = lambda number: max(pl.next_power_of_2(number), SMALLEST_SIZE)
    blocks = (pl.next_power_of_2(max(architecture.blocks)),) * enough(architecture.num_blocks)
    hidden = architecture.num_hidden and enough(architecture.num_hidden)
    return dataclasses.replace(architecture, blocks=blocks, num_hidden=hidden)


def run(layer: LayerScan, weights: UnitWeights, sequence: Sequence[State]) -> ScanOutput:
    """Run a layer as `LayerScan` does; its weights are joined and have no lanes."""
    steps, initial = sequence.inputs.shape[0], sequence.initial_state
    require(isinstance(steps, int), "number of steps", "known in a kernel", steps)
    if steps == 0:  # Pallas takes no empty arrays
        return layer._replace(loop="scan")(weights, sequence)
    narrow, wide = layer.architecture, pad_architecture(layer.architecture)
    places = _places(narrow, wide)
    start = zero_state(wide, initial.internal_state.dtype)
    start = jax.tree.map(lambda wide, y, at: wide.at[at].set(y)[None], start, initial, places)
    net = split(narrow, project(weights, sequence.inputs), axis=1)
    pad = lambda t, net, at: _pad(net, at, wide.count(t), axis=1)
    net = map_layer(pad, net, by_unit_type(places))
    padded = sequence._replace(inputs=net, initial_state=start, length=None)
    call = _over_batch(functools.partial(_launch, layer._replace(architecture=wide)))
    batch_of_one = jax.tree.map(lambda array: array[None], padded)
    record = call(_pad_weights(narrow, wide, weights, places), batch_of_one)
    states, cell_input = jax.tree.map(lambda array: array[0], record)
    states = jax.tree.map(_unpad, states, places)
    final = jax.tree.map(lambda states: states[-1], states)
    fields = states._asdict() | {"cell_input": _unpad(cell_input, places.cell_output)}
    return final, Activations(**fields) if layer.record else None


def _places(narrow: Architecture, wide: Architecture) -> State:
    """Return where the units of each type lie in the padded layer, arrays of NumPy."""
    units = jax.tree.map(lambda y: np.arange(len(y)), zero_state(narrow))
    cells = np.flatnonzero(np.arange(wide.blocks[0])[None] < np.array(narrow.blocks)[:, None])
    return units._replace(internal_state=cells, cell_output=cells)


def _pad_weights(
    narrow: Architecture, wide: Architecture, weights: UnitWeights, places: State
) -> Weights:
    """Return the weights that units have for each other; those of padded units are 0."""
    cells = lambda peephole: _pad(peephole, places.cell_output, wide.num_cells, axis=0)[None]
    peephole = jax.tree.map(cells, weights.peephole)
    if weights.recurrent is None:
        return None, peephole
    seen, sizes = recurrent_sources(narrow, places), recurrent_sources(wide, zero_state(wide))

    def by_source(unit_type: UnitType, matrix: jax.Array, at: jax.Array) -> list[jax.Array]:
        matrix = _pad(matrix, at, wide.count(unit_type), axis=1)
        rows = jnp.split(matrix, np.cumsum([len(at) for at in seen])[:-1].tolist())
        return [_pad(*row, axis=0) for row in zip(rows, seen, map(len, sizes), strict=True)]

    by_unit = split(narrow, weights.recurrent, axis=1)
    return map_layer(by_source, by_unit, by_unit_type(places)), peephole


def _pad(array: jax.Array, places: jax.Array, size: int, axis: int) -> jax.Array:
    """Spread an axis over a longer one, with zeros between."""
    if len(places) == size:
        return array
    index = np.full(size, len(places))
    index[places] = np.arange(len(places))
    return jnp.take(array, index, axis, mode="fill", fill_value=0)


def _unpad(array: jax.Array, places: jax.Array) -> jax.Array:
    is_at_start = places[-1] < len(places)
    return array[:, : len(places)] if is_at_start else jnp.take(array, places, 1)


def _over_batch(launch: Callable[[Weights, Sequence], tuple]) -> Callable[..., tuple]:
    """Return a function of sequences [B, ...], which `jax.vmap` joins into one launch."""
    call = custom_vmap(launch)

    @call.def_vmap
    def one_batch(size: int, is_batched: list, weights: Weights, batch: Sequence) -> tuple:
        if any(jax.tree.leaves(is_batched[0])):  # Pallas makes the networks an axis of its grid
            axes = jax.tree.map(lambda is_own: 0 if is_own else None, tuple(is_batched))
            results = jax.vmap(launch, axes)(weights, batch)
        else:
            spread = lambda x, is_own: x if is_own else jnp.broadcast_to(x, (size, *x.shape))
            batch = jax.tree.map(spread, batch, is_batched[1])
            results = call(weights, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch))
            results = jax.tree.map(lambda x: x.reshape(size, -1, *x.shape[1:]), results)
        return results, jax.tree.map(lambda _: True, results)

    return call


def _launch(layer: LayerScan, weights: Weights, batch: Sequence) -> tuple[State, jax.Array]:
    """Return the states after all steps, or after the last one, [B, T, n], and g(net_c)."""
    number, steps = jax.tree.leaves(batch.inputs)[0].shape[:2]
    rows = -number % BATCH_TILE
    batch = jax.tree.map(lambda x: jnp.pad(x, [(0, rows)] + [(0, 0)] * (x.ndim - 1)), batch)
    by_time = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), batch)
    shape = lambda y: (steps if layer.record else 1, *y.shape[1:])
    states = jax.tree.map(lambda y: jax.typeof(y).update(shape=shape(y)), by_time.initial_state)
    block = lambda x: (x.shape[0], BATCH_TILE, *x.shape[2:])
    tile = lambda x: pl.BlockSpec(block(x), lambda i: (0, i, 0)[: x.ndim])
    out_shape = states, states.internal_state
    launch = pl.pallas_call(
        functools.partial(_program, layer),
        out_shape,
        grid=((number + rows) // BATCH_TILE,),
        in_specs=(jax.tree.map(lambda _: pl.BlockSpec(), weights), jax.tree.map(tile, by_time)),
        out_specs=jax.tree.map(tile, out_shape),
        interpret=layer.loop == "interpreted_kernel",
        compiler_params=triton.CompilerParams(num_warps=NUM_WARPS),
    )
    return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1)[:number], launch(weights, by_time))


def _program(layer: LayerScan, weights, sequence, states, cell_inputs) -> None:
    """Take a tile of sequences through all steps; all arguments but the first are references."""
    wide = layer.architecture
    recurrent, peephole = jax.tree.map(lambda ref: ref[...], weights)
    first = jax.tree.map(lambda ref: ref[0], sequence.initial_state)
    start = jax.tree.map(lambda y: jnp.full_like(y, wide.initial_activation), first)
    start = start._replace(internal_state=jnp.zeros_like(first.internal_state))

    def seen_states(gate: str, s: jax.Array) -> jax.Array:
        return (getattr(peephole, gate) * s).reshape(len(s), -1, wide.blocks[0]).sum(-1)

    def body(t: jax.Array, state_tm1: State) -> State:
        if sequence.reset is not None:
            state_tm1 = tree_where(sequence.reset[t][:, None], start, state_tm1)
        net = map_layer(lambda _, ref: ref[t], sequence.inputs)
        if recurrent is not None:
            sources = recurrent_sources(wide, state_tm1)
            add = lambda _, net, matrices: sum(map(jnp.dot, sources, matrices), net)
            net = map_layer(add, net, recurrent)
        s_tm1 = state_tm1.internal_state
        state, cell_input = activate_units(wide, net, s_tm1, seen_states, axis=1)
        if sequence.mask is not None:
            state = tree_where(sequence.mask[t][:, None], state, state_tm1)
        store = lambda ref, value: ref.__setitem__(t if layer.record else 0, value)
        jax.tree.map(store, (states, cell_inputs), (state, cell_input))
        return state

    jax.lax.fori_loop(np.int32(0), np.int32(sequence.inputs.cell.shape[0]), body, first)
