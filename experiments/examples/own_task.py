"""Trials of a new task, and of a baseline.

    python -m experiments.examples.own_task

The target at the end of eight symbols is the first of them, 0 or 1. A task has a network, a
generator and a criterion. The training loop, the stopping rule and the final test are those of the
paper's tasks.
"""

import jax
import jax.numpy as jnp

import lstm_jax as lstm
from lstm_jax.tasks import Hyperparameters, within


def sample(key, data):
    """Draw the first symbol, then noise of the symbols 2 and 3."""
    del data  # for tasks whose sequences share data
    first, noise = jax.random.split(key)
    bit = jax.random.bernoulli(first).astype(jnp.int32)
    symbols = jax.random.randint(noise, (8,), 2, 4).at[0].set(bit)
    target = bit[None].astype(jnp.float32)
    return lstm.Example(symbols, target, target, jnp.int32(8))


TASK = lstm.Task(
    architecture=lstm.Architecture(num_inputs=4, blocks=(1,), num_outputs=1),
    sample=sample,
    is_correct=within(0.3),
    hyperparameters=Hyperparameters(learning_rate=1.0, init_range=0.2, input_gate_bias=(-1.0,)),
    max_sequences=6000,
)


def main() -> dict[str, list[lstm.TrialResult]]:
    """Run five trials of the LSTM and of Elman's procedure, which looks back one step."""
    loops = {
        "LSTM": lstm.TrainingLoop(TASK),
        "Elman's procedure": lstm.baselines.training_loop(TASK, "Elman's procedure", num_hidden=4),
    }
    results = {name: lstm.TrialRunner(loop, range(5)).run() for name, loop in loops.items()}
    for name, trials in results.items():
        solved = [trial.sequences for trial in trials if trial.solved]
        print(f"{name}: {len(solved)} of 5 trials solved, after {solved} sequences")
    return results


if __name__ == "__main__":
    lstm.configure_cpu()
    main()
