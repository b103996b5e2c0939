"""Found in place of the package if a command is run as a file; says how to run it.

Python looks for modules beside the file that it runs, before anywhere else.
"""

import pathlib
import sys

name = pathlib.Path(sys.argv[0]).stem
print(
    f"error: run python -m experiments.{name}, in the folder that contains experiments",
    file=sys.stderr,
)
sys.exit(2)
