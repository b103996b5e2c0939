"""Recurrent cascade correlation: a net that grows, one self-recurrent unit at a time.

S. E. Fahlman. The recurrent cascade-correlation architecture. *Advances in Neural Information
Processing Systems 3*, 190-196, 1991; with S. E. Fahlman and C. Lebiere, The cascade-correlation
learning architecture, *NIPS 2*, 1990, and the constants of Fahlman's public program.

There are no hidden units at first. Two phases take turns, each a number of passes over a fixed
training set with one quickprop step a pass, until a few passes in a row bring nothing new:

    outputs     their weights go down the squared error; the hidden units are frozen
    candidates  a pool of units, not yet connected to the outputs, go up the score below; then the
                best one is frozen and joins the net, and the others are forgotten

With x the inputs and a bias, v_j the hidden units already there, e_o = y_o - target_o:

    v(t) = f(Σ_m w_m x_m(t) + Σ_j w_j v_j(t) + w_s v(t-1)) - 1/2          v(0) = 0
    score = Σ_o |Σ_t (v(t) - mean v) (e_o(t) - mean e_o)| / Σ_t Σ_o e_o(t)²

whose slopes come from a recursion forward in time, with u_m the source of weight m:

    ∂v(t)/∂w_m = f'(net(t)) (u_m(t) + w_s ∂v(t-1)/∂w_m)

Readings and departures. The score's signs and means are those of the same pass: the sums that this
needs are kept, where Fahlman's program takes the signs of the pass before. The residual error e_o
is the bare one, as in the text; the program multiplies it by the output's slope. The output slopes
are means over steps, and so do not depend on the size of the training set, and the scores' slopes
are not divided by that size once more: `output_epsilon` and `candidate_epsilon` are relative to
that. With `max_units` there, the outputs go on learning and nothing else happens.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from lstm_jax.baselines.cascade_units import (
    Sums,
    covariance,
    run_candidates,
    run_units,
    score_slopes,
    total_error,
)
from lstm_jax.baselines.quickprop import quickprop
from lstm_jax.cell.activations import logistic
from lstm_jax.tasks.task import Example
from lstm_jax.training.update_rules.base import UpdateRule
from lstm_jax.training.update_rules.keys import as_key

OUTPUTS, CANDIDATES = range(2)  # phases


class Cascade(NamedTuple):
    """One trial: the net, its candidates, and where training stands. C counts candidates.

    A unit's weights are, in this order, of the inputs, the bias, the U hidden units and itself:
    M = I + 1 + U + 1. A hidden unit does not look at those that joined after it.
    """

    key: jax.Array
    """uint32, the raw data of the trial's PRNG key."""
    output: jax.Array
    """[S, K]."""
    hidden: jax.Array
    """[U, M], 0 where no unit has joined yet."""
    num_units: jax.Array
    """int32."""
    candidate: jax.Array
    """[C, M]."""
    output_state: optax.OptState
    """Of quickprop."""
    candidate_state: optax.OptState
    """The same of the pool."""
    phase: jax.Array
    """int32."""
    epochs: jax.Array
    """int32, passes since the phase began."""
    stale: jax.Array
    """int32, of them, those since the last that brought something new."""
    level: jax.Array
    """The error or the score there."""
    num_sequences: jax.Array
    """int32, sequences of this pass."""
    sums: Sums
    """Of this pass so far."""


@dataclasses.dataclass(frozen=True)
class CascadeCorrelation(UpdateRule[Cascade]):
    """Recurrent cascade correlation, for one trial: both the net and how it learns.

    Attributes:
      num_inputs: I.
      num_outputs: K, logistic units.
      epoch: sequences of the training set. They must come in turn, always in the same order, as
        by `Task.training_set`: a pass is a sum over all of them.
      error_at: "every_step" or "end".
      max_units: U, hidden units to grow to at most.
      num_candidates: units in a pool.
      init_range: candidates start uniform in [-init_range, init_range].
      output_epsilon, candidate_epsilon, mu, output_decay: see `quickprop`.
      patience: passes in a row without a significant change that end a phase.
      output_change, candidate_change: the least relative change of the error or the best score
        that is significant.
      max_epochs: passes that end a phase in any case.
      slope_offset: added to f' of the output units, so that wrong ones leave their flat regions.

    Raises:
      ValueError: if a field is outside its range.
    """

    num_inputs: int
    num_outputs: int
    epoch: int = 256
    error_at: Literal["end", "every_step"] = "every_step"
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
    slope_offset: float = 0.1

    def __post_init__(self) -> None:
        counts = ("num_inputs", "num_outputs", "epoch", "max_units", "num_candidates")
        for name in (*counts, "patience", "max_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)!r}")
        if not self.init_range > 0:
            raise ValueError(f"init_range must be positive, got {self.init_range!r}")
        if self.error_at not in ("end", "every_step"):
            raise ValueError(f"error_at must be 'end' or 'every_step', got {self.error_at!r}")

    @property
    def num_sources(self) -> int:
        """S = I + 1 + U: what an output unit sees."""
        return self.num_inputs + 1 + self.max_units

    @property
    def num_weights(self) -> int:
        """W of the net that has grown to all its hidden units."""
        return self.weights_of(self.max_units)

    def weights_of(self, num_units: int) -> int:
        """W of a net with so many hidden units.

        >>> [CascadeCorrelation(7, 7).weights_of(units) for units in (0, 7, 9)]
        [56, 189, 236]
        """
        fan_in = self.num_inputs + 1
        hidden = num_units * (fan_in + 1) + num_units * (num_units - 1) // 2
        return hidden + (fan_in + num_units) * self.num_outputs

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Cascade:
        """A trial before its first sequence: no hidden unit, random weights of the outputs."""
        shape = (self.num_sources, self.num_outputs)
        output = jax.random.uniform(
            jax.random.fold_in(key, 0), shape, dtype, -self.init_range, self.init_range
        )
        # What no unit feeds yet must be 0, so that a unit that joins starts from its correlation.
        output = output.at[self.num_inputs + 1 :].set(0)
        zero = jnp.zeros((), jnp.int32)
        candidate = self._draw(jax.random.key_data(key), zero, dtype)
        return Cascade(
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
        self, model: Cascade, example: Example, n: jax.Array
    ) -> tuple[Cascade, jax.Array]:
        """Adds one training sequence to the sums of its pass, and ends the pass if it is the last.

        Args:
          model: the trial.
          example: sequence number n of the training set, modulo its size.
          n: not used, as the model counts for itself.

        Returns:
          The trial, and the outputs before anything was learned: [T, K], or [K] with the error at
          the end.
        """
        del n
        sources, weights, targets = self._read(model, example)
        outputs = logistic(sources @ model.output)
        errors = (outputs - targets) * weights[:, None]
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
        return model, self._judged(outputs, example)

    def outputs(self, model: Cascade, example: Example) -> jax.Array:
        """The net's outputs as it is, [T, K], or [K] with the error at the end."""
        sources, _, _ = self._read(model, example)
        return self._judged(logistic(sources @ model.output), example)

    @property
    def _down(self) -> optax.GradientTransformation:
        return quickprop(self.output_epsilon, self.mu, self.output_decay)

    @property
    def _up(self) -> optax.GradientTransformation:
        return quickprop(self.candidate_epsilon, self.mu)

    def _draw(self, key: jax.Array, num_units: jax.Array, dtype: DTypeLike) -> jax.Array:
        """The pool [C, M] from which the unit after `num_units` comes."""
        key = jax.random.fold_in(as_key(key), num_units + 1)
        shape = (self.num_candidates, self.num_sources + 1)
        return jax.random.uniform(key, shape, dtype, -self.init_range, self.init_range)

    def _no_sums(self, dtype: DTypeLike) -> Sums:
        candidates, weights, outputs = self.num_candidates, self.num_sources + 1, self.num_outputs
        zeros = functools.partial(jnp.zeros, dtype=dtype)
        return Sums(
            steps=zeros(()),
            squared_error=zeros(()),
            slope=zeros((self.num_sources, outputs)),
            error=zeros(outputs),
            value=zeros(candidates),
            value_error=zeros((candidates, outputs)),
            derivative=zeros((candidates, weights)),
            derivative_error=zeros((candidates, weights, outputs)),
        )

    def _read(self, model: Cascade, example: Example) -> tuple[jax.Array, jax.Array, jax.Array]:
        """What the output units see [T, S], how much each step counts [T], the targets [T, K]."""
        dtype, inputs = model.output.dtype, example.inputs
        if jnp.issubdtype(inputs.dtype, jnp.integer):
            inputs = jax.nn.one_hot(inputs, self.num_inputs)
        steps = jnp.arange(inputs.shape[0], dtype=jnp.int32)
        targets = example.targets.astype(dtype)
        if self.error_at == "end":
            counts = steps == example.length - 1
            targets = jnp.broadcast_to(targets[None], (inputs.shape[0], self.num_outputs))
        else:
            counts = steps < example.length
        sources = run_units(model.hidden, model.num_units, inputs.astype(dtype))
        return sources, counts.astype(dtype), targets

    def _judged(self, outputs: jax.Array, example: Example) -> jax.Array:
        if self.error_at == "every_step":
            return outputs
        return jax.lax.dynamic_index_in_dim(outputs, example.length - 1, keepdims=False)

    def _output_sums(
        self, sources: jax.Array, outputs: jax.Array, errors: jax.Array, weights: jax.Array
    ) -> Sums:
        deltas = (logistic.derivative(outputs) + self.slope_offset) * errors
        return self._no_sums(errors.dtype)._replace(
            steps=weights.sum(),
            squared_error=jnp.sum(errors * errors),
            slope=sources.T @ deltas,
        )

    def _candidate_sums(
        self, candidate: jax.Array, sources: jax.Array, errors: jax.Array, weights: jax.Array
    ) -> Sums:
        values, derivatives = run_candidates(candidate, sources)
        return Sums(
            steps=weights.sum(),
            squared_error=jnp.sum(errors * errors),
            slope=jnp.zeros((self.num_sources, self.num_outputs), errors.dtype),
            error=errors.sum(0),
            value=weights @ values,
            value_error=values.T @ errors,
            derivative=jnp.einsum("t,tcm->cm", weights, derivatives),
            derivative_error=jnp.einsum("tk,tcm->cmk", errors, derivatives),
        )

    def _end_pass(self, model: Cascade) -> Cascade:
        model = jax.lax.cond(
            model.phase == OUTPUTS, self._end_output_pass, self._end_candidate_pass, model
        )
        return model._replace(
            num_sequences=jnp.zeros_like(model.num_sequences),
            sums=jax.tree.map(jnp.zeros_like, model.sums),
        )

    def _end_output_pass(self, model: Cascade) -> Cascade:
        """A quickprop step of the output weights; none, but a pool, if there was nothing new."""
        sums = model.sums
        model, is_over = self._watch(model, sums.squared_error, self.output_change)
        is_over &= model.num_units < self.max_units
        steps, state = self._down.update(sums.slope / sums.steps, model.output_state, model.output)
        stepped = model._replace(
            output=optax.apply_updates(model.output, steps), output_state=state
        )
        candidate = self._draw(model.key, model.num_units, model.candidate.dtype)
        turned = self._turn(model, CANDIDATES)._replace(
            candidate=candidate, candidate_state=self._up.init(candidate)
        )
        return _select(is_over, turned, stepped)

    def _end_candidate_pass(self, model: Cascade) -> Cascade:
        """A quickprop step of the candidates; or the best of them joins the net."""
        covariances, scores = covariance(model.sums)
        model, is_over = self._watch(model, scores.max(), self.candidate_change)
        steps, state = self._up.update(
            -score_slopes(model.sums), model.candidate_state, model.candidate
        )
        stepped = model._replace(
            candidate=optax.apply_updates(model.candidate, steps), candidate_state=state
        )
        best = jnp.argmax(scores)
        place = self.num_inputs + 1 + model.num_units
        output = model.output.at[place].set(-covariances[best] / total_error(model.sums))
        turned = self._turn(model, OUTPUTS)._replace(
            hidden=model.hidden.at[model.num_units].set(model.candidate[best]),
            num_units=model.num_units + 1,
            output=output,
            output_state=self._down.init(output),
        )
        return _select(is_over, turned, stepped)

    def _watch(self, model: Cascade, level: jax.Array, change: float) -> tuple[Cascade, jax.Array]:
        """Counts the pass, and says whether the phase has run out of patience or time."""
        is_new = (model.epochs == 0) | (jnp.abs(level - model.level) > change * model.level)
        model = model._replace(
            epochs=model.epochs + 1,
            stale=jnp.where(is_new, 0, model.stale + 1),
            level=jnp.where(is_new, level, model.level),
        )
        return model, (model.stale >= self.patience) | (model.epochs >= self.max_epochs)

    def _turn(self, model: Cascade, phase: int) -> Cascade:
        return model._replace(
            phase=jnp.full_like(model.phase, phase),
            epochs=jnp.zeros_like(model.epochs),
            stale=jnp.zeros_like(model.stale),
        )


def _select(condition: jax.Array, yes: Cascade, no: Cascade) -> Cascade:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
