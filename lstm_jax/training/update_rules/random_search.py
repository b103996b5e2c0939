"""Random search: each trial is trained with hyperparameters that are drawn from its key.

All trials share one compiled program, and a trial's numbers depend on the seed and its index alone.
Hyperparameters that change the shape of the weights, such as the blocks, need another program.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike

from lstm_jax.cell.records import Parameters
from lstm_jax.cell.validation import as_number, displayed
from lstm_jax.tasks.hyperparameters import TrialHyperparameters
from lstm_jax.training.update_rules.per_sequence import PerSequenceUpdate

Bounds = tuple[float, float]  # lowest and highest

# Folded into the key of the initial weights, from which the weights use only small numbers.
HYPERPARAMETERS = 2**32 - 1


@dataclasses.dataclass(frozen=True)
class SearchSpace:
    """The distribution of each hyperparameter in a random search; None: the task's value.

    Attributes:
      learning_rate: log-uniform between these bounds, which are positive.
      init_range: log-uniform between these bounds, which are positive.
      input_gate_bias: uniform between these bounds, independently for each block.
      output_gate_bias: uniform between these bounds, independently for each block.
    """

    learning_rate: Bounds | None = None
    init_range: Bounds | None = None
    input_gate_bias: Bounds | None = None
    output_gate_bias: Bounds | None = None

    def __post_init__(self) -> None:
        largest, smallest = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
        for name, bounds in vars(self).items():
            if bounds is None:
                continue
            is_bias = name.endswith("bias")
            found = [*map(as_number, bounds)] if isinstance(bounds, (tuple, list)) else []
            limit = -largest if is_bias else smallest
            if len(found) != 2 or not limit <= found[0] <= found[1] <= largest:
                allowed = "finite numbers" if is_bias else "positive and finite numbers"
                got = f"the lower first, got {displayed(bounds)}"
                raise ValueError(f"{name} must be two {allowed}, {got}")
            object.__setattr__(self, name, (found[0], found[1]))

    def sample(
        self, key: jax.Array, default: TrialHyperparameters, num_blocks: int
    ) -> TrialHyperparameters:
        """Draw one trial's hyperparameters, from a PRNG key."""
        keys = jax.random.split(key, len(dataclasses.fields(self)))
        uniform = lambda i, shape: jax.random.uniform(keys[i], shape, jnp.float32)

        def log_uniform(i: int, bounds: Bounds | None, value: ArrayLike) -> ArrayLike:
            if bounds is None:
                return value
            low, high = bounds
            if high / low > np.finfo(np.float32).max:  # the ratio is not a float32
                return jnp.exp(math.log(low) + math.log(high / low) * uniform(i, ()))
            return low * jnp.float32(high / low) ** uniform(i, ())

        def bias(i: int, bounds: Bounds | None, values: ArrayLike | None) -> ArrayLike | None:
            if bounds is None:
                return values
            low, high = bounds
            return low + (high - low) * uniform(i, (num_blocks,))

        return TrialHyperparameters(
            log_uniform(0, self.learning_rate, default.learning_rate),
            log_uniform(1, self.init_range, default.init_range),
            bias(2, self.input_gate_bias, default.input_gate_bias),
            bias(3, self.output_gate_bias, default.output_gate_bias),
            default.forget_gate_bias,
        )


@dataclasses.dataclass(frozen=True)
class RandomSearchUpdate(PerSequenceUpdate):
    """`PerSequenceUpdate` with hyperparameters that are drawn for each trial.

    Attributes:
      space: the space that they are drawn from (default: the task's hyperparameters for all
        trials).
    """

    space: SearchSpace = dataclasses.field(default_factory=SearchSpace)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task.hyperparameters.add_gate_bias:
            raise ValueError("add_gate_bias must be False in a search, which sets the biases")

    def init_trial(
        self, key: jax.Array, values: TrialHyperparameters
    ) -> tuple[Parameters, optax.OptState]:
        """Return one trial's initial weights and optimiser state, by its hyperparameters."""
        return super().init_trial(key, self.sample(key, values))

    def sample(
        self, key: jax.Array, values: TrialHyperparameters | None = None
    ) -> TrialHyperparameters:
        """Return the hyperparameters of the trial whose initial weights have this PRNG key."""
        task = self.task
        values = task.hyperparameters.of_trial() if values is None else values
        sample_key = jax.random.fold_in(key, HYPERPARAMETERS)
        return self.space.sample(sample_key, values, task.architecture.num_blocks)
