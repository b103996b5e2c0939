"""Searches learning rate, initial range, gate biases and memory blocks of a row.

    python -m experiments.search --task=6a --out=DIR
    python -m experiments.search --task=4-100 --recipe=linear --blocks=2x2,4x1 --out=DIR
    python -m experiments.search --task=6a --configurations=200 --resume --out=DIR
    python -m experiments.search --task=6a --sampler=random --trials=10000 --out=DIR

--sampler=tpe tries one configuration after the other, as Optuna's TPE proposes them; it needs the
extra `search`. A configuration is run on 8 trials side by side, unless --trials says otherwise, and
pruned where half of those before it had a smaller training error. Its cost is the number of trials
that are not solved, plus the mean share of the budget that the others take. The budget is the
paper's mean number of sequences, unless --max_sequences says otherwise. Writes search.TASK.json
after each configuration, for --resume, and a picture, and prints the command that runs the best
configuration again.

--sampler=random draws a configuration for each trial, of 5,000 sequences unless --max_sequences
says otherwise. All trials of one shape of blocks are one compiled program, shared among all
devices. Writes search.TASK.SHAPE.json and a picture per shape, and prints the best trials.
"""

from __future__ import annotations

from experiments.cli.command import Command, FlagSet, FlagValues
from experiments.rows import run
from experiments.search import plan, random_search, tpe


def define(flags: FlagSet) -> None:
    """Define the flags."""
    flags.choice("sampler", "tpe", ("tpe", "random"), "The way configurations are drawn.")
    plan.define_flags(flags)
    help = "Configurations to try with tpe, including those of an interrupted search."
    flags.integer("configurations", 50, help)
    run.define_flags(flags)


def main(values: FlagValues) -> None:
    """Search, and print the best."""
    for flag in ("logdir", "coordinator", "num_processes", "process_id"):
        if values.sampler == "tpe" and getattr(values, flag) is not None:
            raise ValueError(f"--{flag} needs --sampler=random")
    options = run.start(values)  # before anything is computed
    planned = plan.make_plan(values)
    for shape in planned.shapes:  # raise ValueError if the recipe does not allow it
        lowest = {name: bounds[0] for name, bounds in planned.bounds(shape).items()}
        planned.loop({"blocks": shape} | lowest)
    if values.sampler == "tpe":
        tpe.search(planned, options, values.configurations)
    else:
        random_search.search(planned, options)


COMMAND = Command("search", __doc__, define, main)

if __name__ == "__main__":
    COMMAND.run()
