"""Networks on sequences: outputs, losses and gradients.

`layer` runs a network, and `losses` defines the losses of its outputs; `jax.grad` then
gives the gradient in reverse mode. `online` gives it in forward mode, for streams. `attention` is
another readout of a layer, `padding` makes batches, `files` and `interop` exchange networks.
"""
