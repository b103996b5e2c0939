"""Many steps of a stream at once, where the weights need not change in between.

Errors flow back to the start of the stretch in reverse mode, what is left of them meets the traces
there (eqs. 25-28), and the traces move on to the end in one sum. It is what `online.learn` does
with one step after the other, to rounding.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from lstm_jax.cell.activations import ACTIVATIONS
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.step import State
from lstm_jax.network.arguments import Given, check_given, check_target, check_weights
from lstm_jax.network.losses import HALF_SQUARED, Error, check_error
from lstm_jax.network.layer import as_sequence, clear_padding
from lstm_jax.network.online import Learner
from lstm_jax.network.outputs import output_units_over_time, unsquashed
from lstm_jax.cell.parameters import Parameters, join
from lstm_jax.cell.scan import Activations, Recurrence
from lstm_jax.gradient.reverse_mode import truncated
from lstm_jax.gradient.traces import through_traces, traces_after
from lstm_jax.cell.units import Layer
from lstm_jax.cell.validation import check_kind
from lstm_jax.cell.sharding import vary_alike


def learn_steps(
    architecture: Architecture,
    learner: Learner,
    inputs: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    weights: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    reset: ArrayLike | None = None,
    error: Error = HALF_SQUARED,
) -> tuple[jax.Array, Learner]:
    """Takes a stretch of T steps: what `learn` does with one after the other, but faster.

    Memory grows with the stretch, not with the stream.

    >>> import optax
    >>> from lstm_jax.network.online import init_learner
    >>> from lstm_jax.cell.parameters import initialise
    >>> net = Architecture(num_inputs=2, blocks=(1,), num_outputs=1)
    >>> learner = init_learner(net, initialise(jax.random.key(0), net), optax.sgd(0.5))
    >>> outputs, learner = learn_steps(net, learner, [0, 1, 1], [[0.0], [1.0], [1.0]])
    >>> outputs.shape
    (3, 1)

    Args:
      architecture, learner: as in `learn`.
      inputs: [T, I] floating, or [T] integers in [0, I).
      targets: [T, K], or None: no error at these steps.
      weights: [T], how much each step's error counts; None: 1.
      mask: [T] bool, False at gaps in the stream, as in `learn`.
      reset: [T] bool, whether a new sequence starts before each step, as in `learn`.
      error: as in `learn`.

    Returns:
      The outputs [T, K] and the new learner.

    Raises:
      ValueError: if the inputs, targets, weights, mask or reset have the wrong shape, or the output
        units cannot have this error.
    """
    check_kind("learner", learner, Learner)
    given = check_given(architecture, learner.parameters, inputs, learner.state, mask, None, reset)
    check_error(architecture, error)
    steps = given.inputs.shape[:1]
    if targets is not None:
        targets = check_target(architecture, targets, steps, "targets")
        weights = check_weights(weights, steps)
    return _learn_steps(architecture, error, learner, given, targets, weights)


@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
def _learn_steps(
    architecture: Architecture,
    error: Error,
    learner: Learner,
    given: Given,
    targets: jax.Array | None,
    weights: jax.Array | None,
) -> tuple[jax.Array, Learner]:
    layer = Recurrence(architecture, record=True)
    sequence = as_sequence(architecture, learner.parameters, given)
    learner, sequence = vary_alike((learner, sequence))
    if weights is not None and sequence.mask is not None:
        weights = jnp.where(sequence.mask, weights, 0)

    def run(parameters: Parameters, start: State) -> tuple[jax.Array, Activations, State]:
        joined = join(architecture, parameters.layer)
        final, activations = truncated(layer, joined, sequence._replace(initial_state=start))
        assert activations is not None
        net = output_units_over_time(
            unsquashed(architecture), parameters.output, activations, sequence.inputs
        )
        return net, activations, final

    def at_outputs(parameters: Parameters, start: State) -> tuple[jax.Array, tuple]:
        net, *others = run(parameters, start)
        assert targets is not None
        return error(net, targets, weights, output=architecture.output), (net, *others)

    if targets is None:
        net, activations, final = run(learner.parameters, learner.state)
    else:
        (gradient, delta_start), (net, activations, final) = jax.grad(
            at_outputs, argnums=(0, 1), has_aux=True
        )(learner.parameters, learner.state)
        earlier = through_traces(architecture, learner.traces, delta_start.internal_state)
        gradient = jax.tree.map(jnp.add, learner.gradient, gradient)
        gradient = gradient._replace(layer=_add_where_present(gradient.layer, earlier))
        learner = learner._replace(gradient=gradient)
    traces = traces_after(layer, learner.traces, sequence, activations)
    outputs = clear_padding(ACTIVATIONS[architecture.output].value(net), sequence.mask)
    return outputs, learner._replace(state=final, traces=traces)


def _add_where_present(layer: Layer, more: Layer) -> Layer:
    """The sum of two layers, of which the second lacks some kinds."""
    pairs = zip(layer, more, strict=True)
    return Layer(*(a if b is None else jax.tree.map(jnp.add, a, b) for a, b in pairs))
