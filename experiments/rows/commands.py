"""The command that runs each row of the paper's tables."""

from __future__ import annotations

from experiments.rows.collection import all_rows

BASELINES = "baselines"
COMMANDS = {  # prefix of a row's name -> module of `experiments`
    "1": "embedded_reber",
    "2a": "noise_free",
    "2b": "noise_free",
    "2c": "very_long_lags",
    "3": "two_sequence",
    "4": "adding",
    "5": "multiplication",
    "6": "temporal_order",
}


def command_of(row: str) -> str:
    """Return the module of the command that runs a row.

    >>> command_of("2c-50-50"), command_of("2a-4.rtrl-1")
    ('very_long_lags', 'baselines')

    Raises:
      ValueError: if no command runs such a row.
    """
    if "." in row:
        return BASELINES
    for prefix, command in COMMANDS.items():
        if row.startswith(prefix):
            return command
    raise ValueError(f"row must be one of {', '.join(all_rows())}, got {row!r}")


def rows_of(command: str) -> list[str]:
    """Return the rows that a command runs, in the paper's order.

    >>> rows_of("temporal_order")
    ['6a', '6b']
    """
    return [row for row in all_rows() if command_of(row) == command]
