"""Training of any parameters by any loss on batches of data, with validation.

`fit` is a loop over epochs around one compiled step of an optimiser. It knows nothing of networks,
and writes nothing: what is to be seen or saved after an epoch is `on_epoch`'s business.
"""

from __future__ import annotations

import functools
import math
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lstm_jax.cell.validation import as_integer, check_key, check_type, require

P = TypeVar("P")
Batch = TypeVar("Batch")
Batches = Iterable[Batch] | Callable[[int], Iterable[Batch]]
Loss = Callable[..., jax.Array]  # (parameters, batch) or (parameters, batch, key) -> scalar
Stopped = Literal["epochs", "patience", "non-finite", "interrupted"]


class FitState(NamedTuple, Generic[P]):
    """The state of `fit` after an epoch: a pytree, to be saved and continued from.

    Attributes:
      parameters: after the last epoch.
      optimiser_state: optax's, after the last epoch.
      best_parameters: after the epoch with the lowest score.
      best_score: the lowest score; infinite at first.
      best_epoch: the epoch of the best parameters, from 1; 0 for the initial ones.
      epoch: epochs done.
      steps: updates done.
    """

    parameters: P
    optimiser_state: optax.OptState
    best_parameters: P
    best_score: float
    best_epoch: int
    epoch: int
    steps: int


class Epoch(NamedTuple):
    """The numbers of an epoch, for `on_epoch` and in the history.

    Attributes:
      epoch: from 1.
      epochs: the most that there will be.
      loss: the mean loss over the epoch's batches, each before its update.
      score: what `validate` returned, or the loss without it.
      best_score: the lowest score so far.
      best_epoch: its epoch.
      seconds: wall time of the epoch, with its validation.
    """

    epoch: int
    epochs: int
    loss: float
    score: float
    best_score: float
    best_epoch: int
    seconds: float


class FitResult(NamedTuple, Generic[P]):
    """The outcome of a call of `fit`.

    Attributes:
      state: after the last epoch that was completed; `fit` continues from it.
      history: the epochs of this call.
      stopped: why it ended: all epochs done, no better score within `patience`, a loss or
        parameters that are not finite, or Ctrl-C.
    """

    state: FitState[P]
    history: list[Epoch]
    stopped: Stopped

    @property
    def parameters(self) -> P:
        """The best parameters."""
        return self.state.best_parameters


OnEpoch = Callable[[Epoch, FitState[P]], object]


class ScalarWriter(Protocol):
    """A writer of TensorBoard's files, such as a `SummaryWriter` of tensorboardX or torch."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int, /) -> object:
        """Write a number."""


def init_fit(parameters: P, optimiser: optax.GradientTransformation) -> FitState[P]:
    """Return the state of `fit` before the first epoch.

    >>> init_fit(jnp.ones(2), optax.sgd(0.1)).epoch
    0

    Args:
      parameters: any pytree of floating arrays.
      optimiser: such as `optax.adam(1e-3)`.

    Raises:
      ValueError: if `optimiser` is not an optimiser.
    """
    check_type("optimiser", optimiser, optax.GradientTransformation)
    arrays = jax.tree.map(jnp.asarray, parameters)
    return FitState(arrays, optimiser.init(arrays), arrays, math.inf, 0, 0, 0)


def fit(
    loss: Loss,
    parameters: P,
    optimiser: optax.GradientTransformation,
    batches: Batches[Batch],
    *,
    epochs: int = 100,
    validate: Callable[[P], float] | None = None,
    patience: int | None = None,
    key: jax.Array | None = None,
    state: FitState[P] | None = None,
    on_epoch: OnEpoch[P] | None = None,
) -> FitResult[P]:
    """Minimise a loss over batches, and keep the parameters with the best score.

    Learning-rate schedules, clipping, weight decay and the like are parts of the optimiser, such as
    `optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))`. An epoch counts completely
    or not at all: after Ctrl-C or a loss that is not finite, the state is that before the epoch.

    >>> loss = lambda w, x: jnp.mean((w * x - 2 * x) ** 2)
    >>> result = fit(loss, jnp.zeros(1), optax.sgd(0.1), [np.ones(1), 2 * np.ones(1)], epochs=9)
    >>> result.stopped, round(float(result.parameters[0]), 2)
    ('epochs', 2.0)

    Args:
      loss: (parameters, batch) -> scalar; with `key`, (parameters, batch, key).
      parameters: the initial ones, any pytree of floating arrays.
      optimiser: such as `optax.adam(1e-3)`.
      batches: pytrees of arrays: an iterable that starts anew for every epoch, such as a list or
        torch's DataLoader; or a function of the epoch, from 0, that returns an iterable. The step
        is compiled once per shape of a batch.
      epochs: the number of epochs, those of `state` included.
      validate: parameters -> score, lower is better, called after every epoch, such as
        `mean_loss`; None: the score is the epoch's loss.
      patience: epochs without a better score after which training stops; None: never.
      key: PRNG key of dropout and the like: step n gets `jax.random.fold_in(key, n)`.
      state: where an earlier `fit` ended, in place of `parameters`; the result is to the last bit
        that of one uninterrupted call, if `batches` is a function of the epoch or yields the same
        every time.
      on_epoch: called with the `Epoch` and the `FitState`, for progress bars, logs, checkpoints.

    Returns:
      The `FitResult`. A warning is given if a loss or the parameters are not finite.

    Raises:
      ValueError: if an argument does not fit, or an epoch has no batches.
    """
    as_integer("epochs", epochs, 0)
    require(callable(loss), "loss", "a function", loss)
    patience = epochs if patience is None else as_integer("patience", patience, 1)
    if key is not None:
        check_key("key", key)
    if state is None:
        state = init_fit(parameters, optimiser)
    check_type("state", state, FitState)
    history = []
    while state.epoch < epochs and state.epoch - state.best_epoch < patience:
        start = time.monotonic()
        try:
            after, mean = _run_epoch(loss, optimiser, state, batches, key)
            score = mean if validate is None else float(validate(after.parameters))
        except KeyboardInterrupt:
            return FitResult(state, history, "interrupted")
        if not (math.isfinite(score) and _is_finite((after.parameters, mean))):
            warnings.warn(_problem(after.epoch, mean, score), RuntimeWarning, stacklevel=2)
            return FitResult(state, history, "non-finite")
        state = _keep_best(after, score)
        seconds = time.monotonic() - start
        best = state.best_score, state.best_epoch
        history.append(Epoch(state.epoch, epochs, mean, score, *best, seconds))
        if on_epoch is not None:
            on_epoch(history[-1], state)
    return FitResult(state, history, "epochs" if state.epoch >= epochs else "patience")


def mean_loss(loss: Loss, batches: Batches[Batch]) -> Callable[[object], float]:
    """Return a `validate` of `fit`: the mean loss over batches, weighted by their sequences.

    >>> validate = mean_loss(lambda w, x: jnp.mean(w * x), [np.ones(3), 5 * np.ones(1)])
    >>> validate(jnp.float32(1.0))
    2.0

    Args:
      loss: (parameters, batch) -> scalar, a mean over the batch.
      batches: as of `fit`; a function of the epoch is called with 0. Arrays have the batch axis
        first.
    """

    def validate(parameters: object) -> float:
        total, number = 0.0, 0
        for batch in _epoch(batches, 0):
            size = len(jax.tree.leaves(batch)[0])
            total += size * float(_evaluate(loss, parameters, batch))
            number += size
        require(number, "batches", "at least one batch", batches)
        return total / number

    return validate


def write_epochs(writer: ScalarWriter) -> OnEpoch[object]:
    """Return an `on_epoch` of `fit` that writes scalars for TensorBoard.

    >>> class Printer:
    ...     def add_scalar(self, name, value, step):
    ...         print(name, value, step)
    >>> loss = lambda w, x: jnp.mean(w * x)
    >>> on_epoch = write_epochs(Printer())
    >>> _ = fit(loss, 1.0, optax.sgd(0.0), [np.ones(2)], epochs=1, on_epoch=on_epoch)
    loss 1.0 1
    score 1.0 1

    Args:
      writer: such as a `SummaryWriter` of tensorboardX or torch.
    """

    def write(epoch: Epoch, state: FitState[object]) -> None:
        del state
        for name in ("loss", "score"):
            writer.add_scalar(name, getattr(epoch, name), epoch.epoch)

    return write


def _epoch(batches: Batches[Batch], epoch: int) -> Iterable[Batch]:
    return batches(epoch) if callable(batches) else batches


def _run_epoch(
    loss: Loss,
    optimiser: optax.GradientTransformation,
    state: FitState[P],
    batches: Batches[Batch],
    key: jax.Array | None,
) -> tuple[FitState[P], float]:
    """Return the state after one more epoch, and its mean loss."""
    parameters, optimiser_state, losses = state.parameters, state.optimiser_state, []
    for batch in _epoch(batches, state.epoch):
        step_key = None if key is None else jax.random.fold_in(key, state.steps + len(losses))
        parameters, optimiser_state, value = _step(
            loss, optimiser, parameters, optimiser_state, batch, step_key
        )
        losses.append(value)
    require(losses, "batches", f"at least one batch in epoch {state.epoch}", batches)
    after = state._replace(
        parameters=parameters,
        optimiser_state=optimiser_state,
        epoch=state.epoch + 1,
        steps=state.steps + len(losses),
    )
    return after, float(np.mean(jax.device_get(losses), dtype=np.float64))


# Calls with the same loss and optimiser share compiled programs, one per shape of a batch.
@functools.partial(jax.jit, static_argnums=(0, 1))
def _step(
    loss: Loss,
    optimiser: optax.GradientTransformation,
    parameters: optax.Params,
    optimiser_state: optax.OptState,
    batch: object,
    key: jax.Array | None,
) -> tuple[optax.Params, optax.OptState, jax.Array]:
    keys = () if key is None else (key,)
    value, gradient = jax.value_and_grad(loss)(parameters, batch, *keys)
    update = optax.with_extra_args_support(optimiser).update
    updates, optimiser_state = update(gradient, optimiser_state, parameters, value=value)
    return optax.apply_updates(parameters, updates), optimiser_state, value


@functools.partial(jax.jit, static_argnums=0)
def _evaluate(loss: Loss, parameters: object, batch: object) -> jax.Array:
    return loss(parameters, batch)


def _is_finite(tree: object) -> bool:
    return all(np.isfinite(jax.device_get(leaf)).all() for leaf in jax.tree.leaves(tree))


def _keep_best(state: FitState[P], score: float) -> FitState[P]:
    if not score < state.best_score:
        return state
    return state._replace(
        best_parameters=state.parameters, best_score=score, best_epoch=state.epoch
    )


def _problem(epoch: int, loss: float, score: float) -> str:
    found = f"epoch {epoch} was not finite: loss {loss:g}, score {score:g}"
    return f"{found}; its updates are discarded (a lower learning rate, or clipping, may help)"
