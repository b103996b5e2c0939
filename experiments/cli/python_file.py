"""Objects in Python files of a user, such as `--task=my.py:task`."""

from __future__ import annotations

import importlib.util
import pathlib


def load_object(name: str) -> object:
    """Return what FILE.py:NAME names; raise ValueError if it cannot be had."""
    file, _, attribute = name.rpartition(":")
    path = pathlib.Path(file).expanduser()
    if path.suffix != ".py" or not path.is_file():
        raise ValueError(f"--task must be FILE.py:NAME with an existing file, got {name}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file raises
        raise ValueError(f"--task={name}: {type(error).__name__}: {error}") from error
    if not hasattr(module, attribute):
        raise ValueError(f"--task={name}: {file} does not define {attribute!r}")
    return getattr(module, attribute)
