"""Random search: the paper's way to learn, where every trial has settings of its own.

They are drawn from the trial's key, so that a trial's numbers depend on the seed and its index
alone, and all trials are one compiled program. What changes the shape of the weights, such as the
size of the blocks, is another program.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cell.parameters import Parameters
from lstm_jax.cell.validation import as_number, shown
from lstm_jax.tasks.task import Conditions
from lstm_jax.training.recipes.settings import OwnRate, Settings, SettingsLearning

Bounds = tuple[float, float]  # lowest and highest

# What a trial's key for its initial weights is folded with: far from the numbers of the arrays.
SETTINGS = 2**32 - 1


@dataclasses.dataclass(frozen=True)
class Space:
    """Where settings are drawn from, each by itself; None: the task's own.

    Attributes:
      learning_rate: log-uniform between these bounds.
      init_range: log-uniform.
      input_gate_bias: uniform, for each block by itself.
      output_gate_bias: uniform, for each block by itself.

    Raises:
      ValueError: if bounds are not finite and in order, or not positive where they must be.
    """

    learning_rate: Bounds | None = None
    init_range: Bounds | None = None
    input_gate_bias: Bounds | None = None
    output_gate_bias: Bounds | None = None

    def __post_init__(self) -> None:
        for name, bounds in vars(self).items():
            if bounds is None:
                continue
            most = float(np.finfo(np.float32).max)
            least = -most if name.endswith("bias") else float(np.finfo(np.float32).tiny)
            found = [*map(as_number, bounds)] if isinstance(bounds, (tuple, list)) else []
            if len(found) != 2 or not least <= found[0] <= found[1] <= most:
                kind = "finite" if name.endswith("bias") else "positive and finite"
                raise ValueError(
                    f"{name} must be two {kind} numbers, the lower first, got {shown(bounds)}"
                )

    def draw(self, key: jax.Array, own: Conditions, num_blocks: int) -> Settings:
        """Draws one trial's settings."""
        keys = jax.random.split(key, len(Settings._fields))
        uniform = lambda i, shape: jax.random.uniform(keys[i], shape, jnp.float32)

        def rate(i: int, bounds: Bounds | None, value: float) -> jax.Array:
            low, high = bounds or (value, value)
            if high / low > np.finfo(np.float32).max:  # the ratio is no float32
                return jnp.exp(math.log(low) + math.log(high / low) * uniform(i, ()))
            return low * jnp.float32(high / low) ** uniform(i, ())

        def bias(i: int, bounds: Bounds | None, values: tuple | None) -> jax.Array | None:
            if bounds is None:
                return None if values is None else jnp.asarray(values, jnp.float32)
            low, high = bounds
            return low + (high - low) * uniform(i, (num_blocks,))

        return Settings(
            rate(0, self.learning_rate, own.learning_rate),
            rate(1, self.init_range, own.init_range),
            bias(2, self.input_gate_bias, own.input_gate_bias),
            bias(3, self.output_gate_bias, own.output_gate_bias),
        )


@dataclasses.dataclass(frozen=True)
class RandomSearch(SettingsLearning):
    """The paper's method, by settings drawn for each trial; they stay in `optimiser_state`.

    Attributes:
      space: where they are drawn from.
    """

    space: Space = dataclasses.field(default_factory=Space)

    def init_trial(self, key: jax.Array) -> tuple[Parameters, OwnRate]:
        """As `GradientLearning`, by the trial's own settings."""
        task = self.task
        settings_key = jax.random.fold_in(key, SETTINGS)
        settings = self.space.draw(settings_key, task.conditions, task.architecture.num_blocks)
        return self.start(key, settings)
