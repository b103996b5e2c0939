# @title Setup: run this cell first { display-mode: "form" }
import importlib
import pathlib
import subprocess
import sys
from importlib.util import find_spec

OWNER = "OWNER"  # of the repository on GitHub
packages = ("lstm_jax", "matplotlib", "safetensors", "tqdm")
if not all(getattr(find_spec(name), "origin", None) for name in packages):
    here = pathlib.Path.cwd()
    clones = [f for f in (here, *here.parents) if (f / "lstm_jax" / "__init__.py").exists()]
    if not clones and OWNER.isupper():
        raise SystemExit("lstm_jax is not on GitHub yet: open this notebook in a clone.")
    source = clones[0].as_uri() if clones else f"git+https://github.com/{OWNER}/lstm_jax"
    package = f"lstm_jax[files,plots,progress] @ {source}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", package], check=True)
    importlib.invalidate_caches()
try:
    import lstm_jax as lstm

    lstm.configure_cpu()  # faster loops for small networks
except ImportError as error:
    raise SystemExit(f"{error}.\nRestart the runtime, then run this cell again.") from None
except RuntimeError:
    print("JAX was used before this cell, so the notebook runs at about half the speed.")
    print("For full speed, restart the runtime and run this cell first.")
