"""Commands that are killed at a chosen change of their folder, and run again.

    python tests/killing.py '[{"command": "report", ...}]'

What a killed process leaves depends on which changes to the disk it had made, so a moment is the
number of a change: a file is opened for writing, linked, renamed or removed, or a folder is made or
removed. Each run is a fork of a process that has imported JAX.
"""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
from typing import TypedDict

CHANGES = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir"}
APPEARANCES = {"os.rename", "os.link"}  # of a whole file


class Drill(TypedDict):
    """A command that is to be killed.

    Attributes:
      command: a module of `experiments`.
      flags: flags of every run.
      again: further flags of the runs after the first one.
      before: Python code that makes the command short.
      folder: a folder with `start`, which has all that the first run needs, in `out` too.
    """

    command: str
    flags: list[str]
    again: list[str]
    before: str
    folder: str


class Run(TypedDict):
    """The end of a run, with its changes to the folder unless it was killed."""

    status: int
    out: str
    err: str
    changes: list[str]


def kill_at(change: int | None, out: pathlib.Path) -> list[str]:
    """Kill this process before a change to `out`, counted from 0; return the changes so far."""
    seen: list[str] = []

    def on_event(event: str, arguments: tuple) -> None:
        is_change = event in CHANGES or (event == "open" and arguments[2] & os.O_CREAT)
        if not is_change or isinstance(arguments[0], int):
            return
        path = os.path.abspath(os.fsdecode(arguments[0]))
        if path.startswith(f"{out}{os.sep}"):
            if len(seen) == change:
                os.kill(os.getpid(), signal.SIGKILL)
            seen.append(event)

    sys.addaudithook(on_event)
    return seen


def run(drill: Drill, folder: pathlib.Path, more: list[str], change: int | None = None) -> Run:
    """Run a command in a fork, which is killed before a change if one is given."""
    out, err, report = (tempfile.TemporaryFile("w+") for _ in range(3))  # noqa: SIM115
    child = os.fork()
    if not child:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        os.chdir(folder)
        module = importlib.import_module(f"experiments.{drill['command']}")
        exec(drill["before"], {})
        sys.argv = [drill["command"], *drill["flags"], *more]
        seen = kill_at(change, folder / "out")
        try:
            module.COMMAND.run()
        finally:
            json.dump(seen, report)
        sys.exit()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    texts = [(file.seek(0), file.read())[1] for file in (out, err, report)]
    return {
        "status": status,
        "out": texts[0],
        "err": texts[1],
        "changes": json.loads(texts[2] or "[]"),
    }


def perform(drill: Drill) -> dict[str, Run]:
    """Run a command undisturbed, then in another folder, killed twice and then to its end.

    It is killed after its first file has appeared, and at a random moment after that. The folders
    are `whole` and `last`, and those that it was killed in, `first` and `second`.
    """
    folder = pathlib.Path(drill["folder"])
    names = ("whole", "first", "second", "last")
    whole, first, second, last = (folder / name for name in names)
    shutil.copytree(folder / "start", whole)
    shutil.copytree(folder / "start", first)
    runs = {"whole": run(drill, whole, [])}
    changes = runs["whole"]["changes"]
    appeared = next(i for i, change in enumerate(changes) if change in APPEARANCES)
    runs["first"] = run(drill, first, [], appeared + 1)
    shutil.copytree(first, second)
    moment = random.Random(drill["command"]).randrange(len(changes) // 2)
    runs["second"] = run(drill, second, drill["again"], moment)
    shutil.copytree(second, last)
    runs["last"] = run(drill, last, drill["again"])
    return runs


def main() -> None:
    """Perform drills, one after the other."""
    print(json.dumps([perform(drill) for drill in json.loads(sys.argv[1])]))


if __name__ == "__main__":
    main()
