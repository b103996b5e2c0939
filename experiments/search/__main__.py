"""A search for the learning rate, initial range, gate biases and memory blocks of a row.

    python -m experiments.search --task=6a --out=DIR
    python -m experiments.search --task=4-100 --recipe=linear --blocks=2x2,4x1 --out=DIR
    python -m experiments.search --task=6a --configurations=200 --resume --out=DIR
    python -m experiments.search --task=6a --sampler=random --trials=10000 --out=DIR

--sampler=tpe tries one configuration after the other, as Optuna's TPE proposes them; it needs the
extra `search`. A configuration is run on several trials side by side, and pruned if its training
error is above the median of those before it. Its cost is the number of unsolved trials plus, for
the solved ones, the mean fraction of --max_sequences until success. Writes search.TASK.json after
each configuration, for --resume, and a picture, and prints the command that runs the best
configuration again.

--sampler=random draws a configuration for each trial. All trials of one shape of blocks run in one
compiled program, shared among all devices. Writes search.TASK.SHAPE.json and a picture per shape,
and prints the best trials.
"""

from __future__ import annotations

from experiments.cli.command import Command, FlagSet, FlagValues
from experiments.rows import run
from experiments.search import random_sampler, tpe_sampler
from experiments.search.plan import make_plan
from lstm_jax import row_names

# The flags of rows whose defaults depend on the sampler.
SHARED = {
    "trials": "Trials of a configuration (tpe, default: 8) or of a search (random: the paper's).",
    "max_sequences": "Maximum training sequences per trial (default: for tpe the paper's mean, "
    "for random 5,000).",
    "batch_size": "Trials side by side on a device; for tpe 4 unless given.",
}


def define(flags: FlagSet) -> None:
    """Define the flags."""
    flags.choice("sampler", "tpe", ("tpe", "random"), "How configurations are drawn.")
    flags.choice("task", "6a", row_names(), "The row whose hyperparameters are searched.")
    flags.items(
        "blocks", ["own"], "Numbers and sizes of blocks, such as 2x2,1x4, or 'own' for the task's."
    )
    help = "LOWEST,HIGHEST to search, or 'own' for the task's value"
    flags.items("learning_rate", ["0.1", "10"], f"{help}; log-uniform.")
    flags.items("init_range", ["0.05", "2"], f"{help}; log-uniform.")
    flags.items("input_gate_bias", ["-6", "2"], f"{help}; uniform, for each block.")
    flags.items("output_gate_bias", ["own"], f"{help}; uniform, for each block.")
    help = "Configurations to try with --sampler=tpe, including those of an interrupted search."
    flags.integer("configurations", 50, help)
    run.define_flags(flags)
    for name, help in SHARED.items():
        flags.values[name].help = help


def main(values: FlagValues) -> None:
    """Search, and print the best."""
    for flag in ("logdir", "coordinator", "num_processes", "process_id"):
        if values.sampler == "tpe" and getattr(values, flag) is not None:
            raise ValueError(f"--{flag} needs --sampler=random")
    options = run.start(values)  # before anything is computed
    plan = make_plan(values)
    for shape in plan.shapes:  # raise ValueError if the recipe does not allow it
        lowest = {name: bounds[0] for name, bounds in plan.bounds(shape).items()}
        plan.loop({"blocks": shape} | lowest)
    if values.sampler == "tpe":
        tpe_sampler.search(plan, options, values.configurations)
    else:
        random_sampler.search(plan, options)


COMMAND = Command("search", __doc__, define, main)

if __name__ == "__main__":
    COMMAND.run()
