"""How do I use the layer as a module of flax.nnx?

    python -m experiments.examples.in_flax

Every weight array becomes an `nnx.Param` in its place, which Flax's optimisers and filters see.
Needs the extra `interop`.
"""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import lstm_jax as lstm


class LSTM(nnx.Module):
    """A network as a module: sequences [T, I] to outputs [T, K]."""

    def __init__(self, architecture, *, rngs: nnx.Rngs):
        self.architecture = architecture
        parameters = lstm.initialise(rngs.params(), architecture)
        self.parameters = nnx.data(jax.tree.map(nnx.Param, parameters))

    def __call__(self, inputs):
        """The outputs at every step."""
        is_param = lambda node: isinstance(node, nnx.Param)
        parameters = jax.tree.map(lambda w: w[...], self.parameters, is_leaf=is_param)
        return lstm.apply(self.architecture, parameters, inputs)[0]


NET = lstm.Architecture(num_inputs=3, blocks=(2, 2), num_outputs=1)


@nnx.jit
@nnx.value_and_grad
def error(model, inputs, targets):
    """Of one sequence, and its gradient."""
    return lstm.half_squared_error(model(inputs), targets)


def main() -> list[float]:
    """The errors of ten steps of gradient descent."""
    model, errors = LSTM(NET, rngs=nnx.Rngs(0)), []
    optimiser = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    for _ in range(10):
        value, gradient = error(model, jnp.ones((5, 3)), jnp.full((5, 1), 0.9))
        optimiser.update(model, gradient)
        errors.append(float(value))
    print(f"error {errors[0]:.4f} at first, {errors[-1]:.4f} at last")
    return errors


if __name__ == "__main__":
    main()
