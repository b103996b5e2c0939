"""The compiled programs of runners, which runners of equal training loops share."""

from __future__ import annotations

import functools

import jax

from lstm_jax.tasks.checks import check_functions, check_values
from lstm_jax.training.host.devices import Program
from lstm_jax.training.trials import records
from lstm_jax.training.trials.training_loop import TrainingLoop

# The loops whose programs stay in memory, those used last.
MAX_LOOPS = 16


class Programs:
    """The compiled programs of a training loop, for batches of one size."""

    def __init__(self, loop: TrainingLoop) -> None:
        check_functions(loop.task)
        check_values(loop.task)
        loop.check_update_rule()
        self.init = Program(
            lambda keys, data: records.init_train_state(loop.init_trials(keys, data))
        )
        self.run_chunk = Program(loop.run_chunk)
        # Separate, so that it cannot change how the chunk is compiled.
        self.update_best = Program(records.update_best)
        self.final_test = Program(loop.final_test)


def programs_of(loop: TrainingLoop, batch_size: int) -> Programs:
    """Return the programs of a loop; equal loops share them under equal settings of JAX."""
    try:
        hash(loop)
    except TypeError:  # a user's function or update rule that is not hashable
        return Programs(loop)
    return _shared_programs(loop, batch_size, _settings())


@functools.lru_cache(maxsize=MAX_LOOPS)
def _shared_programs(loop: TrainingLoop, batch_size: int, settings: tuple) -> Programs:
    del batch_size, settings
    return Programs(loop)


forget_programs = _shared_programs.cache_clear


def _settings() -> tuple:
    """Return all settings of JAX, some of which change how a function is traced or compiled."""
    return tuple(getattr(jax.config, name, None) for name in jax.config.values)
