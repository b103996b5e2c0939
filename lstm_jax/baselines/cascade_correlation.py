"""Recurrent cascade correlation: a net that grows by one self-recurrent unit at a time.

At first there are no hidden units. Two phases alternate. Each consists of passes over a fixed
training set, with one quickprop step per pass, and ends after some passes without progress:

    outputs     the output weights descend the squared error; hidden units are frozen
    candidates  a pool of units without outgoing weights ascend the score below; then the best one
                is frozen and joins the net

With x the inputs and a bias, v_j the hidden units of the net, and e_o = y_o - target_o:

    v(t) = f(Σ_m w_m x_m(t) + Σ_j w_j v_j(t) + w_s v(t-1)) - 1/2          v(0) = 0
    score = Σ_o |Σ_t (v(t) - mean v) (e_o(t) - mean e_o)| / Σ_t Σ_o e_o(t)²

The score's gradient comes from a recursion forward in time, with u_m the source of weight m:

    ∂v(t)/∂w_m = f'(net(t)) (u_m(t) + w_s ∂v(t-1)/∂w_m)

Differences to Fahlman's public program, whose constants are used: the score's signs and means are
those of the same pass, not of the pass before; the error e_o is not multiplied by the output's
derivative, as in the text; the output gradient is a mean over steps, and the score's gradient is
not divided by the size of the training set, so that `output_epsilon` and `candidate_epsilon` do not
depend on it. When `max_units` have joined, only the outputs learn.

References:
  S. E. Fahlman. The recurrent cascade-correlation architecture. NIPS 3:190-196, 1991.
  S. E. Fahlman and C. Lebiere. The cascade-correlation learning architecture. NIPS 2:524-532, 1990.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike
from optax.tree_utils import tree_where

from lstm_jax.baselines.cascade_units import (
    PassSums,
    covariance,
    run_candidates,
    run_units,
    score_gradient,
    total_error,
)
from lstm_jax.baselines.quickprop import quickprop
from lstm_jax.cell.activations import logistic
from lstm_jax.tasks.task import Example, real_steps
from lstm_jax.training.update_rules.base import UpdateRule, as_key

OUTPUTS, CANDIDATES = range(2)  # phases


class CascadeModel(NamedTuple):
    """A trial's net, its candidates and its training state; sizes as in `cascade_units`.

    A hidden unit's M weights are those of the inputs, the bias, the U hidden units and itself.
    """

    key: jax.Array
    """uint32, the raw data of the trial's PRNG key."""
    output: jax.Array
    """[S, K], the output weights."""
    hidden: jax.Array
    """[U, M], the weights of the hidden units; 0 for units that have not joined."""
    num_units: jax.Array
    """int32, the number of hidden units that have joined."""
    candidate: jax.Array
    """[C, M], the weights of the candidates."""
    output_state: optax.OptState
    """The state of quickprop for the output weights."""
    candidate_state: optax.OptState
    """The state of quickprop for the candidates."""
    phase: jax.Array
    """int32, `OUTPUTS` or `CANDIDATES`."""
    epochs: jax.Array
    """int32, the number of passes since the phase began."""
    stale: jax.Array
    """int32, the number of passes since the last significant change."""
    level: jax.Array
    """The error or the best score at the last significant change."""
    num_sequences: jax.Array
    """int32, the number of sequences of this pass."""
    sums: PassSums
    """The sums of this pass."""


@dataclasses.dataclass(frozen=True)
class CascadeCorrelation(UpdateRule[CascadeModel]):
    """Recurrent cascade correlation, for tasks with a target at every step.

    It is both the network's description, `Task.architecture`, and its update rule.

    Attributes:
      num_inputs: I.
      num_outputs: K, logistic units.
      epoch: the size of the training set, which must be presented in turn (`Task.training_set`).
      max_units: U, the largest number of hidden units.
      num_candidates: C, the number of candidates in a pool.
      init_range: weights start uniform in [-init_range, init_range].
      output_epsilon, candidate_epsilon, mu, output_decay: see `quickprop`.
      patience: a phase ends after so many passes without a significant change.
      output_change, candidate_change: the smallest significant change of the error or of the best
        score, relative to it.
      max_epochs: a phase ends after so many passes in any case.
      derivative_offset: added to f' of the output units, so that wrong ones leave flat regions.

    Raises:
      ValueError: if a field is out of its range.
    """

    num_inputs: int
    num_outputs: int
    epoch: int = 256
    max_units: int = 9
    num_candidates: int = 8
    init_range: float = 1.0
    output_epsilon: float = 0.35
    candidate_epsilon: float = 1.0
    mu: float = 2.0
    output_decay: float = 1e-6
    patience: int = 8
    output_change: float = 0.01
    candidate_change: float = 0.03
    max_epochs: int = 100
    derivative_offset: float = 0.1

    def __post_init__(self) -> None:
        counts = ("num_inputs", "num_outputs", "epoch", "max_units", "num_candidates")
        for name in (*counts, "patience", "max_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)!r}")
        if not self.init_range > 0:
            raise ValueError(f"init_range must be positive, got {self.init_range!r}")

    @property
    def num_sources(self) -> int:
        """S = I + 1 + U, the number of sources of an output unit."""
        return self.num_inputs + 1 + self.max_units

    @property
    def num_weights(self) -> int:
        """W, the number of weights of the net with all its hidden units.

        >>> [CascadeCorrelation(7, 7, max_units=units).num_weights for units in (1, 7, 9)]
        [72, 189, 236]
        """
        units, fan_in = self.max_units, self.num_inputs + 1
        hidden = units * (fan_in + 1) + units * (units - 1) // 2
        return hidden + (fan_in + units) * self.num_outputs

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> CascadeModel:
        """Return a net without hidden units, with random output weights."""
        shape = (self.num_sources, self.num_outputs)
        output = jax.random.uniform(
            jax.random.fold_in(key, 0), shape, dtype, -self.init_range, self.init_range
        )
        output = output.at[self.num_inputs + 1 :].set(0)  # there are no hidden units yet
        zero = jnp.zeros((), jnp.int32)
        candidate = self._draw(jax.random.key_data(key), zero, dtype)
        return CascadeModel(
            key=jax.random.key_data(key),
            output=output,
            hidden=jnp.zeros((self.max_units, self.num_sources + 1), dtype),
            num_units=zero,
            candidate=candidate,
            output_state=self._down.init(output),
            candidate_state=self._up.init(candidate),
            phase=jnp.full((), OUTPUTS, jnp.int32),
            epochs=zero,
            stale=zero,
            level=jnp.zeros((), dtype),
            num_sequences=zero,
            sums=self._no_sums(dtype),
        )

    def train_step(
        self, model: CascadeModel, example: Example, n: jax.Array
    ) -> tuple[CascadeModel, jax.Array]:
        """Add a training sequence to the sums of its pass, and end the pass if it is the last one.

        Args:
          model: the trial.
          example: sequence number n of the training set, modulo its size.
          n: unused, since the model counts its sequences.

        Returns:
          The trial, and the outputs [T, K] before the update.
        """
        del n
        sources = self._sources(model, example)
        outputs = logistic(sources @ model.output)
        weights = real_steps(example).astype(outputs.dtype)
        errors = (outputs - example.targets.astype(outputs.dtype)) * weights[:, None]
        sums = jax.lax.cond(
            model.phase == OUTPUTS,
            lambda: self._output_sums(sources, outputs, errors, weights),
            lambda: self._candidate_sums(model.candidate, sources, errors, weights),
        )
        sums = jax.tree.map(jnp.add, model.sums, sums)
        model = model._replace(sums=sums, num_sequences=model.num_sequences + 1)
        model = jax.lax.cond(
            model.num_sequences == self.epoch, self._end_pass, lambda model: model, model
        )
        return model, outputs

    def outputs(self, model: CascadeModel, example: Example) -> jax.Array:
        """Return the outputs [T, K]."""
        return logistic(self._sources(model, example) @ model.output)

    @property
    def _down(self) -> optax.GradientTransformation:
        return quickprop(self.output_epsilon, self.mu, self.output_decay)

    @property
    def _up(self) -> optax.GradientTransformation:
        return quickprop(self.candidate_epsilon, self.mu)

    def _draw(self, key: jax.Array, num_units: jax.Array, dtype: DTypeLike) -> jax.Array:
        """Draw the pool [C, M] of the unit that follows `num_units` others."""
        key = jax.random.fold_in(as_key(key), num_units + 1)
        shape = (self.num_candidates, self.num_sources + 1)
        return jax.random.uniform(key, shape, dtype, -self.init_range, self.init_range)

    def _no_sums(self, dtype: DTypeLike) -> PassSums:
        candidates, weights, outputs = self.num_candidates, self.num_sources + 1, self.num_outputs
        return PassSums(
            steps=jnp.zeros((), dtype),
            squared_error=jnp.zeros((), dtype),
            output_gradient=jnp.zeros((self.num_sources, outputs), dtype),
            error=jnp.zeros(outputs, dtype),
            value=jnp.zeros(candidates, dtype),
            value_error=jnp.zeros((candidates, outputs), dtype),
            derivative=jnp.zeros((candidates, weights), dtype),
            derivative_error=jnp.zeros((candidates, weights, outputs), dtype),
        )

    def _sources(self, model: CascadeModel, example: Example) -> jax.Array:
        """Return what the output units see, [T, S]."""
        inputs = example.inputs
        if jnp.issubdtype(inputs.dtype, jnp.integer):
            inputs = jax.nn.one_hot(inputs, self.num_inputs)
        return run_units(model.hidden, model.num_units, inputs.astype(model.output.dtype))

    def _output_sums(
        self, sources: jax.Array, outputs: jax.Array, errors: jax.Array, weights: jax.Array
    ) -> PassSums:
        deltas = (logistic.derivative(outputs) + self.derivative_offset) * errors
        return self._no_sums(errors.dtype)._replace(
            steps=weights.sum(),
            squared_error=jnp.sum(errors * errors),
            output_gradient=sources.T @ deltas,
        )

    def _candidate_sums(
        self, candidate: jax.Array, sources: jax.Array, errors: jax.Array, weights: jax.Array
    ) -> PassSums:
        values, derivatives = run_candidates(candidate, sources)
        return self._no_sums(errors.dtype)._replace(
            steps=weights.sum(),
            squared_error=jnp.sum(errors * errors),
            error=errors.sum(0),
            value=weights @ values,
            value_error=values.T @ errors,
            derivative=jnp.einsum("t,tcm->cm", weights, derivatives),
            derivative_error=jnp.einsum("tk,tcm->cmk", errors, derivatives),
        )

    def _end_pass(self, model: CascadeModel) -> CascadeModel:
        model = jax.lax.cond(
            model.phase == OUTPUTS, self._end_output_pass, self._end_candidate_pass, model
        )
        return model._replace(
            num_sequences=jnp.zeros_like(model.num_sequences),
            sums=jax.tree.map(jnp.zeros_like, model.sums),
        )

    def _end_output_pass(self, model: CascadeModel) -> CascadeModel:
        """Update the output weights; at the end of the phase, draw a pool of candidates instead."""
        sums = model.sums
        model, is_over = self._watch(model, sums.squared_error, self.output_change)
        is_over &= model.num_units < self.max_units
        steps, state = self._down.update(
            sums.output_gradient / sums.steps, model.output_state, model.output
        )
        stepped = model._replace(
            output=optax.apply_updates(model.output, steps), output_state=state
        )
        candidate = self._draw(model.key, model.num_units, model.candidate.dtype)
        turned = self._turn(model, CANDIDATES)._replace(
            candidate=candidate, candidate_state=self._up.init(candidate)
        )
        return tree_where(is_over, turned, stepped)

    def _end_candidate_pass(self, model: CascadeModel) -> CascadeModel:
        """Update the candidates; at the end of the phase, let the best one join the net instead."""
        covariances, scores = covariance(model.sums)
        model, is_over = self._watch(model, scores.max(), self.candidate_change)
        steps, state = self._up.update(
            -score_gradient(model.sums), model.candidate_state, model.candidate
        )
        stepped = model._replace(
            candidate=optax.apply_updates(model.candidate, steps), candidate_state=state
        )
        best = jnp.argmax(scores)
        index = self.num_inputs + 1 + model.num_units
        output = model.output.at[index].set(-covariances[best] / total_error(model.sums))
        turned = self._turn(model, OUTPUTS)._replace(
            hidden=model.hidden.at[model.num_units].set(model.candidate[best]),
            num_units=model.num_units + 1,
            output=output,
            output_state=self._down.init(output),
        )
        return tree_where(is_over, turned, stepped)

    def _watch(
        self, model: CascadeModel, level: jax.Array, change: float
    ) -> tuple[CascadeModel, jax.Array]:
        """Count the pass; return also whether the phase is over."""
        is_new = (model.epochs == 0) | (jnp.abs(level - model.level) > change * model.level)
        model = model._replace(
            epochs=model.epochs + 1,
            stale=jnp.where(is_new, 0, model.stale + 1),
            level=jnp.where(is_new, level, model.level),
        )
        return model, (model.stale >= self.patience) | (model.epochs >= self.max_epochs)

    def _turn(self, model: CascadeModel, phase: int) -> CascadeModel:
        return model._replace(
            phase=jnp.full_like(model.phase, phase),
            epochs=jnp.zeros_like(model.epochs),
            stale=jnp.zeros_like(model.stale),
        )
