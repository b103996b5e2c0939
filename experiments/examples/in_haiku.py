"""The layer in a Haiku transform.

    python -m experiments.examples.in_haiku

Every weight array is a named parameter of the module. Needs the extra `interop`.
"""

import functools

import haiku as hk
import jax
import jax.numpy as jnp

import lstm_jax as lstm


class LSTM(hk.Module):
    """A network as a module, from sequences [T, I] to outputs [T, K]."""

    def __init__(self, architecture, init_range=0.1):
        super().__init__()
        self.architecture = architecture
        self.init = hk.initializers.RandomUniform(-init_range, init_range)

    def __call__(self, inputs):
        make = functools.partial(lstm.initialise, architecture=self.architecture)
        shapes = jax.eval_shape(make, jax.random.key(0))
        name = functools.partial(jax.tree_util.keystr, simple=True, separator="_")
        parameters = jax.tree_util.tree_map_with_path(
            lambda path, w: hk.get_parameter(name(path), w.shape, init=self.init), shapes
        )
        return lstm.apply(self.architecture, parameters, inputs)[0]


NET = lstm.Architecture(num_inputs=3, blocks=(2, 2), num_outputs=1)
MODEL = hk.without_apply_rng(hk.transform(lambda inputs: LSTM(NET)(inputs)))


@jax.jit
@jax.value_and_grad
def loss(parameters, inputs, targets):
    """Return the loss of one sequence, and its gradient."""
    return lstm.half_squared_error(MODEL.apply(parameters, inputs), targets)


def main() -> list[float]:
    """Return the losses of ten steps of gradient descent."""
    inputs, targets, losses = jnp.ones((5, 3)), jnp.full((5, 1), 0.9), []
    parameters = MODEL.init(jax.random.key(0), inputs)
    for _ in range(10):
        value, gradient = loss(parameters, inputs, targets)
        parameters = jax.tree.map(lambda w, g: w - 0.1 * g, parameters, gradient)
        losses.append(float(value))
    print(f"loss {losses[0]:.4f} at first, {losses[-1]:.4f} at the end")
    return losses


if __name__ == "__main__":
    main()
