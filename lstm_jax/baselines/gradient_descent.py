"""Training of recurrent nets by a gradient: update rule and training loop.

The rule is for tasks whose `architecture` is a `RecurrentNet`. `training_loop` makes such a task of
any task of the LSTM, with its sequences, criterion, stopping rule and tests.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from optax.tree_utils import tree_where

from lstm_jax.baselines.fully_recurrent import (
    ELMAN,
    RTRL,
    Connections,
    RecurrentNet,
    StepGradient,
    SupervisedSequence,
    Weights,
    apply,
    as_vectors,
    bptt_gradient,
    initialise,
)
from lstm_jax.cell.validation import as_float, check_choice, check_type, convert_fields, picklable
from lstm_jax.network.optimisers import check_optimiser, make_optimiser
from lstm_jax.tasks.checks import key_shape
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, Published, Task, at_targets, targets_by_step
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import NOISE, UpdateRule, Vmapped
from lstm_jax.training.update_rules.stored_keys import fold_into_keys

BaselineMethod = Literal["BPTT", "RTRL", "Elman's procedure"]
GRADIENTS = {"BPTT": bptt_gradient, "RTRL": RTRL, "Elman's procedure": ELMAN}
# (net, weights, sequence) -> the gradient of the sequence's E / 2 and the outputs [T, K].
SequenceGradient = Callable[[RecurrentNet, Weights, SupervisedSequence], tuple[Weights, jax.Array]]


class Model(NamedTuple):
    """A trial's recurrent net."""

    weights: Weights
    optimiser_state: optax.OptState


@dataclasses.dataclass(frozen=True)
class RecurrentUpdate(UpdateRule[Model]):
    """Descent per sequence or, with a `StepGradient`, per step that has a loss.

    Attributes:
      task: the task, whose `architecture` is a `RecurrentNet`.
      optimiser: any optax transformation that needs the gradient alone.
      gradient: `bptt_gradient`, `RTRL` or `ELMAN`.
      tolerance: the distance within which an output counts as equal to its target; not negative.
    """

    task: Task
    optimiser: optax.GradientTransformation
    gradient: SequenceGradient | StepGradient
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        check_optimiser(self.optimiser, jax.eval_shape(self._draw, key_shape()))
        convert_fields(self, functools.partial(as_float, least=0.0), "tolerance")

    def __getstate__(self) -> dict[str, object]:
        return picklable(self, "use `make_optimiser`, or make the rule in the worker")

    def init(self, key: jax.Array) -> Model:
        """Draw the initial weights."""
        weights, noise_key = self._draw(key), jax.random.fold_in(key, NOISE)
        return Model(weights, fold_into_keys(self.optimiser.init(weights), noise_key))

    def train_step(self, model: Model, example: Example, n: jax.Array) -> tuple[Model, jax.Array]:
        """Update the weights along a sequence or after it."""
        del n
        net, sequence = self.task.architecture, self._supervised(example)
        if isinstance(self.gradient, StepGradient):
            model, outputs = learn_online(self.gradient, net, self.optimiser, model, sequence)
        else:
            gradient, outputs = self.gradient(net, model.weights, sequence)
            model = _descend(self.optimiser, model, gradient)
        return model, at_targets(self.task, outputs, example)

    def outputs(self, model: Model, example: Example) -> jax.Array:
        """Return the outputs at the targets, [K] or [T, K]."""
        return task_outputs(self.task, model.weights, example)

    def _draw(self, key: jax.Array) -> Weights:
        init_range = self.task.hyperparameters.init_range
        return initialise(key, self.task.architecture, init_range=init_range)

    def _supervised(self, example: Example) -> SupervisedSequence:
        targets, has_target = targets_by_step(self.task, example)
        at_steps = has_target.astype(targets.dtype)
        tolerance = jnp.full_like(at_steps, self.tolerance) if self.tolerance else None
        return SupervisedSequence(example.inputs, targets, at_steps, tolerance)


def _descend(optimiser: optax.GradientTransformation, model: Model, gradient: Weights) -> Model:
    updates, state = optimiser.update(gradient, model.optimiser_state, model.weights)
    return Model(jax.tree.map(jnp.add, model.weights, updates), state)


def learn_online(
    gradient: StepGradient,
    net: RecurrentNet,
    optimiser: optax.GradientTransformation,
    model: Model,
    sequence: SupervisedSequence,
) -> tuple[Model, jax.Array]:
    """Update the weights after every step whose loss counts.

    The state of `gradient` comes from the weights of earlier steps; this approximation of online
    learning is good while weights change slowly (Williams & Zipser 1989). Steps after the last one
    that counts are skipped: most sequences of task 1 are far shorter than the longest one. The
    outputs [T, K] are those before each step's update; 0 for skipped steps.
    """
    targets, at_steps = sequence.targets, sequence.at_steps
    steps = jnp.arange(1, len(targets) + 1, dtype=jnp.int32)
    stop = jnp.where(at_steps != 0, steps, 0).max()
    inputs = as_vectors(net, sequence.inputs, at_steps.dtype)
    sequence = jax.tree.map(jnp.asarray, sequence._replace(inputs=inputs))

    def body(carry: tuple) -> tuple:
        t, carried, model, all_outputs = carry
        sequence_t = jax.tree.map(lambda a: a[t], sequence)
        carried, gradient_t, outputs = gradient.step(net, model.weights, carried, sequence_t)
        changed = _descend(optimiser, model, gradient_t)
        model = tree_where(sequence_t.at_steps != 0, changed, model)
        all_outputs = jax.lax.dynamic_update_index_in_dim(all_outputs, outputs, t, 0)
        return t + 1, carried, model, all_outputs

    no_outputs = jnp.zeros(targets.shape, at_steps.dtype)
    start = (jnp.int32(0), gradient.init(model.weights), model, no_outputs)
    _, _, model, outputs = jax.lax.while_loop(lambda carry: carry[0] < stop, body, start)
    return model, outputs


def task_outputs(task: Task, weights: Weights, example: Example) -> jax.Array:
    """Return the outputs of the task's `RecurrentNet` at the targets, [K] or [T, K]."""
    return at_targets(task, apply(task.architecture, weights, example.inputs), example)


def training_loop(
    task: Task,
    method: BaselineMethod = "BPTT",
    *,
    num_hidden: int = 4,
    connections: Connections = "simple",
    bias: bool = True,
    learning_rate: float | None = None,
    init_range: float | None = None,
    optimiser: optax.GradientTransformation | None = None,
    tolerance: float = 0.0,
) -> TrainingLoop:
    """Return the training loop of a recurrent net without memory cells, for `TrialRunner`.

    Its task is named after the method, such as "own.bptt".

    >>> from lstm_jax.tasks import make_task
    >>> loop = training_loop(make_task("6a"), "RTRL", num_hidden=10, learning_rate=0.5)
    >>> loop.task.name, loop.task.architecture.num_weights
    ('6a.rtrl', 230)

    Args:
      task: the LSTM's task, with targets in [0, 1].
      method: "BPTT", the exact gradient with one update per sequence; "RTRL", the same gradient
        forward in time, or "Elman's procedure", through one step, with one update per step.
      num_hidden: the number of recurrent units that are not outputs, at least 1; at least 0 if
        `connections` is "full".
      connections: where the outputs are; see `lstm_jax.baselines.fully_recurrent`.
      bias: whether units that see the inputs have a bias; the paper's baselines have none.
      learning_rate: of gradient descent, not negative; None: the task's.
      init_range: weights are uniform in [-init_range, init_range]; None: the task's.
      optimiser: any optax transformation in place of gradient descent.
      tolerance: the distance within which an output counts as equal to its target, not negative.

    Raises:
      ValueError: if `learning_rate` and `optimiser` are both given, the task's output units are not
        logistic, a number is out of its range or a choice is unknown.
    """
    check_type("task", task, Task)
    check_choice("method", method, tuple(GRADIENTS))
    if optimiser is not None and learning_rate is not None:
        raise ValueError(f"give learning_rate or optimiser, not both, got {learning_rate!r}")
    output = getattr(task.architecture, "output", "logistic")
    if output != "logistic":
        raise ValueError(f"output units must be logistic, but those of the task are {output}")
    rate = task.hyperparameters.learning_rate if learning_rate is None else learning_rate
    init_range = task.hyperparameters.init_range if init_range is None else init_range
    inputs, outputs = task.architecture.num_inputs, task.architecture.num_outputs
    suffix = method.split("'")[0].lower()
    baseline = dataclasses.replace(
        task,
        name=f"{task.name}.{suffix}",
        title=f"{task.title}, {method}",
        architecture=RecurrentNet(inputs, num_hidden, outputs, connections, bias=bias),
        hyperparameters=Hyperparameters(rate, init_range),
        published=Published(),
        sequential_construction=False,
    )
    descent = make_optimiser("sgd", rate) if optimiser is None else optimiser
    rule = RecurrentUpdate(baseline, descent, GRADIENTS[method], tolerance)
    return TrainingLoop(baseline, Vmapped(rule))
