"""The paper's gradient, with an update after every step that has an error instead of a sequence."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import optax

from lstm_jax.network import online
from lstm_jax.cell.architecture import Architecture
from lstm_jax.network.losses import HALF_SQUARED, Error
from lstm_jax.cell.parameters import Parameters
from lstm_jax.tasks.task import Example, Task, real_steps
from lstm_jax.training.update_rules.construction import grown, joined
from lstm_jax.training.update_rules.per_sequence import GradientLearning, Model, blocks_at_first
from lstm_jax.training.update_rules.base import Report, TrialMethod


@dataclasses.dataclass(frozen=True)
class StepLearning(TrialMethod[Model]):
    """How one trial learns step by step by `lstm_jax.network.online`.

    The traces of eqs. 25 and 27 stay as they are when the weights change under them, as in all
    real-time learning (Williams & Zipser 1989): at small rates it makes no difference.
    """

    task: Task[Architecture]
    """As in `GradientLearning`."""
    optimiser: optax.GradientTransformation
    """As in `GradientLearning`; an update a step."""
    error: Error = HALF_SQUARED
    """As in `GradientLearning`."""

    def __post_init__(self) -> None:
        self.error.check(self.task.architecture.output)

    def init(self, key: jax.Array) -> Model:
        """Random weights by the task's conditions."""
        parameters, optimiser_state = self._by_sequence.init_trial(key)
        constructed = jnp.int32(blocks_at_first(self.task))
        return Model(parameters, optimiser_state, constructed, jnp.float32(jnp.inf))

    def present(self, model: Model, example: Example, n: jax.Array) -> tuple[Model, jax.Array]:
        """As many updates as the sequence has errors."""
        del n
        learner = online.init_learner(self.task.architecture, model.parameters, self.optimiser)
        learner = learner._replace(optimiser_state=model.optimiser_state)

        def body(learner: online.Learner, at: tuple) -> tuple[online.Learner, jax.Array]:
            return self._step(learner, model.constructed, *at)

        counts, targets = self._lesson(example)
        learner, outputs = jax.lax.scan(body, learner, (example.inputs, targets, counts))
        model = model._replace(
            parameters=learner.parameters, optimiser_state=learner.optimiser_state
        )
        if self.task.error_at == "end":
            return model, outputs[example.length - 1]
        return model, jnp.where(real_steps(example)[:, None], outputs, 0)

    def outputs(self, model: Model, example: Example) -> jax.Array:
        """[K], or [T, K] with the error at every step."""
        return self._by_sequence.outputs(model, example)

    def end_chunk(self, model: Model, report: Report) -> Model:
        """As `GradientLearning`."""
        if not self.task.sequential_construction:
            return model
        error = report.mean_error()
        number = grown(self.task.architecture, model.constructed, error, model.last_error)
        return model._replace(constructed=number, last_error=error)

    @property
    def _by_sequence(self) -> GradientLearning:
        return GradientLearning(self.task, self.optimiser)

    def _lesson(self, example: Example) -> tuple[jax.Array, jax.Array]:
        """Which steps have an error, [T] bool, and the targets of all steps, [T, K]."""
        counts, targets = real_steps(example), example.targets
        if self.task.error_at == "end":
            counts = counts & ~jnp.append(counts[1:], False)
            targets = jnp.broadcast_to(targets[None], (len(counts), len(targets)))
        return counts, targets

    def _step(
        self,
        learner: online.Learner,
        constructed: jax.Array,
        x_t: jax.Array,
        target: jax.Array,
        counts: jax.Array,
    ) -> tuple[online.Learner, jax.Array]:
        """Learns from one step, where it counts."""

        def those_joined(parameters: Parameters) -> Parameters:
            if not self.task.sequential_construction:
                return parameters
            return joined(self.task.architecture, parameters, constructed)

        seen = learner._replace(parameters=those_joined(learner.parameters))
        weight = counts.astype(jnp.float32)
        outputs, seen = online.learn(
            self.task.architecture, seen, x_t, target, weight=weight, error=self.error
        )
        seen = seen._replace(parameters=learner.parameters, gradient=those_joined(seen.gradient))
        updated = online.update(self.optimiser, seen)
        return jax.tree.map(lambda a, b: jnp.where(counts, a, b), updated, seen), outputs
