"""Random weight guessing: all weights at once, until every training sequence is right.

J. Schmidhuber and S. Hochreiter. Guessing can outperform many long time lag algorithms. Technical
note IDSIA-19-96, 1996; S. Hochreiter and J. Schmidhuber. LSTM can solve hard long time lag
problems. *Advances in Neural Information Processing Systems 9*, 473-479, 1997.

A guess is one draw of all weights, uniform in [-weight_range, weight_range]. It is given up at its
first wrong sequence, so that most guesses cost one or two. One that has got `training_size`
sequences in a row right is found, and kept for good; then it is tested on others.

There is no learning: if p is the part of the weight cube in which all training sequences are right,
the number of guesses is geometric, of mean 1 / p. Tasks that are quickly guessed say little about
an algorithm that solves them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.activations import logistic
from lstm_jax.architecture import Architecture
from lstm_jax.network import apply
from lstm_jax.parameters import parameter_shapes
from lstm_jax.tasks.base import Example, Task


class Guess(NamedTuple):
    """One trial: the weights of now, and how they came about."""

    key: jax.Array  # uint32, the raw data of the trial's PRNG key
    weights: Any
    guesses: jax.Array  # int32, weight draws so far, this one included
    streak: jax.Array  # int32, sequences in a row that these weights got right
    presented: jax.Array  # int32, sequences presented until they were found


class UnitSources(NamedTuple):
    """The weights of a fully recurrent net of U units, the last of which are its outputs."""

    input: Any  # [I, U]
    recurrent: Any  # [U, U]
    bias: Any  # [U]


@dataclasses.dataclass(frozen=True)
class Guessing:
    """Random weight guessing, for one trial; lift its functions with `jax.vmap`.

    Attributes:
      shapes: the net's weights: a pytree of their shapes and dtypes.
      run: (weights, example) to the outputs [K] or [T, K].
      is_correct: (outputs, example) to a bool, as of a `Task`.
      weight_range: weights are uniform in [-weight_range, weight_range].
      training_size: sequences that must all be right.

    Raises:
      ValueError: if a field is outside its range.
    """

    shapes: Any
    run: Callable[[Any, Example], jax.Array]
    is_correct: Callable[[jax.Array, Example], jax.Array]
    weight_range: float = 100.0
    training_size: int = 100

    def __post_init__(self) -> None:
        if not self.weight_range > 0:
            raise ValueError(f"weight_range must be positive, got {self.weight_range!r}")
        if self.training_size < 1:
            raise ValueError(f"training_size must be at least 1, got {self.training_size!r}")

    def init(self, key: jax.Array) -> Guess:
        """The first guess, before its first sequence."""
        key_data = jax.random.key_data(key)
        zero = jnp.zeros((), jnp.int32)
        return Guess(key_data, self._draw(key_data, zero), zero + 1, zero, zero)

    def present(self, model: Guess, example: Example, n: jax.Array) -> tuple[Guess, jax.Array]:
        """Keeps the weights if they get a training sequence right, and else draws others.

        Args:
          model: the trial.
          example: a training sequence.
          n: not used.

        Returns:
          The trial, and the outputs of the weights that the sequence was presented to.
        """
        del n
        outputs = self.run(model.weights, example)
        is_open = ~self.is_found(model)
        is_wrong = is_open & ~self.is_correct(outputs, example)
        weights = jax.lax.cond(
            is_wrong,
            lambda: self._draw(model.key, model.guesses),
            lambda: model.weights,
        )
        model = Guess(
            key=model.key,
            weights=weights,
            guesses=model.guesses + is_wrong.astype(jnp.int32),
            streak=jnp.where(is_wrong, 0, model.streak + is_open.astype(jnp.int32)),
            presented=model.presented + is_open.astype(jnp.int32),
        )
        return model, outputs

    def outputs(self, model: Guess, example: Example) -> jax.Array:
        """The outputs of the weights of now, [K] or [T, K]."""
        return self.run(model.weights, example)

    def is_found(self, model: Guess) -> jax.Array:
        """Whether the weights of now have got a whole training set right."""
        return model.streak >= self.training_size

    def _draw(self, key: jax.Array, number: jax.Array) -> Any:
        leaves, treedef = jax.tree.flatten(self.shapes)
        key = jax.random.fold_in(jax.random.wrap_key_data(key), number)
        return jax.tree.unflatten(
            treedef,
            [
                jax.random.uniform(
                    jax.random.fold_in(key, i),
                    leaf.shape,
                    leaf.dtype,
                    minval=-self.weight_range,
                    maxval=self.weight_range,
                )
                for i, leaf in enumerate(leaves)
            ],
        )


def guess_recurrent(
    task: Task, num_hidden: int = 1, *, weight_range: float = 100.0, training_size: int = 100
) -> Guessing:
    """Guesses for a task the weights of a small, fully recurrent net of logistic units.

    Every hidden and output unit sees the inputs, a bias and all hidden and output units of the
    step before. With one hidden unit and one input it has 8 weights.

    >>> from lstm_jax.tasks import make_task
    >>> guess_recurrent(make_task("3a-100-3")).shapes.recurrent.shape
    (2, 2)

    Args:
      task: of which the inputs, the outputs and `is_correct` are used.
      num_hidden: hidden units, at least 0.
      weight_range, training_size: as in `Guessing`.

    Raises:
      ValueError: if an argument is outside its range.
    """
    if num_hidden < 0:
        raise ValueError(f"num_hidden must be at least 0, got {num_hidden!r}")
    num_inputs, num_outputs = task.architecture.num_inputs, task.architecture.num_outputs
    units = num_hidden + num_outputs
    shapes = UnitSources(
        *(
            jax.ShapeDtypeStruct(shape, jnp.float32)
            for shape in ((num_inputs, units), (units, units), (units,))
        )
    )

    def run(weights: UnitSources, example: Example) -> jax.Array:
        values = run_recurrent(weights, example)[:, num_hidden:]
        return values if task.error_at == "every_step" else values[-1]

    return Guessing(shapes, run, task.is_correct, weight_range, training_size)


def guess_lstm(task: Task, *, weight_range: float = 100.0, training_size: int = 100) -> Guessing:
    """Guesses for a task the weights of the paper's LSTM, gate biases included.

    >>> from lstm_jax.tasks import make_task
    >>> guessing = guess_lstm(make_task("3a-100-3"))
    >>> sum(leaf.size for leaf in jax.tree.leaves(guessing.shapes))
    102

    Args:
      task: of which the architecture and `is_correct` are used.
      weight_range, training_size: as in `Guessing`.

    Raises:
      ValueError: if an argument is outside its range.
    """
    architecture: Architecture = task.architecture
    shapes = jax.tree.map(
        lambda shape: jax.ShapeDtypeStruct(shape, jnp.float32),
        parameter_shapes(architecture),
        is_leaf=lambda node: type(node) is tuple,
    )

    def run(weights: Any, example: Example) -> jax.Array:
        length = None if task.fixed_length else example.length
        return apply(architecture, weights, example.inputs, at=task.error_at, length=length)[0]

    return Guessing(shapes, run, task.is_correct, weight_range, training_size)


def run_recurrent(weights: UnitSources, example: Example) -> jax.Array:
    """y(t) = f(W x(t) + R y(t-1) + b) for all units, [T, U]; y(0) = 0, and padding changes nothing.

    Args:
      weights: of U units.
      example: of inputs [T, I] or [T] symbols.
    """
    dtype, inputs = weights.bias.dtype, example.inputs
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        given = weights.input[inputs]
    else:
        given = inputs.astype(dtype) @ weights.input
    steps = jnp.arange(inputs.shape[0], dtype=jnp.int32)

    def step(y_tm1: jax.Array, at: tuple) -> tuple[jax.Array, jax.Array]:
        net_t, is_real = at
        y_t = logistic.value(net_t + y_tm1 @ weights.recurrent)
        y_t = jnp.where(is_real, y_t, y_tm1)
        return y_t, y_t

    at = (given + weights.bias[None], steps < example.length)
    return jax.lax.scan(step, jnp.zeros_like(weights.bias), at)[1]


def search(guessing: Guessing, key: jax.Array, training_set: Example, max_presented: int) -> Guess:
    """Guesses until a training set is right as a whole, or the budget is spent.

    The sequences are presented in turn. `is_found` of the result tells whether it is a solution;
    its `guesses` and `presented` are what it cost.

    Args:
      guessing: whose `training_size` is the size of the set.
      key: of the trial.
      training_set: sequences, the batch axis first.
      max_presented: sequences to present at most.

    Raises:
      ValueError: if the training set has another size.
    """
    size = training_set.length.shape[0]
    if guessing.training_size != size:
        raise ValueError(
            f"training_size must be that of the training set, {size}, got {guessing.training_size}"
        )

    def goes_on(model: Guess) -> jax.Array:
        return ~guessing.is_found(model) & (model.presented < max_presented)

    def present(model: Guess) -> Guess:
        example = jax.tree.map(lambda sequences: sequences[model.presented % size], training_set)
        return guessing.present(model, example, model.presented)[0]

    return jax.lax.while_loop(goes_on, present, guessing.init(key))
