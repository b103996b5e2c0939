"""Claims of the paper outside its tables; run by `python -m experiments.claims`."""

from experiments.claims import comparisons, composed, continual, how_far, lags
from experiments.claims.base import Claim
from experiments.claims.comparisons import comparison

CLAIMS = {
    "length": Claim(lags.run_lengths, lags.draw_lengths),
    "gates": comparison(comparisons.gates),
    "gradient": comparison(comparisons.gradient),
    "blocks": comparison(comparisons.blocks),
    "lags": Claim(lags.run_very_long, lags.draw_very_long),
    "xor": comparison(comparisons.xor),
    "noise": comparison(comparisons.noise),
    "time-constants": comparison(comparisons.time_constants),
    "other-lags": Claim(lags.run_other_lags, lags.draw_other_lags),
    "adam": comparison(comparisons.adam),
    "tolerance": comparison(comparisons.tolerance),
    "reach": Claim(lags.run_reach, lags.draw_reach),
    "continual": Claim(continual.run, continual.draw),
    "counting": Claim(how_far.run_counting, how_far.draw_counting),
    "timing": Claim(how_far.run_timing, how_far.draw_timing),
    "composed": Claim(composed.run, composed.draw),
}
