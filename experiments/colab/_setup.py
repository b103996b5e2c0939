# @title Setup { display-mode: "form" }
# If JAX was imported before this cell or is too old, restart the session and run this cell first.
import importlib
import pathlib
import subprocess
import sys
from importlib.util import find_spec

if not all(map(find_spec, ("lstm_jax", "matplotlib", "tqdm"))):
    clones = [f.as_uri() for f in pathlib.Path.cwd().parents if (f / "lstm_jax").is_dir()]
    package = f"lstm_jax[plots,progress] @ {[*clones, 'git+https://github.com/OWNER/lstm_jax'][0]}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", package], check=True)
    importlib.invalidate_caches()
import lstm_jax as lstm

lstm.configure_cpu()  # faster loops for small networks
