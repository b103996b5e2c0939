"""An optimiser that needs more than a gradient is refused, by its name, in time."""

from __future__ import annotations

import optax
import pytest
from small_tasks import LATCH, make_loop

from lstm_jax.baselines.fully_recurrent import bptt_gradient
from lstm_jax.baselines.update_rules import RecurrentPerSequence
from lstm_jax.network.optimisers import check_optimiser

NEED_MORE = {
    "reduce_on_plateau needs 'value' as well": optax.contrib.reduce_on_plateau(),
    "scale_by_zoom_linesearch needs 'value', 'grad', and 'value_fn' as well": optax.lbfgs(),
    "scale_by_polyak needs 'value' as well": optax.polyak_sgd(),
}


@pytest.mark.parametrize("message", NEED_MORE)
def test_one_that_needs_the_error_is_refused(message: str):
    """...in a chain as well, by the LSTM's learning and by a rival's."""
    chain = optax.chain(optax.clip_by_global_norm(1.0), NEED_MORE[message])
    with pytest.raises(ValueError, match=message):
        make_loop(chain, LATCH)
    with pytest.raises(ValueError, match=message):
        RecurrentPerSequence(LATCH, chain, bptt_gradient)


@pytest.mark.parametrize("name", ["adam", "adamw", "lamb", "lion", "noisy_sgd", "rmsprop", "sgd"])
def test_others_will_do(name: str):
    check_optimiser(getattr(optax, name)(0.1))
