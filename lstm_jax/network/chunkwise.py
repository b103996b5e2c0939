"""Online learning in chunks of T steps, faster than step by step.

Error signals flow back in reverse mode to the start of the chunk, where they meet the traces of
earlier steps (eqs. 25, 27), and one sum moves these on to its end. The result equals that of
`learn` step by step, up to rounding.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jax.typing import ArrayLike

from lstm_jax.cell.activations import activate_outputs
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.compilation import compiled, shardings
from lstm_jax.cell.lanes import vary_alike
from lstm_jax.cell.parameters import join
from lstm_jax.cell.records import Parameters, State
from lstm_jax.cell.scan import LayerScan, Sequence, Steps
from lstm_jax.cell.units import Layer, add_layers
from lstm_jax.cell.validation import as_shaped, as_weights, check_type, require
from lstm_jax.gradient.equations import advance_traces, gradient_from_traces
from lstm_jax.gradient.reverse_mode import truncated
from lstm_jax.network.layer import net_inputs_only
from lstm_jax.network.losses import HALF_SQUARED, Loss, check_loss
from lstm_jax.network.online import Learner
from lstm_jax.network.run import check_run, clear_padding, prepare, run_output_units


def learn_chunk(
    architecture: Architecture,
    learner: Learner[Parameters, State],
    inputs: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    weights: ArrayLike | None = None,
    steps: Steps = Steps(),
    loss: Loss = HALF_SQUARED,
) -> tuple[jax.Array, Learner[Parameters, State]]:
    """Process T steps at once, faster than `learn` step by step; memory is O(T).

    Arguments and errors are those of `learn` for T steps: `inputs` [T, I] floating or [T] integers,
    `targets` [T, K] or None, `weights` [T] (None: 1), and the mask and the resets of `steps`.

    >>> import optax
    >>> from lstm_jax.cell.parameters import initialise
    >>> from lstm_jax.network.online import init_learner
    >>> net = Architecture(num_inputs=2, blocks=(1,), num_outputs=1)
    >>> learner = init_learner(net, initialise(jax.random.key(0), net), optax.sgd(0.5))
    >>> learn_chunk(net, learner, [0, 1, 1], [[0.0], [1.0], [1.0]])[0].shape
    (3, 1)

    Returns:
      The outputs [T, K] and the learner after the chunk.
    """
    check_type("architecture", architecture, Architecture)
    check_type("learner", learner, Learner)
    is_truncated = isinstance(learner.traces[0], Layer)
    require(is_truncated, "learner", "one of the truncated gradient", type(learner.traces[0]))
    sequence = check_run(architecture, learner.parameters, inputs, steps, learner.state)
    check_loss(architecture, loss)
    num_steps = sequence.inputs.shape[:1]
    if targets is not None:
        targets = as_shaped("targets", targets, (*num_steps, architecture.num_outputs))
    counts = None if targets is None else as_weights(weights, num_steps)
    return _learn_chunk(architecture, loss, learner, sequence, targets, counts)


@compiled(num_static=2, results_like=lambda learner, *_: (PartitionSpec(), shardings(learner)))
def _learn_chunk(
    architecture: Architecture,
    loss: Loss,
    learner: Learner[Parameters, State],
    sequence: Sequence[State],
    targets: jax.Array | None,
    weights: jax.Array | None,
) -> tuple[jax.Array, Learner[Parameters, State]]:
    layer = LayerScan(architecture, record=True)
    learner, sequence = vary_alike((learner, prepare(sequence, architecture.num_inputs)))
    (traces,) = learner.traces
    assert isinstance(traces, Layer)  # of the truncated gradient
    if weights is not None and sequence.mask is not None:
        weights = jnp.where(sequence.mask, weights, 0)

    def at_outputs(parameters: Parameters, start: State) -> tuple[jax.Array, tuple]:
        joined = join(architecture, parameters.layer)
        final, activations = truncated(layer, joined, sequence._replace(initial_state=start))
        assert activations is not None
        net = run_output_units(
            net_inputs_only(architecture), parameters.output, activations, sequence.inputs
        )
        value = jnp.zeros(())
        if targets is not None:
            value = loss(net, targets, weights, output=architecture.output)
        return value, (net, activations, final)

    if targets is None:
        _, (net, activations, final) = at_outputs(learner.parameters, learner.state)
    else:
        (gradient, delta_start), (net, activations, final) = jax.grad(
            at_outputs, argnums=(0, 1), has_aux=True
        )(learner.parameters, learner.state)
        earlier = gradient_from_traces(architecture, traces, delta_start.internal_state)
        gradient = jax.tree.map(jnp.add, learner.gradient, gradient)
        gradient = gradient._replace(layer=add_layers(gradient.layer, earlier))
        learner = learner._replace(gradient=gradient)
    traces = advance_traces(layer, traces, sequence, activations)
    outputs = activate_outputs(architecture.output, net, axis=1)
    outputs = clear_padding(outputs, sequence.mask)
    return outputs, learner._replace(state=final, traces=(traces,))
