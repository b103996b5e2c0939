"""The layer as a module of flax.nnx.

    python -m experiments.examples.in_flax

Every weight array is an `nnx.Param`, for Flax's optimisers and filters. Needs the extra `interop`.
"""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import lstm_jax as lstm


class LSTM(nnx.Module):
    """A network as a module, from sequences [T, I] to outputs [T, K]."""

    def __init__(self, architecture, *, rngs: nnx.Rngs):
        self.architecture = architecture
        parameters = lstm.initialise(rngs.params(), architecture)
        self.parameters = nnx.data(jax.tree.map(nnx.Param, parameters))

    def __call__(self, inputs):
        is_param = lambda node: isinstance(node, nnx.Param)
        parameters = jax.tree.map(lambda w: w[...], self.parameters, is_leaf=is_param)
        return lstm.apply(self.architecture, parameters, inputs)[0]


NET = lstm.Architecture(num_inputs=3, blocks=(2, 2), num_outputs=1)


@nnx.jit
@nnx.value_and_grad
def loss(model, inputs, targets):
    """Return the loss of one sequence, and its gradient."""
    return lstm.half_squared_error(model(inputs), targets)


def main() -> list[float]:
    """Return the losses of ten steps of gradient descent."""
    model, losses = LSTM(NET, rngs=nnx.Rngs(0)), []
    optimiser = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    for _ in range(10):
        value, gradient = loss(model, jnp.ones((5, 3)), jnp.full((5, 1), 0.9))
        optimiser.update(model, gradient)
        losses.append(float(value))
    print(f"loss {losses[0]:.4f} at first, {losses[-1]:.4f} at the end")
    return losses


if __name__ == "__main__":
    main()
