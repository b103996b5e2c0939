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

Differences from Fahlman's public program, whose constants are used: the score's signs and means are
those of the same pass, not of the pass before; the error e_o is not multiplied by the output's
derivative, as in the text; the output gradient is a mean over steps, and the score's gradient is
not divided by the size of the training set, so that `output_epsilon` and `candidate_epsilon` do not
depend on it. When `max_units` have joined, only the outputs learn.

In shapes, C counts candidates and U hidden units. S = I + 1 + U is the number of sources of an
output unit. M = S + 1 is the number of a hidden unit's weights: from the inputs, the bias, the U
hidden units and itself.

References:
  S. E. Fahlman. The recurrent cascade-correlation architecture. NIPS 3:190-196, 1991.
  S. E. Fahlman and C. Lebiere. The cascade-correlation learning architecture. NIPS 2:524-532, 1990.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike
from optax.tree_utils import tree_where

from lstm_jax.baselines.quickprop import quickprop
from lstm_jax.cell.activations import logistic
from lstm_jax.cell.validation import as_float, as_integer, convert_fields
from lstm_jax.tasks.task import Example, real_steps
from lstm_jax.training.update_rules.base import UpdateRule, as_key

OUTPUTS, CANDIDATES = range(2)  # phases


class PassSums(NamedTuple):
    """Sums over the steps of a pass; zero where the phase does not need them."""

    steps: jax.Array  # [], the number of steps
    squared_error: jax.Array  # [], Σ e_o²
    output_gradient: jax.Array  # [S, K], Σ y_m f'(net_o) e_o
    error: jax.Array  # [K], Σ e_o
    value: jax.Array  # [C], Σ v
    value_error: jax.Array  # [C, K], Σ v e_o
    derivative: jax.Array  # [C, M], Σ ∂v/∂w_m
    derivative_error: jax.Array  # [C, M, K], Σ ∂v/∂w_m e_o


class CascadeModel(NamedTuple):
    """A trial's net, its candidates and its training state."""

    key: jax.Array  # uint32, the raw data of the trial's PRNG key
    output: jax.Array  # [S, K], the output weights
    hidden: jax.Array  # [U, M], the weights of the hidden units; 0 for units that have not joined
    num_units: jax.Array  # int32, the number of hidden units that have joined
    candidate: jax.Array  # [C, M], the weights of the candidates
    output_state: optax.OptState
    candidate_state: optax.OptState
    phase: jax.Array  # int32, `OUTPUTS` or `CANDIDATES`
    epochs: jax.Array  # int32, the number of passes since the phase began
    stale: jax.Array  # int32, the number of passes since the last significant change
    level: jax.Array  # the error or the best score at the last significant change
    num_sequences: jax.Array  # int32, the number of sequences of this pass
    sums: PassSums


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
      patience: the number of passes without a significant change after which a phase ends.
      output_change, candidate_change: the smallest significant change of the error or of the best
        score, relative to it.
      max_epochs: the number of passes after which a phase ends in any case.
      derivative_offset: added to f' of the output units, so that saturated ones keep learning.
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
        counts = (*counts, "patience", "max_epochs")
        convert_fields(self, functools.partial(as_integer, least=1), *counts)
        positive = ("init_range", "output_epsilon", "candidate_epsilon", "mu")
        convert_fields(self, functools.partial(as_float, above=0.0), *positive)
        others = ("output_decay", "output_change", "candidate_change", "derivative_offset")
        convert_fields(self, functools.partial(as_float, least=0.0), *others)

    @property
    def _down(self) -> optax.GradientTransformation:
        return quickprop(self.output_epsilon, self.mu, self.output_decay)

    @property
    def _up(self) -> optax.GradientTransformation:
        return quickprop(self.candidate_epsilon, self.mu)

    @property
    def num_sources(self) -> int:
        """S = I + 1 + U, the number of sources of an output unit."""
        return self.num_inputs + 1 + self.max_units

    @property
    def num_weights(self) -> int:
        """W, the number of weights of the net with all its hidden units."""
        units, fan_in = self.max_units, self.num_inputs + 1
        hidden = units * (fan_in + 1) + units * (units - 1) // 2
        return hidden + (fan_in + units) * self.num_outputs

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> CascadeModel:
        """Return a net without hidden units, with random output weights."""
        candidates, sources, outputs = self.num_candidates, self.num_sources, self.num_outputs
        shape, limits = (sources, outputs), (-self.init_range, self.init_range)
        output = jax.random.uniform(jax.random.fold_in(key, 0), shape, dtype, *limits)
        output = output.at[self.num_inputs + 1 :].set(0)  # there are no hidden units yet
        none, zero = jnp.zeros((), jnp.int32), jnp.zeros((), dtype)
        candidate = self._draw(jax.random.key_data(key), none, dtype)
        sums = PassSums(
            steps=zero,
            squared_error=zero,
            output_gradient=jnp.zeros_like(output),
            error=jnp.zeros(outputs, dtype),
            value=jnp.zeros(candidates, dtype),
            value_error=jnp.zeros((candidates, outputs), dtype),
            derivative=jnp.zeros_like(candidate),
            derivative_error=jnp.zeros((*candidate.shape, outputs), dtype),
        )
        return CascadeModel(
            key=jax.random.key_data(key),
            output=output,
            hidden=jnp.zeros((self.max_units, sources + 1), dtype),
            num_units=none,
            candidate=candidate,
            output_state=self._down.init(output),
            candidate_state=self._up.init(candidate),
            phase=jnp.full((), OUTPUTS, jnp.int32),
            epochs=none,
            stale=none,
            level=zero,
            num_sequences=none,
            sums=sums,
        )

    def train_step(
        self, model: CascadeModel, example: Example, n: jax.Array
    ) -> tuple[CascadeModel, jax.Array]:
        """Add a training sequence to the sums of its pass; the last one ends the pass."""
        del n  # the model counts its sequences
        sources = self._sources(model, example)
        outputs = logistic(sources @ model.output)
        weights = real_steps(example).astype(outputs.dtype)
        errors = (outputs - example.targets.astype(outputs.dtype)) * weights[:, None]
        zeros = jax.tree.map(jnp.zeros_like, model.sums)
        common = zeros._replace(steps=weights.sum(), squared_error=jnp.sum(errors * errors))

        def output_sums() -> PassSums:
            deltas = (logistic.derivative(outputs) + self.derivative_offset) * errors
            return common._replace(output_gradient=sources.T @ deltas)

        def candidate_sums() -> PassSums:
            values, derivatives = run_candidates(model.candidate, sources)
            return common._replace(
                error=errors.sum(0),
                value=weights @ values,
                value_error=values.T @ errors,
                derivative=jnp.einsum("t,tcm->cm", weights, derivatives),
                derivative_error=jnp.einsum("tk,tcm->cmk", errors, derivatives),
            )

        sums = jax.lax.cond(model.phase == OUTPUTS, output_sums, candidate_sums)
        sums = jax.tree.map(jnp.add, model.sums, sums)
        model = model._replace(sums=sums, num_sequences=model.num_sequences + 1)
        is_over = model.num_sequences == self.epoch
        return jax.lax.cond(is_over, self._end_pass, lambda model: model, model), outputs

    def outputs(self, model: CascadeModel, example: Example) -> jax.Array:
        """Return the outputs [T, K]."""
        return logistic(self._sources(model, example) @ model.output)

    def _draw(self, key: jax.Array, num_units: jax.Array, dtype: DTypeLike) -> jax.Array:
        """Draw the pool [C, M] of the unit that follows `num_units` others."""
        key = jax.random.fold_in(as_key(key), num_units + 1)
        shape = (self.num_candidates, self.num_sources + 1)
        return jax.random.uniform(key, shape, dtype, -self.init_range, self.init_range)

    def _sources(self, model: CascadeModel, example: Example) -> jax.Array:
        inputs = example.inputs
        if jnp.issubdtype(inputs.dtype, jnp.integer):
            inputs = jax.nn.one_hot(inputs, self.num_inputs)
        return run_units(model.hidden, model.num_units, inputs.astype(model.output.dtype))

    def _end_pass(self, model: CascadeModel) -> CascadeModel:
        branches = self._end_output_pass, self._end_candidate_pass
        model = jax.lax.cond(model.phase == OUTPUTS, *branches, model)
        zeros = jax.tree.map(jnp.zeros_like, (model.num_sequences, model.sums))
        return model._replace(num_sequences=zeros[0], sums=zeros[1])

    def _end_output_pass(self, model: CascadeModel) -> CascadeModel:
        """Update the output weights; at the end of the phase, draw a pool of candidates instead."""
        model, is_over = self._watch(model, model.sums.squared_error, self.output_change)
        is_over &= model.num_units < self.max_units
        gradient = model.sums.output_gradient / model.sums.steps
        steps, state = self._down.update(gradient, model.output_state, model.output)
        output = optax.apply_updates(model.output, steps)
        stepped = model._replace(output=output, output_state=state)
        candidate = self._draw(model.key, model.num_units, model.candidate.dtype)
        turned = self._turn(model, CANDIDATES)._replace(
            candidate=candidate, candidate_state=self._up.init(candidate)
        )
        return tree_where(is_over, turned, stepped)

    def _end_candidate_pass(self, model: CascadeModel) -> CascadeModel:
        """Update the candidates; at the end of the phase, let the best one join the net instead."""
        covariances, scores = covariance(model.sums)
        model, is_over = self._watch(model, scores.max(), self.candidate_change)
        gradient = -score_gradient(model.sums)
        steps, state = self._up.update(gradient, model.candidate_state, model.candidate)
        candidate = optax.apply_updates(model.candidate, steps)
        stepped = model._replace(candidate=candidate, candidate_state=state)
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
        zero = jnp.zeros_like(model.epochs)
        return model._replace(phase=jnp.full_like(model.phase, phase), epochs=zero, stale=zero)


def run_units(hidden: jax.Array, num_units: jax.Array, inputs: jax.Array) -> jax.Array:
    """Return the sources [T, S] of the output units: inputs [T, I], the bias 1 and hidden units."""
    max_units, num_given = hidden.shape[0], inputs.shape[1] + 1
    given = jnp.concatenate([inputs, jnp.ones_like(inputs[:, :1])], axis=1)
    net_given = given @ hidden[:, :num_given].T
    below, self_weights = hidden[:, num_given:-1], hidden[:, -1]
    has_joined = jnp.arange(max_units, dtype=jnp.int32) < num_units

    def step(v_tm1: jax.Array, net_t: jax.Array) -> tuple[jax.Array, jax.Array]:
        net_t = net_t + self_weights * v_tm1
        v_t = jnp.zeros_like(v_tm1)
        for i in range(max_units):  # each unit sees those before it, at the same step
            v_i = logistic(net_t[i] + jnp.sum(below[i, :i] * v_t[:i])) - 0.5
            v_t = v_t.at[i].set(jnp.where(has_joined[i], v_i, 0))
        return v_t, v_t

    _, values = jax.lax.scan(step, jnp.zeros_like(self_weights), net_given)
    return jnp.concatenate([given, values], axis=1)


def run_candidates(candidate: jax.Array, sources: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the values v [T, C] of candidates and their derivatives ∂v/∂w [T, C, M]."""
    net_given = sources @ candidate[:, :-1].T
    self_weights = candidate[:, -1]

    def step(carry: tuple, at: tuple) -> tuple[tuple, tuple]:
        v_tm1, derivative_tm1 = carry
        sources_t, net_t = at
        f_t = logistic(net_t + self_weights * v_tm1)
        given = jnp.broadcast_to(sources_t[None], (len(v_tm1), len(sources_t)))
        seen = jnp.concatenate([given, v_tm1[:, None]], axis=1)
        by_weights = seen + self_weights[:, None] * derivative_tm1
        derivative_t = logistic.derivative(f_t)[:, None] * by_weights
        return (f_t - 0.5, derivative_t), (f_t - 0.5, derivative_t)

    start = (jnp.zeros_like(self_weights), jnp.zeros_like(candidate))
    return jax.lax.scan(step, start, (sources, net_given))[1]


def covariance(sums: PassSums) -> tuple[jax.Array, jax.Array]:
    """Return the candidates' covariances with each output's error [C, K], and their scores [C].

    Quickprop may let a candidate's weights overflow. Its score is then 0, so that it does not join.
    """
    mean_error = sums.error / sums.steps
    covariances = sums.value_error - sums.value[:, None] * mean_error[None]
    scores = jnp.abs(covariances).sum(1) / total_error(sums)
    return covariances, jnp.where(jnp.isfinite(scores), scores, 0)


def score_gradient(sums: PassSums) -> jax.Array:
    """Return the derivative of every candidate's score by each of its weights, [C, M]."""
    covariances, _ = covariance(sums)
    mean_error = sums.error / sums.steps
    by_output = sums.derivative_error - sums.derivative[..., None] * mean_error[None, None]
    return jnp.einsum("ck,cmk->cm", jnp.sign(covariances), by_output) / total_error(sums)


def total_error(sums: PassSums) -> jax.Array:
    """Return Σ e², but at least the smallest normal number, as outputs may saturate."""
    return jnp.maximum(sums.squared_error, jnp.finfo(sums.squared_error.dtype).tiny)
