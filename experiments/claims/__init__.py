"""Claims of the paper outside its tables; run by `python -m experiments.claims`."""

from experiments.claims import (
    comparisons,
    composed,
    continual,
    counting,
    drift,
    exactness,
    gate_roles,
    generalisation,
    lags,
    memory_length,
    persistence,
    stopping,
    t_maze,
    timing,
    trace_patterning,
)
from experiments.claims.base import Claim, compare
from experiments.claims.comparisons import compare_trials

CLAIMS = {
    "generalisation": compare(generalisation.variants, generalisation.measure, generalisation.draw),
    "gates": compare_trials(comparisons.gates),
    "gate-roles": compare(gate_roles.variants, gate_roles.measure, gate_roles.draw),
    "drift": compare(drift.variants, drift.measure, drift.draw),
    "gradient": compare_trials(comparisons.gradient),
    "blocks": compare_trials(comparisons.blocks),
    "lags": Claim(lags.run_very_long, lags.draw_very_long),
    "xor": compare_trials(comparisons.xor),
    "noise": compare_trials(comparisons.noise),
    "time-constants": compare_trials(comparisons.time_constants),
    "other-lags": compare(
        lags.other_lags,
        lags.measure_at_lags,
        lags.draw_other_lags,
        trained_lag=lags.TRAINED_LAG,
        tested_lags=lags.TESTED_LAGS,
    ),
    "adam": compare_trials(comparisons.adam),
    "tolerance": compare_trials(comparisons.tolerance),
    "reach": compare(lags.reach_variants, lags.measure_reach, lags.draw_reach),
    "continual": compare(
        continual.variants, continual.train, continual.draw, limits=continual.LIMITS
    ),
    "counting": compare(counting.languages, counting.count, counting.draw, most=counting.MOST),
    "timing": compare(timing.timings, timing.measure, timing.draw, tested=timing.TESTED),
    "persistence": compare(
        persistence.variants, persistence.measure, persistence.draw, later=persistence.LATER
    ),
    "stopping": compare(stopping.variants, stopping.look, stopping.draw),
    "exactness": compare(
        exactness.networks,
        exactness.measure,
        exactness.draw,
        ranges=exactness.RANGES,
        cells=exactness.COST_CELLS,
    ),
    "memory-length": compare(
        memory_length.lengths,
        memory_length.measure,
        memory_length.draw,
        hyperparameters=memory_length.HYPERPARAMETERS,
    ),
    "t-maze": compare(
        t_maze.mazes, t_maze.measure, t_maze.draw, hyperparameters=t_maze.HYPERPARAMETERS
    ),
    "trace-patterning": compare(
        trace_patterning.networks,
        trace_patterning.measure,
        trace_patterning.draw,
        chunk=trace_patterning.CHUNK,
        floors=trace_patterning.floors(),
        hyperparameters=trace_patterning.HYPERPARAMETERS,
    ),
    "composed": compare(composed.models, composed.train, composed.draw, batch=composed.BATCH),
}
