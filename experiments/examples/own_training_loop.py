"""Training on sequences of different lengths with optax.

    python -m experiments.examples.own_training_loop

The target at the end of a sequence of 5 to 20 numbers is the first of them. Each batch is padded
to one length; the padding affects neither outputs nor gradients.
"""

import jax
import numpy as np
import optax

import lstm_jax as lstm

NET = lstm.Architecture(2, blocks=(2, 2), num_outputs=1, cell_output="identity", output="identity")
OPTIMISER = optax.adam(0.02)


def draw_batch(rng: np.random.Generator, size: int = 32) -> tuple[np.ndarray, ...]:
    """Draw sequences [B, T, 2] of numbers in [-1, 1] and marks, their lengths, targets [B, 1]."""
    sequences = [rng.uniform(-1, 1, (rng.integers(5, 21), 2)) for _ in range(size)]
    for sequence in sequences:
        sequence[:, 1] = np.arange(len(sequence)) == 0
    inputs, lengths = lstm.pad_sequences(sequences, steps=20)
    return inputs, lengths, inputs[:, 0, :1]


def loss(parameters, inputs, lengths, targets):
    """Return the mean loss of a batch."""

    def loss_of_one(inputs, length, target):
        output, _ = lstm.apply(NET, parameters, inputs, steps=lstm.Steps(length=length), at="end")
        return lstm.half_squared_error(output, target)

    return jax.vmap(loss_of_one)(inputs, lengths, targets).mean()


@jax.jit
def update(parameters, state, *batch):
    """Make one step of the optimiser, and return the loss before it."""
    before, gradient = jax.value_and_grad(loss)(parameters, *batch)
    updates, state = OPTIMISER.update(gradient, state, parameters)
    return optax.apply_updates(parameters, updates), state, before


def main() -> list[float]:
    """Return the losses of 600 batches."""
    rng, losses = np.random.default_rng(0), []
    parameters = lstm.initialise(jax.random.key(0), NET, input_gate_bias=(-1.0, -2.0))
    state = OPTIMISER.init(parameters)
    for _ in range(600):
        parameters, state, before = update(parameters, state, *draw_batch(rng))
        losses.append(float(before))
    print(f"loss of the first batch {losses[0]:.4f}, of the last {losses[-1]:.4f}")
    return losses


if __name__ == "__main__":
    main()
