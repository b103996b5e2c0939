"""The paper's way to learn: weights minus a times a gradient, after every sequence."""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax

from lstm_jax.cell.activations import ACTIVATIONS
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.step import State
from lstm_jax.network.arguments import check_choice
from lstm_jax.network.losses import HALF_SQUARED, Error
from lstm_jax.network.layer import Gradient
from lstm_jax.network.optimisers import check_optimiser
from lstm_jax.network.outputs import At, apply, unsquashed
from lstm_jax.cell.parameters import Parameters, UnitWeights, initialise
from lstm_jax.cell.units import GATES
from lstm_jax.tasks.task import Example, Task, real_steps
from lstm_jax.training.update_rules.construction import grown, joined
from lstm_jax.training.update_rules.keys import as_key
from lstm_jax.training.update_rules.base import Report, over_lanes, where_running

Update = Literal["after_sequence", "after_next_first_step"]


class Model(NamedTuple):
    """What L trials have learned; the lanes are the last axis of every array."""

    parameters: Parameters
    """The weights, of which tests are made."""
    optimiser_state: optax.OptState
    """As the optimiser's `init` makes it."""
    constructed: jax.Array
    """[L] int32, how many memory blocks have joined the network."""
    last_error: jax.Array
    """[L] float32, mean training error of the chunk before."""
    previous: Parameters | None = None
    """The weights before the last update, if the next sequence's first step still sees them."""


@dataclasses.dataclass(frozen=True)
class GradientLearning:
    """How the LSTM learns a task: the `lstm_jax.training.update_rules.base.Method` of the paper.

    Raises:
      ValueError: if the output units cannot have the error, `update` is unknown, or the optimiser
        needs the error, as optax's line searches and `reduce_on_plateau` do.
    """

    task: Task[Architecture]
    """Whose network, initial weights and places of the error are meant."""
    optimiser: optax.GradientTransformation
    """Any optax transformation; the paper's is `optax.sgd(a)` with the task's rate a."""
    gradient: Gradient = "truncated"
    """"truncated", the paper's, or another that `unroll` knows."""
    error: Error = HALF_SQUARED
    """The error at the output units; the paper's is E / 2."""
    update: Update = "after_sequence"
    """When a sequence's update is made: at its end, or once the next one's first step is done."""

    def __post_init__(self) -> None:
        check_optimiser(self.optimiser)
        check_choice("gradient", self.gradient, get_args(Gradient))
        self.error.check(self.task.architecture.output)
        if self.update not in get_args(Update):
            raise ValueError(f"update must be one of {get_args(Update)}, got {self.update!r}")

    def init(self, keys: jax.Array) -> Model:
        """Random weights by the task's conditions, from a key for each lane, [..., L] uint32."""
        lanes = keys.shape[-1:]
        init_trial = lambda key: self.init_trial(as_key(key))
        parameters, optimiser_state = over_lanes(init_trial)(keys)
        return Model(
            parameters=parameters,
            optimiser_state=optimiser_state,
            constructed=jnp.full(lanes, blocks_at_first(self.task), jnp.int32),
            last_error=jnp.full(lanes, jnp.inf, jnp.float32),
            previous=None if self.update == "after_sequence" else parameters,
        )

    def init_trial(self, key: jax.Array) -> tuple[Parameters, optax.OptState]:
        """One trial's random weights and its optimiser's state, from a PRNG key."""
        parameters = draw_weights(key, self.task)
        return parameters, self.optimiser.init(parameters)

    def present(
        self, model: Model, example: Example, n: jax.Array, running: jax.Array
    ) -> tuple[Model, jax.Array]:
        """One update a lane, from its own sequence."""
        del n
        gradient, outputs = self._gradient(model, example)
        updates, optimiser_state = over_lanes(self.optimiser.update)(
            gradient, model.optimiser_state, model.parameters
        )
        new = model._replace(
            parameters=jax.tree.map(jnp.add, model.parameters, updates),
            optimiser_state=optimiser_state,
            previous=None if model.previous is None else model.parameters,
        )
        return where_running(running, new, model), outputs

    def outputs(self, model: Model, example: Example) -> jax.Array:
        """[K, L], or [T, K, L] with the error at every step."""
        net = self._net(model.parameters, model.constructed, example)
        return self._squash(net, example)

    def end_chunk(self, model: Model, report: Report, running: jax.Array) -> Model:
        """Lets a memory block join where a chunk's error is hardly below that of the one before."""
        if not self.task.sequential_construction:
            return model
        error = report.mean_error()
        number = grown(self.task.architecture, model.constructed, error, model.last_error)
        new = model._replace(constructed=number, last_error=error)
        return where_running(running, new, model)

    def _gradient(self, model: Model, example: Example) -> tuple[Parameters, jax.Array]:
        """The gradient of the error, and the outputs; where two sets of weights act, their sum."""
        previous = () if model.previous is None else (model.previous,)
        weights = (*previous, model.parameters)
        gradients, outputs = jax.grad(self._loss, has_aux=True)(weights, model.constructed, example)
        return functools.reduce(lambda a, b: jax.tree.map(jnp.add, a, b), gradients), outputs

    def _loss(
        self, weights: tuple[Parameters, ...], constructed: jax.Array, example: Example
    ) -> tuple[jax.Array, jax.Array]:
        """The error summed over the lanes, which share nothing, and the outputs."""
        if len(weights) == 1:
            net = self._net(weights[0], constructed, example)
        else:
            net = self._net_of_two(weights[0], weights[1], constructed, example)
        at_steps = None
        if self.task.error_at == "every_step":
            at_steps = real_steps(example).astype(net.dtype)
        output = self.task.architecture.output
        error = self.error(net, example.targets, at_steps, output=output)
        return error, self._squash(net, example)

    def _net(
        self,
        parameters: Parameters,
        constructed: jax.Array,
        example: Example,
        state: State | None = None,
    ) -> jax.Array:
        """The net inputs of the output units, [K, L] or [T, K, L]."""
        net, _ = self._apply(parameters, constructed, example, self.task.error_at, state)
        return net

    def _net_of_two(
        self,
        previous: Parameters,
        parameters: Parameters,
        constructed: jax.Array,
        example: Example,
    ) -> jax.Array:
        """As `_net`, where the first step is by the weights before the last update."""
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
            unsquashed(task.architecture),
            parameters,
            example.inputs,
            at=at,
            initial_state=state,
            length=None if task.fixed_length else example.length,
            gradient=self.gradient,
        )

    def _squash(self, net: jax.Array, example: Example) -> jax.Array:
        """The outputs, which are 0 at padding."""
        outputs = ACTIVATIONS[self.task.architecture.output].value(net)
        if self.task.error_at == "end" or self.task.fixed_length:
            return outputs
        return jnp.where(real_steps(example)[:, None], outputs, 0)


def blocks_at_first(task: Task[Architecture]) -> int:
    """How many memory blocks are part of the network from the start."""
    return 0 if task.sequential_construction else task.architecture.num_blocks


def draw_weights(key: jax.Array, task: Task[Architecture]) -> Parameters:
    """The random weights of a trial, by the task's conditions."""
    own = task.conditions
    biases = {f"{kind.name}_bias": getattr(own, f"{kind.name}_bias") for kind in GATES}
    draw = functools.partial(initialise, key, task.architecture, init_range=own.init_range)
    parameters = draw(**biases)
    if not own.added_gate_bias:
        return parameters
    random, given = draw().layer, parameters.layer
    added = {
        kind.name: _add_bias(getattr(given, kind.name), getattr(random, kind.name))
        for kind in GATES
        if biases[f"{kind.name}_bias"] is not None
    }
    return parameters._replace(layer=given._replace(**added))


def _add_bias(given: UnitWeights, random: UnitWeights) -> UnitWeights:
    return given._replace(bias=given.bias + random.bias)
