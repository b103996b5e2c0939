"""Online learning from a chunk of a stream, between two updates of the weights.

Within the chunk, error signals flow back in reverse mode. At its start they meet the traces of
earlier steps (eqs. 25-28), which one sum then moves on to its end. The result equals that of
`online.learn` step by step, up to rounding.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from lstm_jax.cell.activations import ACTIVATIONS
from lstm_jax.cell.architecture import Architecture, Layer
from lstm_jax.cell.lanes import vary_alike
from lstm_jax.cell.parameters import Parameters, join
from lstm_jax.cell.scan import Activations, LayerScan, Steps
from lstm_jax.cell.step import State
from lstm_jax.cell.validation import as_shaped, as_weights, check_type
from lstm_jax.gradient.equations import advance_traces, gradient_from_traces
from lstm_jax.gradient.reverse_mode import truncated
from lstm_jax.network.layer import RunArguments, as_sequence, check_run, clear_padding
from lstm_jax.network.losses import HALF_SQUARED, Loss, check_loss
from lstm_jax.network.online import Learner
from lstm_jax.network.outputs import net_inputs_only, output_units


def learn_chunk(
    architecture: Architecture,
    learner: Learner,
    inputs: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    weights: ArrayLike | None = None,
    steps: Steps = Steps(),
    loss: Loss = HALF_SQUARED,
) -> tuple[jax.Array, Learner]:
    """Take T steps at once, faster than `learn` step by step; memory is O(T).

    >>> import optax
    >>> from lstm_jax.network.online import init_learner
    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=2, blocks=(1,), num_outputs=1)
    >>> learner = init_learner(net, initialise(jax.random.key(0), net), optax.sgd(0.5))
    >>> outputs, learner = learn_chunk(net, learner, [0, 1, 1], [[0.0], [1.0], [1.0]])
    >>> outputs.shape
    (3, 1)

    Arguments are those of `learn` for T steps: `inputs` [T, I] floating or [T] integers, `targets`
    [T, K] or None, `weights` [T] (None: 1), and the mask and the resets of `steps`.

    Returns:
      The outputs [T, K] and the learner after the chunk.

    Raises:
      ValueError: if an argument has the wrong shape or dtype, or the loss is not defined for the
        output units.
    """
    check_type("learner", learner, Learner)
    arguments = check_run(architecture, learner.parameters, inputs, steps, learner.state)
    check_loss(architecture, loss)
    num_steps = arguments.inputs.shape[:1]
    if targets is not None:
        targets = as_shaped("targets", targets, (*num_steps, architecture.num_outputs))
        weights = as_weights(weights, num_steps)
    return _learn_chunk(architecture, loss, learner, arguments, targets, weights)


@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
def _learn_chunk(
    architecture: Architecture,
    loss: Loss,
    learner: Learner,
    arguments: RunArguments,
    targets: jax.Array | None,
    weights: jax.Array | None,
) -> tuple[jax.Array, Learner]:
    layer = LayerScan(architecture, record=True)
    sequence = as_sequence(architecture, learner.parameters, arguments)
    learner, sequence = vary_alike((learner, sequence))
    if weights is not None and sequence.mask is not None:
        weights = jnp.where(sequence.mask, weights, 0)

    def run(parameters: Parameters, start: State) -> tuple[jax.Array, Activations, State]:
        joined = join(architecture, parameters.layer)
        final, activations = truncated(layer, joined, sequence._replace(initial_state=start))
        assert activations is not None
        net = output_units(
            net_inputs_only(architecture), parameters.output, activations, sequence.inputs
        )
        return net, activations, final

    def at_outputs(parameters: Parameters, start: State) -> tuple[jax.Array, tuple]:
        net, *others = run(parameters, start)
        assert targets is not None
        return loss(net, targets, weights, output=architecture.output), (net, *others)

    if targets is None:
        net, activations, final = run(learner.parameters, learner.state)
    else:
        (gradient, delta_start), (net, activations, final) = jax.grad(
            at_outputs, argnums=(0, 1), has_aux=True
        )(learner.parameters, learner.state)
        earlier = gradient_from_traces(architecture, learner.traces, delta_start.internal_state)
        gradient = jax.tree.map(jnp.add, learner.gradient, gradient)
        gradient = gradient._replace(layer=_add_where_present(gradient.layer, earlier))
        learner = learner._replace(gradient=gradient)
    traces = advance_traces(layer, learner.traces, sequence, activations)
    outputs = clear_padding(ACTIVATIONS[architecture.output](net), sequence.mask)
    return outputs, learner._replace(state=final, traces=traces)


def _add_where_present(layer: Layer, more: Layer) -> Layer:
    """Add two layers, of which the second lacks some unit types."""
    pairs = zip(layer, more, strict=True)
    return Layer(*(a if b is None else jax.tree.map(jnp.add, a, b) for a, b in pairs))
