"""Learning on streams of any length, by the truncated gradient in forward mode.

A learner takes one input at a time. Memory is O(W) and each step's work O(1) per weight
(`lstm_jax.gradient.forward_mode`). The gradients of all steps are summed until an update applies
them.

In a stack the errors of a step go down, from layer to layer, at that very step: layer l takes the
error on its outputs y_l(t) from the net inputs of layer l + 1 at t, as (21) and (23) take it from
the output units. The error that would reach y_l(t) from later steps, along the carrousels of the
layers above, is cut: it needs traces of their states by all weights below. So the gradient of the
top layer is that of `jax.grad` of `apply`, and those of the layers below are not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Generic, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import PartitionSpec
from jax.typing import ArrayLike
from optax.tree_utils import tree_where

from lstm_jax.cell.architecture import AnyNetwork, NetworkWith, NetworkWithState, check_network
from lstm_jax.cell.compilation import compiled, shardings
from lstm_jax.cell.lanes import vary_alike
from lstm_jax.cell.parameters import check_parameters, one_array
from lstm_jax.cell.pytrees import exportable, register
from lstm_jax.cell.records import OutputWeights, P, S, StackParameters, State, by_layer
from lstm_jax.cell.step import zero_state
from lstm_jax.cell.validation import (
    as_flags,
    as_input,
    as_real,
    as_shaped,
    as_weights,
    batch_hint,
    check_type,
)
from lstm_jax.gradient.equations import Traces, one_hot, zero_traces
from lstm_jax.gradient.forward_mode import LayerStep, errors_on_inputs, layer_gradient, step_layer
from lstm_jax.network.layer import net_inputs_only
from lstm_jax.network.losses import HALF_SQUARED, Loss, check_loss
from lstm_jax.network.optimisers import check_optimiser
from lstm_jax.network.run import check_run, check_state, run_output_units
from lstm_jax.network.stack import layer_outputs, normalise

# The states of optimisers, which are part of a learner.
for _name, _class in list(vars(optax).items()):
    if isinstance(_class, type) and issubclass(_class, tuple):
        register(_class, f"optax.{_name}")


@exportable
class Learner(NamedTuple, Generic[P, S]):
    """The state of online learning, a pytree of constant size.

    Attributes:
      parameters: the weights of the network.
      optimiser_state: the state of the optimiser, from its `init`.
      state: the state of the hidden layer after the last step.
      traces: ∂s_v/∂w_m at the last step (eqs. 25, 27), of each layer.
      gradient: the gradient of the loss, summed over the steps since the last update.
    """

    parameters: P
    optimiser_state: optax.OptState
    state: S
    traces: tuple[Traces, ...]
    gradient: P


def init_learner(
    architecture: NetworkWithState[P, S],
    parameters: P,
    optimiser: optax.GradientTransformation,
) -> Learner[P, S]:
    """Return a learner before the first step, with arrays of its own, which may be donated.

    >>> from lstm_jax import Architecture, initialise
    >>> net = Architecture(num_inputs=2, blocks=(1,), num_outputs=1)
    >>> learner = init_learner(net, initialise(jax.random.key(0), net), optax.sgd(0.5))
    >>> float(learner.state.internal_state[0])
    0.0

    Args:
      architecture: the network, an `Architecture` or a `Stack` of one direction, in which errors go
        down from layer to layer at the same step.
      parameters: its initial weights.
      optimiser: any optax transformation that needs the gradient alone; also given to `update`.

    Raises:
      ValueError: if the parameters do not fit, the optimiser needs more than the gradient, or the
        stack is bidirectional.
    """
    check_parameters(architecture, parameters)
    if architecture.bidirectional:
        raise ValueError("bidirectional must be False: a backward layer begins at the stream's end")
    check_optimiser(optimiser, parameters)
    learner = Learner(
        parameters=parameters,
        optimiser_state=optimiser.init(parameters),
        state=zero_state(architecture, one_array(parameters).dtype),
        traces=tuple(map(zero_traces, architecture.layers, parameters.layers)),
        gradient=jax.tree.map(jnp.zeros_like, parameters),
    )
    return jax.tree.map(jnp.copy, learner)


def start_sequence(architecture: NetworkWithState[P, S], learner: Learner[P, S]) -> Learner[P, S]:
    """Reset state and traces to the start of a sequence; the rest of the learner stays.

    >>> from lstm_jax import Architecture, initialise
    >>> net = Architecture(num_inputs=2, blocks=(1,), num_outputs=1)
    >>> learner = init_learner(net, initialise(jax.random.key(0), net), optax.sgd(0.5))
    >>> _, learner = learn(net, learner, 1)
    >>> start_sequence(net, learner).state.internal_state
    Array([0.], dtype=float32)

    Args:
      architecture: the network.
      learner: the learner at any step.

    Raises:
      ValueError: if the learner does not fit the architecture.
    """
    _check_learner(architecture, learner)
    return _start_sequence(architecture, learner)


@functools.partial(jax.jit, static_argnums=0, inline=True)
def _start_sequence(architecture: NetworkWithState[P, S], learner: Learner[P, S]) -> Learner[P, S]:
    dtype = one_array(learner.parameters).dtype
    return learner._replace(
        state=zero_state(architecture, dtype),
        traces=jax.tree.map(jnp.zeros_like, learner.traces),
    )


def _check_learner(architecture: NetworkWithState[P, S], learner: Learner[P, S]) -> None:
    check_network(architecture)
    check_type("learner", learner, Learner)
    dtype = one_array(learner.parameters).dtype
    check_state("learner.state", architecture, learner.state, dtype)


def learn(
    architecture: NetworkWithState[P, S],
    learner: Learner[P, S],
    x_t: ArrayLike,
    target: ArrayLike | None = None,
    *,
    weight: ArrayLike = 1.0,
    mask: ArrayLike | None = None,
    reset: ArrayLike | None = None,
    loss: Loss = HALF_SQUARED,
) -> tuple[jax.Array, Learner[P, S]]:
    """Process one input and, if given, its target.

    >>> from lstm_jax import Architecture, initialise
    >>> net = Architecture(num_inputs=2, blocks=(1,), num_outputs=1)
    >>> sgd = optax.sgd(0.5)
    >>> learner = init_learner(net, initialise(jax.random.key(0), net), sgd)
    >>> prediction, learner = learn(net, learner, jnp.array([1.0, 0.0]))
    >>> prediction, learner = learn(net, learner, jnp.array([0.0, 1.0]), jnp.array([1.0]))
    >>> learner = update(sgd, learner)

    Args:
      architecture: the network; static under `jit`.
      learner: the learner before the step.
      x_t: [I] floating, or an integer in [0, I) for a one-hot vector.
      target: [K], or None for a step without error.
      weight: the weight of this step's loss; 0 is the same as no target, so that one compiled
        function serves steps with and without targets.
      mask: bool, False for a gap in the stream, where the learner stays as it is except for a
        reset, and the outputs are 0.
      reset: bool, whether a new sequence starts before this step, as by `start_sequence`.
      loss: the loss at the output units, E / 2 in the paper; static under `jit`.

    Returns:
      The outputs [K], from the weights before any update, and the learner after the step. Its
      `gradient` includes this step; `update` applies it.

    Raises:
      ValueError: if an argument does not fit, or the loss is not defined for the output units.
    """
    _check_learner(architecture, learner)
    check_loss(architecture, loss)
    x_t, weight = as_input(x_t, architecture.num_inputs), as_real("weight", weight)
    if weight.shape != ():
        found = f"{weight.dtype} {weight.shape}{batch_hint(weight.shape, ())}"
        raise ValueError(f"weight must be one number, got {found}")
    if target is not None:
        target = as_shaped("target", target, (architecture.num_outputs,))
    is_real = None if mask is None else as_flags("mask", mask, ())
    is_reset = None if reset is None else as_flags("reset", reset, ())
    return _learn(architecture, loss, learner, x_t, target, weight, is_real, is_reset)


@compiled(num_static=2, results_like=lambda learner, *_: (PartitionSpec(), shardings(learner)))
def _learn(
    architecture: NetworkWithState[P, S],
    loss: Loss,
    learner: Learner[P, S],
    x_t: jax.Array,
    target: jax.Array | None,
    weight: jax.Array,
    is_real: jax.Array | None,
    is_reset: jax.Array | None,
) -> tuple[jax.Array, Learner[P, S]]:
    if is_reset is not None:
        learner = tree_where(is_reset, _start_sequence(architecture, learner), learner)
    if is_real is None:
        return _take_step(architecture, loss, learner, x_t, target, weight)
    x_t, weight = jnp.where(is_real, x_t, 0), jnp.where(is_real, weight, 0)
    outputs, new = _take_step(architecture, loss, learner, x_t, target, weight)
    return tree_where(is_real, (outputs, new), (jnp.zeros_like(outputs), learner))


def _take_step(
    architecture: NetworkWithState[P, S],
    loss: Loss,
    learner: Learner[P, S],
    x_t: jax.Array,
    target: jax.Array | None,
    weight: jax.Array,
) -> tuple[jax.Array, Learner[P, S]]:
    dtype = one_array(learner.parameters).dtype
    x_t = one_hot(architecture.layers[0], x_t, dtype)
    layers, weights = architecture.layers, learner.parameters.layers
    steps: list[LayerStep] = []
    states, all_traces = by_layer(learner.state), learner.traces
    for layer, own, before, traces in zip(layers, weights, states, all_traces, strict=True):
        x_t = _seen_from_above(architecture, steps[-1].state) if steps else x_t
        assert isinstance(before, State)  # of one direction
        steps.append(step_layer(layer, own, before, traces, x_t))
    outputs = run_output_units(layers[-1], learner.parameters.output, steps[-1].state, x_t)
    learner = learner._replace(
        state=architecture.make_state(tuple(step.state for step in steps)),
        traces=tuple(step.traces for step in steps),
    )
    if target is not None:
        gradient = _gradient(architecture, learner, steps, target, weight.astype(dtype), loss)
        learner = learner._replace(gradient=jax.tree.map(jnp.add, learner.gradient, gradient))
    return outputs, learner


def _seen_from_above(architecture: AnyNetwork, state: State) -> jax.Array:
    return normalise(architecture, layer_outputs(state), axis=0)


def _gradient(
    architecture: NetworkWith[P],
    learner: Learner[P, S],
    steps: list[LayerStep],
    target: jax.Array,
    weight: jax.Array,
    loss: Loss,
) -> P:
    """Return one step's gradient of the loss, E / 2 in the paper (eqs. 19-28)."""
    top = steps[-1]

    def at_outputs(output: OutputWeights, state: State, x_t: jax.Array) -> jax.Array:
        net = run_output_units(net_inputs_only(top.architecture), output, state, x_t)
        return loss(net[None], target[None], weight[None], output=top.architecture.output)

    by_outputs, delta, delta_x = jax.grad(at_outputs, (0, 1, 2))(  # (19)
        learner.parameters.output, top.state, top.sources.input
    )
    gradients = [layer_gradient(top, delta)]
    for step, below in zip(steps[:0:-1], steps[-2::-1], strict=True):
        delta_x = delta_x + errors_on_inputs(step, delta)
        (delta,) = jax.vjp(lambda y: _seen_from_above(architecture, y), below.state)[1](delta_x)
        delta_x = jnp.zeros_like(below.sources.input)
        gradients.append(layer_gradient(below, delta))
    weights = StackParameters(tuple(gradients[::-1]), None, by_outputs)
    return architecture.make_parameters(weights)


def update(optimiser: optax.GradientTransformation, learner: Learner[P, S]) -> Learner[P, S]:
    """Update the weights by the gradient summed since the last update, and set it to 0.

    >>> from lstm_jax import Architecture, initialise
    >>> net, sgd = Architecture(num_inputs=2, blocks=(1,), num_outputs=1), optax.sgd(0.5)
    >>> learner = init_learner(net, initialise(jax.random.key(0), net), sgd)
    >>> _, learner = learn(net, learner, 1, [1.0])
    >>> float(learner.gradient.output.bias[0]) < 0
    True
    >>> update(sgd, learner).gradient.output.bias
    Array([0.], dtype=float32)

    Args:
      optimiser: the optimiser that `init_learner` was given.
      learner: the learner, after at least one step.

    Raises:
      ValueError: if `learner` is not a `Learner`.
    """
    check_type("learner", learner, Learner)
    return _compiled_update(optimiser.update)(learner)


@functools.lru_cache(maxsize=32)  # optimisers that are made anew at every step do not pile up
def _compiled_update(transform: optax.TransformUpdateFn) -> Callable[[Learner], Learner]:
    def update(learner: Learner) -> Learner:
        with jax.numpy_dtype_promotion("standard"):  # optax multiplies floats and integers
            updates, optimiser_state = transform(
                learner.gradient, learner.optimiser_state, learner.parameters
            )
        return learner._replace(
            parameters=optax.apply_updates(learner.parameters, updates),
            optimiser_state=optimiser_state,
            gradient=jax.tree.map(jnp.zeros_like, learner.gradient),
        )

    return jax.jit(update, inline=True)


def online_gradient(
    architecture: NetworkWith[P],
    parameters: P,
    inputs: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    loss: Loss = HALF_SQUARED,
) -> tuple[jax.Array, P]:
    """Return the outputs of a sequence and its truncated gradient, in memory independent of T.

    Arguments and errors are those of `learn_chunk`; the sequence begins at `zero_state`. Of a stack
    it is the gradient of `learn`, in which errors go down at the same step.

    >>> from lstm_jax import Architecture, initialise
    >>> net = Architecture(num_inputs=2, blocks=(1,), num_outputs=1)
    >>> parameters = initialise(jax.random.key(0), net)
    >>> outputs, gradient = online_gradient(net, parameters, [0, 1, 1], [[0.0], [1.0], [1.0]])
    >>> outputs.shape, gradient.layer.cell.input.shape
    ((3, 1), (2, 1))

    Returns:
      The outputs [T, K], and the gradient, shaped as the parameters.
    """
    sequence = check_run(architecture, parameters, inputs)
    steps = sequence.inputs.shape[:1]
    targets = as_shaped("targets", targets, (*steps, architecture.num_outputs))
    weights = as_weights(weights, steps)
    check_loss(architecture, loss)
    return _online_gradient(architecture, loss, parameters, sequence.inputs, targets, weights)


@compiled(num_static=2, results_like=lambda like, *_: (PartitionSpec(), shardings(like)))
def _online_gradient(
    architecture: NetworkWith[P],
    loss: Loss,
    parameters: P,
    inputs: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
) -> tuple[jax.Array, P]:
    start = init_learner(architecture, parameters, optax.identity())
    start, steps = vary_alike((start, (inputs, targets, weights)))

    def body(learner: Learner, at: tuple) -> tuple[Learner, jax.Array]:
        outputs, learner = _take_step(architecture, loss, learner, *at)
        return learner, outputs

    learner, outputs = jax.lax.scan(body, start, steps)
    return outputs, learner.gradient
