"""Parts of streaming reinforcement learning: eligibility traces, step sizes, normalisation.

    step -> act -> learn(signal=...) -> td_error -> update(optimiser, learner, td_error=...)

`learn` puts the derivative of a prediction, such as a value or log π(a), into the learner's
gradient. The optimisers here keep its eligibility traces and turn a TD error into a step;
`normalise` and `scale_reward` keep running moments of what comes in. All states are pytrees of
constant size.
"""

from lstm_jax.network.streaming.normalisation import (
    Moments,
    RewardScale,
    init_moments,
    init_reward_scale,
    normalise,
    scale_reward,
)
from lstm_jax.network.streaming.optimisers import (
    EligibilityState,
    StepSizeState,
    eligibility_traces,
    idbd,
    obgd,
)
from lstm_jax.network.streaming.sparsity import sparsify

__all__ = (
    "EligibilityState",
    "Moments",
    "RewardScale",
    "StepSizeState",
    "eligibility_traces",
    "idbd",
    "init_moments",
    "init_reward_scale",
    "normalise",
    "obgd",
    "scale_reward",
    "sparsify",
)
