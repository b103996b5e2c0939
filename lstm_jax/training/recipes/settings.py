"""Settings of trials that are numbers of a run, not of its program.

A task's learning rate, initial range and gate biases are part of the program that its trials are
compiled to. Here they are part of what a trial has learned, so that one program runs trials of all
settings: random search draws them (`random_search`), a tuner hands them over (`start_trials`).
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple, TypeVar

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from lstm_jax.cell.parameters import Parameters, initialise
from lstm_jax.tasks.task import Conditions
from lstm_jax.training.update_rules.per_sequence import GradientLearning
from lstm_jax.training.update_rules.keys import as_key, own_numbers
from lstm_jax.training.trials.training_loop import INITIAL_WEIGHTS
from lstm_jax.training.update_rules.base import over_lanes
from lstm_jax.training.recipes.recipe import learn_by
from lstm_jax.training.trials.records import RunState
from lstm_jax.training.recipes.setup import Setup


class Settings(NamedTuple):
    """What L trials start and learn by; the lanes are the last axis. As `Conditions`."""

    learning_rate: chex.Array
    """[L]."""
    init_range: chex.Array
    """[L]."""
    input_gate_bias: chex.Array | None
    """[J, L]; None: random like all weights."""
    output_gate_bias: chex.Array | None
    """[J, L]; None: random like all weights."""


class OwnRate(NamedTuple):
    """The state of an optimiser whose rate is a trial's own."""

    settings: Settings
    """Of the trial."""
    state: optax.OptState
    """Of the optimiser at rate 1."""


def at_own_rate(optimiser: optax.GradientTransformation) -> optax.GradientTransformation:
    """An optimiser at rate 1 as one at the rate of its state, an `OwnRate`.

    `init` makes the part of the state that is the optimiser's.
    """

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        updates, inner = optimiser.update(updates, state.state, params)
        rate = state.settings.learning_rate
        return jax.tree.map(lambda update: rate * update, updates), state._replace(state=inner)

    return optax.GradientTransformation(optimiser.init, update)


@dataclasses.dataclass(frozen=True)
class SettingsLearning(GradientLearning):
    """The paper's method by settings of each trial's own; they stay in `optimiser_state`."""

    optimiser: optax.GradientTransformation = dataclasses.field(
        default_factory=lambda: at_own_rate(optax.sgd(1.0))
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task.conditions.added_gate_bias:
            raise ValueError("added_gate_bias must be False in a search, whose biases are set")

    def init_trial(self, key: jax.Array) -> tuple[Parameters, OwnRate]:
        """As `GradientLearning`: the settings are the task's."""
        return self.start(key, as_settings(self.task.conditions))

    def start(self, key: jax.Array, settings: Settings) -> tuple[Parameters, OwnRate]:
        """One trial's random weights and its optimiser's state, from a PRNG key, by settings."""
        start = settings._asdict()
        del start["learning_rate"]
        forget_gate_bias = self.task.conditions.forget_gate_bias
        parameters = initialise(
            key, self.task.architecture, forget_gate_bias=forget_gate_bias, **start
        )
        return parameters, OwnRate(settings, self.optimiser.init(parameters))


MethodT = TypeVar("MethodT", bound=SettingsLearning)


def learn_by_settings(setup: Setup, kind: type[MethodT], **fields: Any) -> MethodT:
    """The method that learns a task as `setup` says, but by settings of each trial's own.

    Args:
      setup: whose rate, range and gate biases of input and output gates are not used.
      kind: of method.
      fields: its own.

    Raises:
      ValueError: if the setup makes its updates within a sequence.
    """
    method = learn_by(setup.with_conditions(learning_rate=1.0))
    if not isinstance(method, GradientLearning):
        raise ValueError("a search needs updates after sequences, got update=step")
    own = {"task": setup.task, "optimiser": at_own_rate(method.optimiser)}
    return kind(**(vars(method) | own | fields))


def as_settings(conditions: Conditions) -> Settings:
    """Those of one trial that starts and learns by a task's conditions.

    >>> as_settings(Conditions(learning_rate=0.5)).learning_rate
    Array(0.5, dtype=float32)
    """
    number = lambda value: jnp.asarray(value, jnp.float32)
    biases = lambda values: None if values is None else number(values)
    return Settings(
        number(conditions.learning_rate),
        number(conditions.init_range),
        biases(conditions.input_gate_bias),
        biases(conditions.output_gate_bias),
    )


def start_trials(state: RunState, method: SettingsLearning, settings: Settings) -> RunState:
    """A run of `method` as it starts, with all its trials at other settings.

    Args:
      state: of a runner before its first round, whose `restore` takes what is returned.
      method: of the runner.
      settings: of all trials, without the axis of lanes.
    """

    def start(key: jax.Array) -> tuple[Parameters, OwnRate]:
        return method.start(jax.random.fold_in(as_key(key), INITIAL_WEIGHTS), settings)

    parameters, optimiser_state = jax.device_get(own_numbers(over_lanes(start))(state.trials.keys))
    model = state.trials.model._replace(parameters=parameters, optimiser_state=optimiser_state)
    if model.previous is not None:
        model = model._replace(previous=parameters)
    copy = jax.tree.map(np.array, model)
    return state._replace(
        trials=state.trials._replace(model=model), best=state.best._replace(model=copy)
    )
