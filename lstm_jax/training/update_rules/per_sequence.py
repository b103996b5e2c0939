"""The LSTM's update rule of the paper: an update after every sequence."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from optax.tree_utils import tree_where

from lstm_jax.cell.activations import activate_outputs
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import initialise
from lstm_jax.cell.records import Parameters, State
from lstm_jax.cell.scan import Steps
from lstm_jax.cell.units import GATES
from lstm_jax.cell.validation import picklable
from lstm_jax.network.layer import apply, net_inputs_only
from lstm_jax.network.optimisers import InjectedOptimiser, check_optimiser, make_injected_optimiser
from lstm_jax.network.run import At, RunOptions
from lstm_jax.tasks.hyperparameters import Hyperparameters, TrialHyperparameters
from lstm_jax.tasks.task import Example, Task, real_steps
from lstm_jax.training.update_rules.base import (
    FROM_TASK,
    NO_ERROR,
    NOISE,
    Metrics,
    as_key,
    subkey,
    vmap_trials,
)
from lstm_jax.training.update_rules.construction import mask_blocks
from lstm_jax.training.update_rules.stored_keys import fold_into_keys

# An error has stopped decreasing if it is at least this fraction of the previous chunk's: outputs
# whose target is 0 fall as t^(-1/2), so that it never stops altogether.
STALLED = 0.95


class Model(NamedTuple):
    """A network in training; in a batch of B trials, the batch axis of every array is last.

    Attributes:
      parameters: the weights.
      optimiser_state: the state of the optimiser, from its `init`.
      num_blocks: [B] int32, the memory blocks that have been added to the network.
      last_error: [B] float32, the mean training error of the previous chunk; `NO_ERROR` if there
        was none.
      previous: the weights before the last update, if the first step of a sequence still uses them.
    """

    parameters: Parameters
    optimiser_state: optax.OptState
    num_blocks: jax.Array
    last_error: jax.Array
    previous: Parameters | None = None


@dataclasses.dataclass(frozen=True)
class PerSequenceUpdate:
    """The `BatchUpdateRule` of the LSTM that updates the weights once per sequence.

    Attributes:
      task: the task, with its hyperparameters.
      optimiser: any optax transformation that needs the gradient alone (default: that of the
        hyperparameters).

    Raises:
      ValueError: if the optimiser needs more, or the loss does not fit the output units.
    """

    task: Task[Architecture]
    optimiser: optax.GradientTransformation = FROM_TASK

    def __post_init__(self) -> None:
        hyperparameters = self.task.hyperparameters
        if self.optimiser is None:
            default = make_injected_optimiser(
                hyperparameters.optimiser, hyperparameters.learning_rate
            )
            object.__setattr__(self, "optimiser", default)
        draw = lambda: draw_weights(jax.random.key(0), self.task.architecture, hyperparameters)
        check_optimiser(self.optimiser, jax.eval_shape(draw))
        hyperparameters.loss.check(self.task.architecture.output)

    def __getstate__(self) -> dict[str, object]:
        return picklable(self, "name it in `Hyperparameters.optimiser`, or make it in the worker")

    @property
    def has_task_optimiser(self) -> bool:
        """Whether the optimiser is that of the hyperparameters, with the rate in its state."""
        hyperparameters = self.task.hyperparameters
        own = hyperparameters.optimiser, hyperparameters.learning_rate
        return isinstance(self.optimiser, InjectedOptimiser) and self.optimiser.made_by[1] == own

    def init(self, keys: jax.Array, values: TrialHyperparameters | None = None) -> Model:
        """Draw initial weights from the raw data of a key per trial, [2, B] uint32.

        `values` take the place of those in the task's hyperparameters, and may be traced.
        """
        task = self.task
        values = task.hyperparameters.of_trial() if values is None else values
        is_delayed = task.hyperparameters.update_after == "next_first_step"
        num_blocks = 0 if task.sequential_construction else task.architecture.num_blocks

        def init_model(key: jax.Array) -> Model:
            parameters, state = self.init_trial(as_key(key), values)
            state = fold_into_keys(state, subkey(key, NOISE))  # each trial has its own noise
            previous = parameters if is_delayed else None
            return Model(parameters, state, jnp.int32(num_blocks), jnp.float32(NO_ERROR), previous)

        return vmap_trials(init_model)(keys)

    def init_trial(
        self, key: jax.Array, values: TrialHyperparameters
    ) -> tuple[Parameters, optax.OptState]:
        """Return one trial's initial weights and optimiser state, from a PRNG key."""
        task = self.task
        parameters = draw_weights(key, task.architecture, task.hyperparameters, values)
        state = self.optimiser.init(parameters)
        if self.has_task_optimiser:
            state = optax.tree_utils.tree_set(state, learning_rate=values.learning_rate)
        return parameters, state

    def train_step(
        self, model: Model, example: Example, n: jax.Array, running: jax.Array
    ) -> tuple[Model, jax.Array]:
        """Update each running trial's weights by the gradient of its sequence."""
        gradient, outputs = self._gradient(model, example)
        updates, optimiser_state = vmap_trials(self.optimiser.update)(
            gradient, model.optimiser_state, model.parameters
        )
        new = model._replace(
            parameters=jax.tree.map(jnp.add, model.parameters, updates),
            optimiser_state=optimiser_state,
            previous=None if model.previous is None else model.parameters,
        )
        return tree_where(running, new, model), outputs

    def outputs(self, model: Model, example: Example) -> jax.Array:
        """Return the outputs at the targets, [K, B] or [T, K, B]."""
        return self._activate(self._net((model.parameters,), model.num_blocks, example), example)

    def end_chunk(self, model: Model, metrics: Metrics, running: jax.Array) -> Model:
        """Add a memory block to running trials whose error has hardly decreased."""
        if not self.task.sequential_construction:
            return model
        error = metrics.mean_error()
        stalled = (error >= STALLED * model.last_error).astype(jnp.int32)
        num_blocks = jnp.minimum(model.num_blocks + stalled, self.task.architecture.num_blocks)
        return tree_where(running, model._replace(num_blocks=num_blocks, last_error=error), model)

    def _gradient(self, model: Model, example: Example) -> tuple[Parameters, jax.Array]:
        """Return the gradient, summed over two sets of weights if two are used, and the outputs."""
        previous = () if model.previous is None else (model.previous,)
        weights = (*previous, model.parameters)
        gradients, outputs = jax.grad(self._loss, has_aux=True)(weights, model.num_blocks, example)
        return functools.reduce(lambda a, b: jax.tree.map(jnp.add, a, b), gradients), outputs

    def _loss(
        self, weights: tuple[Parameters, ...], num_blocks: jax.Array, example: Example
    ) -> tuple[jax.Array, jax.Array]:
        """Return the loss, summed over the independent trials, and the outputs."""
        net = self._net(weights, num_blocks, example)
        step_weights = None
        if self.task.error_at == "every_step":
            step_weights = real_steps(example).astype(net.dtype)
        output = self.task.architecture.output
        loss = functools.partial(self.task.hyperparameters.loss, output=output)
        if output == "softmax":  # over the units of one trial
            value = vmap_trials(loss)(net, example.targets, step_weights).sum()
        else:
            value = loss(net, example.targets, step_weights)
        return value, self._activate(net, example)

    def _net(
        self, weights: tuple[Parameters, ...], num_blocks: jax.Array, example: Example
    ) -> jax.Array:
        """Return the net inputs of the output units, [K, B] or [T, K, B].

        Of two sets of weights, the first acts at the first step, the second at all others.
        """
        if len(weights) == 1:
            return self._apply(weights[0], num_blocks, example, self.task.error_at)[0]
        length = example.length
        first = example._replace(inputs=example.inputs[:1], length=jnp.ones_like(length))
        rest = example._replace(inputs=example.inputs[1:], length=length - 1)
        net_1, state = self._apply(weights[0], num_blocks, first, "every_step")
        net, _ = self._apply(weights[1], num_blocks, rest, self.task.error_at, state)
        if self.task.error_at == "every_step":
            return jnp.concatenate([net_1, net])
        return jnp.where(length == 1, net_1[0], net)

    def _apply(
        self,
        parameters: Parameters,
        num_blocks: jax.Array,
        example: Example,
        at: At,
        state: State | None = None,
    ) -> tuple[jax.Array, State]:
        return apply(
            net_inputs_only(self.task.architecture),
            self._mask(parameters, num_blocks),
            example.inputs,
            at=at,
            steps=Steps(length=None if self.task.fixed_length else example.length),
            initial_state=state,
            options=RunOptions(gradient=self.task.hyperparameters.gradient),
        )

    def _mask(self, parameters: Parameters, num_blocks: jax.Array) -> Parameters:
        if not self.task.sequential_construction:
            return parameters
        return mask_blocks(self.task.architecture, parameters, num_blocks)

    def _activate(self, net: jax.Array, example: Example) -> jax.Array:
        axis = 0 if self.task.error_at == "end" else 1
        outputs = activate_outputs(self.task.architecture.output, net, axis)
        if self.task.error_at == "end" or self.task.fixed_length:
            return outputs
        return jnp.where(real_steps(example)[:, None], outputs, 0)


def draw_weights(
    key: jax.Array,
    architecture: Architecture,
    hyperparameters: Hyperparameters,
    values: TrialHyperparameters | None = None,
) -> Parameters:
    """Draw the initial weights of a trial, with the given gate biases set or added.

    `values` take the place of those in the hyperparameters, and may be traced.
    """
    values = hyperparameters.of_trial() if values is None else values
    biases = {gate.name: getattr(values, f"{gate.name}_bias") for gate in GATES}
    draw = functools.partial(initialise, key, architecture, init_range=values.init_range)
    parameters = draw(**{f"{gate}_bias": bias for gate, bias in biases.items()})
    if not hyperparameters.add_gate_bias:
        return parameters
    random, layer = draw().layer, parameters.layer
    for gate, bias in biases.items():
        if bias is not None:
            weights = getattr(layer, gate)
            total = weights.bias + getattr(random, gate).bias
            layer = layer._replace(**{gate: weights._replace(bias=total)})
    return parameters._replace(layer=layer)
