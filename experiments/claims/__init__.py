"""Claims of the paper beyond its tables, one module each; run by `python -m experiments.claims`."""

from experiments.claims import (
    adam,
    blocks,
    composed,
    continual,
    counting,
    gates,
    gradient,
    lags,
    length,
    noise,
    other_lags,
    reach,
    time_constants,
    timing,
    tolerance,
    xor,
)
from experiments.claims.base import Claim

CLAIMS: dict[str, Claim] = {
    "length": length,
    "gates": gates,
    "gradient": gradient,
    "blocks": blocks,
    "lags": lags,
    "xor": xor,
    "noise": noise,
    "time-constants": time_constants,
    "other-lags": other_lags,
    "adam": adam,
    "tolerance": tolerance,
    "reach": reach,
    "continual": continual,
    "counting": counting,
    "timing": timing,
    "composed": composed,
}
