"""What the paper claims beyond its tables, a module each, shown by `python -m experiments.claims`.

A module is a `base.Claim`: `run` makes the document of its JSON file, `draw` its picture from that.
"""

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
