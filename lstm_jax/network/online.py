"""Learning on streams of any length, by a gradient in forward mode.

A learner takes one input at a time. Memory is O(W) and each step's work O(1) per weight
(`lstm_jax.gradient.forward_mode`), unless `init_learner` is asked for a less truncated gradient.
The gradients of all steps are summed until an update applies them.

In a stack the errors of a step go down, from layer to layer, at that very step: layer l takes the
error on its outputs y_l(t) from the net inputs of layer l + 1 at t, as (21) and (23) take it from
the output units. The error that would reach y_l(t) from later steps, along the carrousels of the
layers above, is cut: it needs traces of their states by all weights below. So the gradient of the
top layer is that of `jax.grad` of `apply`, and those of the layers below are not.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import PartitionSpec
from jax.typing import ArrayLike
from optax.tree_utils import tree_where

from lstm_jax.cell.activations import activate_outputs
from lstm_jax.cell.architecture import (
    AnyNetwork,
    Architecture,
    NetworkWith,
    NetworkWithState,
    check_outputs,
)
from lstm_jax.cell.compilation import compiled, shardings
from lstm_jax.cell.lanes import vary_alike
from lstm_jax.cell.parameters import one_array
from lstm_jax.cell.records import OutputWeights, P, S, StackParameters, State, by_layer
from lstm_jax.cell.validation import (
    as_flags,
    as_input,
    as_real,
    as_shaped,
    as_weights,
    batch_hint,
    check_type,
    is_finite,
    require,
)
from lstm_jax.gradient.equations import one_hot
from lstm_jax.gradient.forward_mode import LayerStep, errors_on_inputs, layer_gradient, step_layer
from lstm_jax.network.layer import net_inputs_only
from lstm_jax.network.learner import (
    Learner,
    OnlineGradient,
    check_learner,
    init_learner,
    reset_sequence,
    start_sequence,
    update,
)
from lstm_jax.network.losses import HALF_SQUARED, Loss, check_loss
from lstm_jax.network.run import check_run, run_output_units
from lstm_jax.network.stack import layer_outputs, normalise

__all__ = ("Learner", "init_learner", "learn", "online_gradient", "start_sequence", "update")


def learn(
    architecture: NetworkWithState[P, S],
    learner: Learner[P, S],
    x_t: ArrayLike,
    target: ArrayLike | None = None,
    *,
    signal: ArrayLike | None = None,
    weight: ArrayLike = 1.0,
    mask: ArrayLike | None = None,
    reset: ArrayLike | None = None,
    loss: Loss = HALF_SQUARED,
) -> tuple[jax.Array, Learner[P, S]]:
    """Process one input and, if given, its target or another error on the outputs.

    With a target, the gradient of the loss is added to the learner's; with a signal v, that of
    Σ_k v_k y_k(t), in which v is a constant: Σ_k v_k ∂y_k(t)/∂w. Both are truncated.

    >>> from lstm_jax import Architecture, initialise, output_units, step
    >>> net = Architecture(num_inputs=2, blocks=(1,), num_outputs=1)
    >>> sgd = optax.sgd(0.5)
    >>> learner = init_learner(net, initialise(jax.random.key(0), net), sgd)
    >>> prediction, learner = learn(net, learner, jnp.array([1.0, 0.0]))
    >>> prediction, learner = learn(net, learner, jnp.array([0.0, 1.0]), jnp.array([1.0]))
    >>> learner = update(sgd, learner)

    The gradient of a value, for TD(lambda), or of log π(a) of a policy y with a softmax:

    >>> value, learner = learn(net, learner, jnp.array([1.0, 0.0]), signal=[1.0])
    >>> softmax = Architecture(num_inputs=2, blocks=(1,), num_outputs=2, output="softmax")
    >>> learner = init_learner(softmax, initialise(jax.random.key(0), softmax), sgd)
    >>> state = step(softmax, learner.parameters, learner.state, 1)
    >>> policy = output_units(softmax, learner.parameters.output, state)
    >>> _, learner = learn(softmax, learner, 1, signal=[1 / policy[0], 0.0])

    Args:
      architecture: the network; static under `jit`.
      learner: the learner before the step.
      x_t: [I] floating, or an integer in [0, I) for a one-hot vector.
      target: [K], or None for a step without a loss.
      signal: [K], the derivative by the outputs y(t) (not by their net inputs) of whatever is to
        become smaller, or None. If it depends on the outputs, `step` and `output_units`
        compute them beforehand; under `jit`, what is computed twice is computed once.
      weight: the weight of this step's loss and signal; 0 is the same as neither, so that one
        compiled function serves steps with and without them.
      mask: bool, False for a gap in the stream, where the learner stays as it is except for a
        reset, and the outputs are 0. `mask=jnp.isfinite(x_t).all()` skips NaN and infinity.
      reset: bool, whether a new sequence starts before this step, as by `start_sequence`.
      loss: the loss at the output units, E / 2 in the paper; static under `jit`.

    Returns:
      The outputs [K], from the weights before any update, and the learner after the step. Its
      `gradient` includes this step; `update` applies it.

    Raises:
      ValueError: if an argument does not fit, an input that is known is not finite and not masked,
        or the loss is not defined for the output units.
    """
    check_learner(architecture, learner)
    check_outputs(architecture)
    x_t, weight = as_input(x_t, architecture.num_inputs), as_real("weight", weight)
    if weight.shape != ():
        found = f"{weight.dtype} {weight.shape}{batch_hint(weight.shape, ())}"
        raise ValueError(f"weight must be one number, got {found}")
    check_type("loss", loss, Loss)
    if target is not None:
        check_loss(architecture, loss)
        target = as_shaped("target", target, (architecture.num_outputs,))
    if signal is not None:
        signal = as_shaped("signal", signal, (architecture.num_outputs,))
    is_real = None if mask is None else as_flags("mask", mask, ())
    is_reset = None if reset is None else as_flags("reset", reset, ())
    require(is_real is not None or is_finite(x_t), "x_t", "finite, or masked", x_t)
    return _learn(
        architecture, loss, learner, x_t, _Error(target, signal, weight), is_real, is_reset
    )


class _Error(NamedTuple):
    """What the outputs of one step should have been, or how they should change."""

    target: jax.Array | None
    signal: jax.Array | None
    weight: jax.Array


@compiled(num_static=2, results_like=lambda learner, *_: (PartitionSpec(), shardings(learner)))
def _learn(
    architecture: NetworkWithState[P, S],
    loss: Loss,
    learner: Learner[P, S],
    x_t: jax.Array,
    error: _Error,
    is_real: jax.Array | None,
    is_reset: jax.Array | None,
) -> tuple[jax.Array, Learner[P, S]]:
    if is_reset is not None:
        learner = tree_where(is_reset, reset_sequence(architecture, learner), learner)
    if is_real is None:
        return _take_step(architecture, loss, learner, x_t, error)
    x_t = jnp.where(is_real, x_t, 0)
    error = error._replace(weight=jnp.where(is_real, error.weight, 0))
    outputs, new = _take_step(architecture, loss, learner, x_t, error)
    return tree_where(is_real, (outputs, new), (jnp.zeros_like(outputs), learner))


def _take_step(
    architecture: NetworkWithState[P, S],
    loss: Loss,
    learner: Learner[P, S],
    x_t: jax.Array,
    error: _Error,
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
    if error.target is not None or error.signal is not None:
        error = error._replace(weight=error.weight.astype(dtype))
        gradient = _gradient(architecture, learner, steps, error, loss)
        learner = learner._replace(gradient=jax.tree.map(jnp.add, learner.gradient, gradient))
    return outputs, learner


def _seen_from_above(architecture: AnyNetwork, state: State) -> jax.Array:
    return normalise(architecture, layer_outputs(state), axis=0)


def _gradient(
    architecture: NetworkWith[P],
    learner: Learner[P, S],
    steps: list[LayerStep],
    error: _Error,
    loss: Loss,
) -> P:
    """Return one step's gradient of the loss (eqs. 19-28) and of the outputs times the signal."""
    top = steps[-1]

    def at_outputs(output: OutputWeights, state: State, x_t: jax.Array) -> jax.Array:
        net = run_output_units(net_inputs_only(top.architecture), output, state, x_t)
        return _loss(top.architecture, net, error, loss)

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


def _loss(architecture: Architecture, net: jax.Array, error: _Error, loss: Loss) -> jax.Array:
    """Return the loss of the net inputs [K] of one step, and Σ_k v_k y_k of the signal v."""
    target, signal, weight = error
    losses = []
    if target is not None:
        losses.append(loss(net[None], target[None], weight[None], output=architecture.output))
    if signal is not None:  # which may be anything where it does not count
        signal = jnp.where(weight == 0, 0, signal.astype(net.dtype) * weight)
        losses.append((signal * activate_outputs(architecture.output, net, axis=0)).sum())
    return sum(losses[1:], losses[0])


def online_gradient(
    architecture: NetworkWith[P],
    parameters: P,
    inputs: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    loss: Loss = HALF_SQUARED,
    gradient: OnlineGradient = "truncated",
) -> tuple[jax.Array, P]:
    """Return the outputs of a sequence and its gradient, in memory independent of T.

    Arguments and errors are those of `learn_chunk`; the sequence begins at `zero_state`. `gradient`
    is that of `init_learner`. Of a stack it is the gradient of `learn`, in which errors go down at
    the same step.

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
    data = sequence.inputs, targets, weights
    return _online_gradient(architecture, loss, gradient, parameters, *data)


@compiled(num_static=3, results_like=lambda like, *_: (PartitionSpec(), shardings(like)))
def _online_gradient(
    architecture: NetworkWith[P],
    loss: Loss,
    gradient: OnlineGradient,
    parameters: P,
    inputs: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
) -> tuple[jax.Array, P]:
    start = init_learner(architecture, parameters, optax.identity(), gradient)
    start, steps = vary_alike((start, (inputs, targets, weights)))

    def body(learner: Learner, at: tuple) -> tuple[Learner, jax.Array]:
        x_t, target, weight = at
        error = _Error(target, None, weight)
        outputs, learner = _take_step(architecture, loss, learner, x_t, error)
        return learner, outputs

    learner, outputs = jax.lax.scan(body, start, steps)
    return outputs, learner.gradient
