"""The layer as an Equinox module.

    python -m experiments.examples.in_equinox

The architecture is static, the parameters are a pytree. Needs the extra `interop`.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

import lstm_jax as lstm


class LSTM(eqx.Module):
    """A network as a module, from sequences [T, I] to outputs [T, K]."""

    parameters: lstm.Parameters
    architecture: lstm.Architecture = eqx.field(static=True)

    def __init__(self, architecture, *, key):
        self.architecture = architecture
        self.parameters = lstm.initialise(key, architecture)

    def __call__(self, inputs):
        return lstm.apply(self.architecture, self.parameters, inputs)[0]


NET = lstm.Architecture(num_inputs=3, blocks=(2, 2), num_outputs=1)


@eqx.filter_jit
@eqx.filter_value_and_grad
def loss(model, inputs, targets):
    """Return the loss of one sequence, and its gradient, shaped as the model."""
    return lstm.half_squared_error(model(inputs), targets)


def main() -> list[float]:
    """Return the losses of ten steps of gradient descent."""
    model, losses = LSTM(NET, key=jax.random.key(0)), []
    for _ in range(10):
        value, gradient = loss(model, jnp.ones((5, 3)), jnp.full((5, 1), 0.9))
        model = eqx.apply_updates(model, jax.tree.map(lambda g: -0.1 * g, gradient))
        losses.append(float(value))
    print(f"loss {losses[0]:.4f} at first, {losses[-1]:.4f} at the end")
    return losses


if __name__ == "__main__":
    main()
