"""The findings of a result file are those of the library for its network."""

import pathlib

import jax
import pytest

from experiments import diagnose
from lstm_jax import diagnose as library_diagnose
from lstm_jax import plots
from lstm_jax.network.files import network_from_document
from lstm_jax.tasks import make_task
from lstm_jax.training.runs.result_file import read_json

COMMITTED = pathlib.Path(diagnose.__file__).parent / "results" / "6a" / "6a.json"


def test_the_network_of_a_file_is_diagnosed_on_fresh_sequences_of_its_task(capsys):
    net, parameters = network_from_document(read_json(COMMITTED))
    batch = make_task("6a").sample_batch(jax.random.key(1), 20)
    names = plots.symbol_names("6a")
    found = library_diagnose(net, parameters, batch.inputs, batch.length, symbols=names)
    diagnose.COMMAND.call([f"--files={COMMITTED}", "--sequences=20", "--seed=1"])
    first, *others = capsys.readouterr().out.splitlines()
    assert first == f"6a: {len(found)} findings"
    assert others == [f"  - {finding}" for finding in found]
    assert any("opens at" in line and " X (" in line for line in others)


def test_files_must_be_named():
    with pytest.raises(ValueError, match="--files"):
        diagnose.COMMAND.call([])
