"""The paper's update rule: weights minus a times the gradient, after every sequence."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from optax.tree_utils import tree_where

from lstm_jax.cell.activations import ACTIVATIONS
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import Parameters, UnitWeights, initialise
from lstm_jax.cell.step import State
from lstm_jax.cell.units import GATES
from lstm_jax.network.layer import RunOptions, Steps
from lstm_jax.network.optimisers import check_optimiser, make_optimiser
from lstm_jax.network.outputs import At, apply, net_inputs_only
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, Task, real_steps
from lstm_jax.training.update_rules.base import Metrics, vmap_trials
from lstm_jax.training.update_rules.construction import grown, joined
from lstm_jax.training.update_rules.keys import as_key


class Model(NamedTuple):
    """A network in training; in a batch of B trials, the batch axis of every array is last."""

    parameters: Parameters
    """The weights, which tests use."""
    optimiser_state: optax.OptState
    """As the optimiser's `init` makes it."""
    constructed: jax.Array
    """[B] int32, how many memory blocks have joined the network."""
    last_error: jax.Array
    """[B] float32, mean training error of the chunk before."""
    previous: Parameters | None = None
    """The weights before the last update, where the next sequence's first step still uses them."""


@dataclasses.dataclass(frozen=True)
class PerSequenceUpdate:
    """The `BatchUpdateRule` of the LSTM that updates the weights once per sequence.

    Raises:
      ValueError: if the output units cannot have the task's loss, or the optimiser needs more than
        a gradient, as optax's line searches and `reduce_on_plateau` do.
    """

    task: Task[Architecture]
    """The task, whose hyperparameters decide how the network starts and is trained."""
    optimiser: optax.GradientTransformation = cast("optax.GradientTransformation", None)
    """Any optax transformation; None: the optimiser of the hyperparameters."""

    def __post_init__(self) -> None:
        hyperparameters = self.task.hyperparameters
        if self.optimiser is None:
            own = make_optimiser(hyperparameters.optimiser, hyperparameters.learning_rate)
            object.__setattr__(self, "optimiser", own)
        check_optimiser(self.optimiser)
        hyperparameters.loss.check(self.task.architecture.output)

    def init(self, keys: jax.Array) -> Model:
        """Draws initial weights from the raw data of a key per trial, [2, B] uint32."""
        init_trial = lambda key: self.init_trial(as_key(key))
        parameters, optimiser_state = vmap_trials(init_trial)(keys)
        batch = keys.shape[-1:]
        is_delayed = self.task.hyperparameters.update_after == "next_first_step"
        return Model(
            parameters=parameters,
            optimiser_state=optimiser_state,
            constructed=jnp.full(batch, initial_blocks(self.task), jnp.int32),
            last_error=jnp.full(batch, jnp.inf, jnp.float32),
            previous=parameters if is_delayed else None,
        )

    def init_trial(self, key: jax.Array) -> tuple[Parameters, optax.OptState]:
        """Returns one trial's initial weights and optimiser state, from a PRNG key."""
        parameters = draw_weights(key, self.task.architecture, self.task.hyperparameters)
        return parameters, self.optimiser.init(parameters)

    def train_step(
        self, model: Model, example: Example, n: jax.Array, running: jax.Array
    ) -> tuple[Model, jax.Array]:
        """Updates each running trial's weights by the gradient of its own sequence."""
        del n
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
        """Returns the outputs [K, B], or [T, K, B] with a target at every step."""
        net = self._net(model.parameters, model.constructed, example)
        return self._activate(net, example)

    def end_chunk(self, model: Model, metrics: Metrics, running: jax.Array) -> Model:
        """Adds a memory block where the chunk's error has hardly fallen."""
        return tree_where(running, after_chunk(self.task, model, metrics), model)

    def _gradient(self, model: Model, example: Example) -> tuple[Parameters, jax.Array]:
        """Returns the gradient and the outputs; where two sets of weights act, the gradients' sum."""
        previous = () if model.previous is None else (model.previous,)
        weights = (*previous, model.parameters)
        gradients, outputs = jax.grad(self._loss, has_aux=True)(weights, model.constructed, example)
        return functools.reduce(lambda a, b: jax.tree.map(jnp.add, a, b), gradients), outputs

    def _loss(
        self, weights: tuple[Parameters, ...], constructed: jax.Array, example: Example
    ) -> tuple[jax.Array, jax.Array]:
        """Returns the loss, summed over the trials, which share nothing, and the outputs."""
        if len(weights) == 1:
            net = self._net(weights[0], constructed, example)
        else:
            net = self._net_of_two(weights[0], weights[1], constructed, example)
        step_weights = None
        if self.task.error_at == "every_step":
            step_weights = real_steps(example).astype(net.dtype)
        loss, output = self.task.hyperparameters.loss, self.task.architecture.output
        return (
            loss(net, example.targets, step_weights, output=output),
            self._activate(net, example),
        )

    def _net(
        self,
        parameters: Parameters,
        constructed: jax.Array,
        example: Example,
        state: State | None = None,
    ) -> jax.Array:
        """Returns the net inputs of the output units, [K, B] or [T, K, B]."""
        net, _ = self._apply(parameters, constructed, example, self.task.error_at, state)
        return net

    def _net_of_two(
        self,
        previous: Parameters,
        parameters: Parameters,
        constructed: jax.Array,
        example: Example,
    ) -> jax.Array:
        """As `_net`, where the first step still uses the weights before the last update."""
        first, rest = (
            example._replace(inputs=example.inputs[steps], length=length)
            for steps, length in (
                (slice(1), jnp.ones_like(example.length)),
                (slice(1, None), example.length - 1),
            )
        )
        net_1, state = self._apply(previous, constructed, first, "every_step")
        net = self._net(parameters, constructed, rest, state)
        if self.task.error_at == "every_step":
            return jnp.concatenate([net_1, net])
        return jnp.where(example.length == 1, net_1[0], net)

    def _apply(
        self,
        parameters: Parameters,
        constructed: jax.Array,
        example: Example,
        at: At,
        state: State | None = None,
    ) -> tuple[jax.Array, State]:
        task = self.task
        if task.sequential_construction:
            parameters = joined(task.architecture, parameters, constructed)
        return apply(
            net_inputs_only(task.architecture),
            parameters,
            example.inputs,
            at=at,
            steps=Steps(length=None if task.fixed_length else example.length),
            initial_state=state,
            options=RunOptions(gradient=task.hyperparameters.gradient),
        )

    def _activate(self, net: jax.Array, example: Example) -> jax.Array:
        """Returns the outputs of net inputs, 0 at padding."""
        outputs = ACTIVATIONS[self.task.architecture.output](net)
        if self.task.error_at == "end" or self.task.fixed_length:
            return outputs
        return jnp.where(real_steps(example)[:, None], outputs, 0)


def after_chunk(task: Task[Architecture], model: Model, metrics: Metrics) -> Model:
    """Returns the models after a chunk, with a further memory block where the error has stalled."""
    if not task.sequential_construction:
        return model
    error = metrics.mean_error()
    number = grown(task.architecture, model.constructed, error, model.last_error)
    return model._replace(constructed=number, last_error=error)


def initial_blocks(task: Task[Architecture]) -> int:
    """Returns how many memory blocks the network starts with."""
    return 0 if task.sequential_construction else task.architecture.num_blocks


def draw_weights(
    key: jax.Array, architecture: Architecture, hyperparameters: Hyperparameters
) -> Parameters:
    """Draws the initial weights of a trial; numeric hyperparameters may be traced values."""
    biases = {
        name: getattr(hyperparameters, name) for name in (f"{gate.name}_bias" for gate in GATES)
    }
    draw = functools.partial(initialise, key, architecture, init_range=hyperparameters.init_range)
    parameters = draw(**biases)
    if not hyperparameters.add_gate_bias:
        return parameters
    random, given = draw().layer, parameters.layer
    added = {
        gate.name: _add_bias(getattr(given, gate.name), getattr(random, gate.name))
        for gate in GATES
        if biases[f"{gate.name}_bias"] is not None
    }
    return parameters._replace(layer=given._replace(**added))


def _add_bias(given: UnitWeights, random: UnitWeights) -> UnitWeights:
    return given._replace(bias=given.bias + random.bias)
