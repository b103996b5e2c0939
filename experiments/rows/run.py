"""The run of a row of the paper's tables, from flags to the result file and its picture."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
import shlex
import signal
import sys
import time
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.cli.command import Command, FlagSet, FlagValues, check_platform, configure
from experiments.cli.files import check_free, draw_beside, make_folder, save_result
from experiments.rows import collection
from experiments.rows.collection import BASELINES, all_rows, command_of, paper_task, rows_of
from experiments.rows.progress import check_scalars, display_progress, write_scalars
from experiments.rows.text import text_table
from lstm_jax import Task, TrialRunner, baselines, make_task, plots, processes
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.training.host.cpu import BATCH_SIZE
from lstm_jax.training.host.interrupts import Interrupted, Interrupts, defer_signals
from lstm_jax.training.recipes.recipe import NAMED, Recipe, make_recipe
from lstm_jax.training.runs.checkpoints import (
    Checkpoints,
    check_unused,
    differences,
    discard,
    run_trials,
)
from lstm_jax.training.runs.result_file import complete, make_document, read_object
from lstm_jax.training.trials.records import Progress, TrialResult
from lstm_jax.training.trials.training_loop import MAX_SEQUENCES, TrainingLoop

MAX_DEVICES = 64  # the most that have been measured; each costs threads, even without a core
MAX_SIZE = 2**31  # weights and the state of their update, 8 GiB
ENDING = "ending after this chunk; press Ctrl-C again to end now"


@dataclasses.dataclass(frozen=True)
class RowOptions:
    """The flags that all commands for rows share, which `define_flags` describes."""

    out: pathlib.Path
    recipe: str = "paper"
    trials: int | None = None
    seed: int = 0
    batch_size: int = BATCH_SIZE
    max_sequences: int | None = None
    overwrite: bool = False
    resume: bool = False
    checkpoint_seconds: float = 60.0
    quiet: bool = False
    logdir: pathlib.Path | None = None

    @classmethod
    def of(cls, values: FlagValues) -> RowOptions:
        """Return the options by the flags; raise ValueError for flags that do not fit."""
        if values.coordinator is None and (values.num_processes, values.process_id) != (None, None):
            raise ValueError("--num_processes and --process_id need --coordinator, got none")
        return cls(**{field.name: getattr(values, field.name) for field in dataclasses.fields(cls)})


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the paper's tables, ready to run.

    Attributes:
      name: name of the row, such as "6a".
      recipe: overrides of the paper's hyperparameters; `loop` has them.
      loop: what the trials learn, and how.
      options: how the trials are run.
    """

    name: str
    recipe: Recipe
    loop: TrainingLoop
    options: RowOptions

    @property
    def task(self) -> Task:
        """Task of the trials."""
        return self.loop.task

    @property
    def trials(self) -> int:
        """Number of trials."""
        return self.options.trials or self.task.trials

    @property
    def label(self) -> str:
        """Name of the row's files. It contains the recipe unless that is the paper's."""
        return self.name if self.recipe.name == "paper" else f"{self.name}.{self.recipe.name}"

    @property
    def result(self) -> pathlib.Path:
        """Path of the result file."""
        return self.options.out / f"{self.label}.json"

    @property
    def checkpoints(self) -> pathlib.Path:
        """Folder of the checkpoints."""
        return self.options.out / f"{self.label}.checkpoints"

    @property
    def log_folder(self) -> pathlib.Path | None:
        """Folder of TensorBoard's scalars of this row."""
        return None if self.options.logdir is None else self.options.logdir / self.label

    @property
    def command(self) -> str:
        """Shell command that runs the row again, with the same numbers."""
        flags = self.fingerprint() | {"out": self.options.out}
        given = [f"--{name}={value}" for name, value in flags.items()]
        return shlex.join(["python", "-m", f"experiments.{command_of(self.name)}", *given])

    def fingerprint(self) -> Document:
        """Return all that decides the numbers, as plain data; a resumed run must have the same."""
        return {
            "task": self.task.name,
            "recipe": self.recipe.name,
            "trials": self.trials,
            "seed": self.options.seed,
            "batch_size": self.options.batch_size,
            "max_sequences": self.task.max_sequences,
        }

    def document(self, results: Sequence[TrialResult], wall_seconds: float) -> Document:
        """Return the content of the result file."""
        document = make_document(
            self.task,
            results,
            recipe=self.recipe.name,
            changes=self.recipe.changes,
            wall_seconds=wall_seconds,
            seed=self.options.seed,
            command=self.command,
        )
        if paper_task(self.name):  # these follow from the name
            del document["title"], document["published"]
        return document

    def read(self, path: pathlib.Path) -> Document:
        """Read a result file of such a row; raise ValueError if it is not one."""
        return collection.read_result(path)

    def draw(self, document: Document) -> style.Figure:
        """Draw the picture that belongs to the result file."""
        return plots.learning_curves(complete(collection.with_paper(document)))


def resolve(name: str, options: RowOptions) -> Row:
    """Return a row of the LSTM under the options' recipe, or the row of a baseline.

    Raises ValueError if `name` is not a row, or the row cannot have this recipe.
    """
    if name not in all_rows():
        raise ValueError(f"row must be one of {', '.join(all_rows())}, got {name!r}")
    is_baseline = name in baselines.row_names()
    if is_baseline and options.recipe != "paper":
        raise ValueError(f"--recipe must be paper for {name}, got {options.recipe}")
    try:
        recipe = make_recipe(options.recipe)
        loop = None if is_baseline else TrainingLoop(recipe.apply(make_task(name)))
    except ValueError as error:
        raise ValueError(f"--recipe={options.recipe}: {error}") from error
    loop = loop or baselines.make_training_loop(name)
    if options.max_sequences is not None:
        task = dataclasses.replace(loop.task, max_sequences=options.max_sequences)
        loop = dataclasses.replace(loop, task=task)
    return Row(name, recipe, loop, options)


def prepare(rows: Sequence[Row]) -> None:
    """Check all that can be wrong before anything is computed, and make the output folder.

    Raises ValueError if the rows or options, which all rows share, are not the same on all
    processes, two rows are the same, or a file exists that may not be replaced or continued.
    """
    # Folders may differ between processes, but scalars need all processes or none.
    options = dataclasses.replace(rows[0].options, quiet=False)
    flags = dataclasses.asdict(options) | {"out": None, "logdir": options.logdir is not None}
    processes.check_same("rows and flags", ([row.fingerprint() for row in rows], flags))
    processes.on_first_process(lambda: _prepare(rows))


def _prepare(rows: Sequence[Row]) -> None:
    names = [row.name for row in rows]
    if len(set(names)) < len(names):
        raise ValueError(f"rows must be distinct, got {','.join(names)}")
    for row in rows:
        may_replace = row.options.resume or row.options.overwrite
        if row.options.resume and row.result.exists():
            _check_is_of_this_run(row)
        check_free(row.result, may_replace)
        check_unused(row.checkpoints)
        if newest(row.checkpoints) is not None and not may_replace:
            found = f"{row.checkpoints} exists, of an interrupted run"
            raise ValueError(f"{found}; --resume continues it, --overwrite starts afresh")
        _check_size(row)
        if row.log_folder is not None:
            check_scalars(row.log_folder, may_replace)
    make_folder(rows[0].options.out)


def _check_is_of_this_run(row: Row) -> None:
    document, run = row.read(row.result), row.fingerprint()
    document |= {"trials": len(document["trials"])}
    found = {name: document.get(name, value) for name, value in run.items()}
    if differing := differences(found, json.loads(json.dumps(run))):
        raise ValueError(f"{row.result} differs in {differing}; --overwrite replaces it")
    saved = newest(row.checkpoints)  # of a run that was to replace the result, if newer
    if saved is not None and saved.stat().st_mtime > row.result.stat().st_mtime:
        older = f"{row.result} is older than {row.checkpoints}"
        raise ValueError(f"{older}: move it, then --resume continues")


def _check_size(row: Row) -> None:
    """Raise ValueError if a trial has more numbers than any machine would train."""
    keys = jax.ShapeDtypeStruct((2, 1), np.uint32)
    trial = jax.eval_shape(lambda keys: row.loop.init_trials(keys, None), keys)
    size = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(trial))
    if size > MAX_SIZE:
        limit = f"at most {MAX_SIZE:,} numbers in a trial"
        raise ValueError(f"--recipe={row.recipe.name} must have {limit}, got {size:,}")


def newest(folder: pathlib.Path) -> pathlib.Path | None:
    """Return the newest checkpoint in a folder, named by its number of sequences, if any."""
    paths = [path for path in folder.glob("*") if path.name.isdecimal()]
    return max(paths, key=lambda path: int(path.name), default=None)


def run_row(row: Row) -> Document:
    """Run the trials of a row, and write its result file and its picture.

    With --resume, a row that has its result file is not run again. Ctrl-C and SIGTERM end the run
    after the current chunk, with a checkpoint.

    Raises:
      Interrupted: if a signal ended the run; the message says what --resume will find.
      ValueError: if another process has the row's checkpoints open.
    """

    def finish() -> Document | None:
        is_finished = row.options.resume and row.result.exists()
        if is_finished and row.checkpoints.is_dir():  # of a run that ended after its result
            draw_beside(row.result, lambda: row.draw(read_object(row.result)), True)
        if is_finished or row.options.overwrite:
            discard(row.checkpoints)
        return row.read(row.result) if is_finished else None

    finished = processes.on_first_process(finish)
    if finished is not None:
        return finished
    interrupts = None
    try:
        with defer_signals(ENDING) as interrupts:
            return _run(row, interrupts)
    except KeyboardInterrupt as error:
        number = getattr(error, "number", interrupts and interrupts.signal) or signal.SIGINT
        message = f"interrupted: {row.name}, {_what_resume_finds(row)}"
        raise Interrupted(message, number) from error


def _run(row: Row, interrupts: Interrupts) -> Document:
    options, started = row.options, time.monotonic()
    mesh = Mesh(np.array(jax.devices()), ("trials",))
    with Checkpoints(row.checkpoints, row.fingerprint()) as checkpoints:
        runner = TrialRunner(
            row.loop, range(row.trials), seed=options.seed, mesh=mesh, batch_size=options.batch_size
        )
        if options.resume:
            restored = checkpoints.restore(runner)
            started -= restored.seconds
            for sentence in restored.damaged:
                print(sentence, file=sys.stderr)
        display_chunk = display_progress(row.name, options.quiet)
        with display_chunk as display, write_scalars(row.log_folder, runner) as write:

            def on_chunk(progress: Progress) -> None:
                display(progress)
                write(progress)

            run_trials(
                runner,
                checkpoints,
                started=started,
                checkpoint_seconds=options.checkpoint_seconds,
                interrupts=interrupts,
                on_chunk=on_chunk,
            )
        document = row.document(runner.results(), time.monotonic() - started)
        save = lambda: save_result(
            row.result, document, row.draw, overwrite=options.overwrite, quiet=options.quiet
        )
        saved = processes.on_first_process(save)
        checkpoints.remove()
    if interrupts.requested():
        raise KeyboardInterrupt
    return processes.on_first_process(lambda: row.read(saved))


def _what_resume_finds(row: Row) -> str:
    """Return what --resume will find, in words; of several processes, only the first can know."""
    if not processes.is_first_process():
        return "the first process says what --resume will find"
    saved = newest(row.checkpoints)
    if saved is not None:
        move = f"once the old {row.result} is moved, " if row.result.exists() else ""
        return f"{move}--resume continues after {int(saved.name):,} sequences per trial"
    if row.result.exists():
        return f"which has its {'old ' * row.options.overwrite}result"
    return "without a checkpoint; --resume starts afresh"


# Commands -----------------------------------------------------------------------------------------


def row_command(name: str, about: str | None) -> Command:
    """Return the command, a module with this docstring, that runs one row: by default its first."""
    rows = rows_of(name)
    further = "--max_sequences=100000" if name == BASELINES else "--recipe=adam"
    first, last = f"--task={rows[0]}", f"--task={rows[-1]}"
    examples = (first, f"{last} {further}", f"{first} --trials=3 --seed=1 --resume")
    lines = [f"    python -m experiments.{name} {flags} --out=DIR" for flags in examples]

    def define(flags: FlagSet) -> None:
        flags.choice("task", rows[0], rows, "Row of the paper's tables.")
        define_flags(flags)

    main = lambda values: run_rows([values.task], values)
    return Command(name, "\n".join([(about or "").strip(), "", *lines]), define, main)


def define_flags(flags: FlagSet) -> None:
    """Define the flags of a command that runs rows, after those of its own."""
    flags.integer("trials", None, "Number of trials (default: as in the paper).", most=2**20)
    flags.output("result files and pictures")
    recipe = f"Hyperparameters: one of {', '.join(NAMED)}, which +OVERRIDE[=VALUE] may follow; "
    flags.text("recipe", "paper", f"{recipe}`python -m experiments` lists the overrides.")
    flags.seed()
    budget = "Maximum training sequences per trial (default: the task's)."
    flags.integer("max_sequences", None, budget, most=MAX_SEQUENCES)
    flags.switch("resume", False, "Continue from the checkpoint of an interrupted run.")
    flags.switch("quiet", False, "Print errors only.")
    flags.heading = "Speed, checkpoints and TensorBoard"
    flags.integer("devices", 2, "CPU devices to share the trials among.", most=MAX_DEVICES)
    flags.integer("batch_size", BATCH_SIZE, "Trials side by side on a device.", most=4096)
    flags.number("checkpoint_seconds", 60.0, "Minimum seconds between checkpoints.", 0.0, math.inf)
    flags.folder(
        "logdir", "Folder for TensorBoard's scalars, a subfolder per row (default: none).", False
    )
    cache = "Folder for compiled programs, which later runs read (default: none)."
    flags.folder("cache", cache, required=False)
    flags.heading = "Several processes, on one machine or many"
    flags.text("coordinator", None, "Of several processes, HOST:PORT of the first one, or 'auto'.")
    flags.integer("num_processes", None, "With --coordinator, the number of processes.")
    flags.integer("process_id", None, "With --coordinator, the index of this process, from 0.", 0)


def run_rows(names: Sequence[str], values: FlagValues, print_table: bool = True) -> None:
    """Run rows by the flags, and print their results beside the paper's."""
    options = start(values)
    rows = [resolve(name, options) for name in names]
    prepare(rows)
    documents = [run_row(row) for row in rows]
    if print_table and not options.quiet:
        print(text_table(documents))


def start(values: FlagValues) -> RowOptions:
    """Configure JAX, join the other processes, and return the options of this one.

    Of several processes, only the first prints. Raises ValueError for flags that do not fit.
    """
    options = RowOptions.of(values)
    if values.cache is not None:
        make_folder(values.cache, "cache")
    configure(values.devices, values.cache)
    if values.coordinator is not None:
        processes.connect(values.coordinator, values.num_processes, values.process_id)
    check_platform()
    return options if processes.is_first_process() else dataclasses.replace(options, quiet=True)
