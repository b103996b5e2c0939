"""Real sequences: nothing of a test is known before it; baselines are what they are called."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import itertools
import json
import pathlib
import sys

import jax
import numpy as np
import pytest
from binaries import assert_is_a_picture, command_of
from scipy import stats

from experiments.own_data.tasks import Part
from experiments.real import (
    DOMAINS,
    chorales,
    gates,
    models,
    page,
    statistics,
    study,
    sunspots,
    trials,
    vowels,
)
from experiments.real import __main__ as command
from experiments.real.base import Domain
from experiments.rows.intervals import estimate
from lstm_jax import Architecture, apply, initialise, plots

RNG = np.random.default_rng(0)
COMMITTED = pathlib.Path(command.__file__).parents[1] / "results" / "real"
DRAW = {"real.study.json": study.draw, "real.transfer.json": page.draw_transfer}
SIZES = {"sunspots": (1, 1), "sunspots-monthly": (1, 1), "vowels": (12, 9), "chorales": (23, 22)}


def series(values: np.ndarray) -> sunspots.Series:
    parts = [slice(0, 60), slice(60, 70), slice(70, 90)]
    return sunspots.Series(values, parts, ["a", "b"], [2.0, 4.0], 8, (2, 3), {})


def utterances(number: int) -> Part:
    inputs = [RNG.normal(3.0, 2.0, (RNG.integers(7, 29), 2)) for _ in range(number)]
    return Part(inputs, [np.array(i % 9, np.int32) for i in range(number)])


# Parts -----------------------------------------------------------------------------------------


def test_a_forecast_s_inputs_are_the_values_before_it():
    """...and every step of a part is a target once, whatever part the inputs lie in."""
    data = sunspots.make_data(series(np.arange(90.0)))
    scale = np.array(data.prepared.about["scaler"]).ravel()
    targets = []
    for part in data.prepared.parts:
        for inputs, target in zip(part.inputs, part.targets, strict=True):
            found = np.append(inputs, target) * scale[1] + scale[0]
            np.testing.assert_allclose(np.diff(found), 1.0, atol=1e-4)
            targets.append(round(float(found[-1])))
    assert targets == [*range(8, 90)]


def test_test_values_enter_neither_the_scaling_nor_what_is_learned():
    values = RNG.normal(size=90)
    changed = np.where(np.arange(90) < 60, values, 1e3)
    data, other = (sunspots.make_data(series(v)).prepared for v in (values, changed))
    assert data.about == other.about
    jax.tree.map(np.testing.assert_array_equal, data.parts[:2], other.parts[:2])
    np.testing.assert_allclose(
        np.ravel(data.about["scaler"]), [values[:51].mean(), values[:51].std()]
    )


def test_test_utterances_enter_neither_the_scaling_nor_what_is_learned():
    known, test = utterances(90), utterances(18)
    louder = test._replace(inputs=[100 * x for x in test.inputs])
    with jax.numpy_dtype_promotion("standard"):  # Adam mixes dtypes, which tests forbid
        data, other = (vowels.make_data(known, part).prepared for part in (test, louder))
    assert data.about == other.about
    jax.tree.map(np.testing.assert_array_equal, data.parts[:2], other.parts[:2])
    steps = np.concatenate(data.parts[0].inputs)
    np.testing.assert_allclose([steps.mean(0), steps.std(0)], [[0, 0], [1, 1]], atol=1e-5)
    labels = [np.bincount(part.targets).tolist() for part in data.parts]
    assert labels == [[8] * 9, [2] * 9, [2] * 9]


def test_no_family_of_melodies_is_in_two_parts():
    tunes = [RNG.integers(60, 72, 30) for _ in range(40)]
    lines = [tune[start:] + start for tune, start in itertools.product(tunes, range(4))]
    family = chorales.families(lines)
    assert family == [4 * (i // 4) + 3 for i in range(160)]
    parts = chorales.hold_out(family)
    assert sorted(itertools.chain(*parts)) == [*range(160)]
    found = [{family[i] for i in part} for part in parts]
    assert not (found[0] & found[1] or found[0] & found[2] or found[1] & found[2])
    assert (len(parts[2]), len(parts[1])) == (56, 48)


# Data in packages ------------------------------------------------------------------------------


def test_a_file_of_utterances_is_parsed(tmp_path: pathlib.Path):
    path = tmp_path / "a.ts"
    path.write_text("#about\n@dimensions 2\n@data\n1,2,3:4,5,6:2\n0.5:-1:9\n")
    inputs, targets = vowels.parse(path.read_text())
    assert [x.tolist() for x in inputs] == [[[1, 4], [2, 5], [3, 6]], [[0.5, -1]]]
    assert [int(t) for t in targets] == [1, 8]


@pytest.mark.parametrize("data", ["sunspots", "sunspots-monthly", "vowels", "chorales"])
def test_a_missing_package_is_a_line_that_names_the_extra(
    data: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    def missing(package: str) -> None:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    monkeypatch.setitem(sys.modules, "music21", None)
    monkeypatch.setattr(command, "configure", lambda: None)
    with pytest.raises(ImportError, match=r"pip install 'lstm_jax\[data\]'") as caught:
        command_of("real").call([f"--data={data}", f"--out={tmp_path / 'out'}"])
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


# Baselines -------------------------------------------------------------------------------------


def test_autoregression_solves_the_normal_equations():
    values, order = RNG.normal(size=50), 4
    rows = np.array([[1, *values[t - order : t][::-1]] for t in range(order, 50)])
    expected = np.linalg.solve(rows.T @ rows, rows.T @ values[order:])
    found = sunspots.fit_autoregression(values, order)
    np.testing.assert_allclose(found, expected)
    forecast = sunspots.forecast_by(found, values)
    np.testing.assert_allclose(forecast[order:], rows @ expected)
    assert np.isnan(forecast[:order]).all()


def test_errors_are_divided_by_the_variance_of_each_test():
    values = RNG.normal(size=90)
    baselines = sunspots.make_data(series(values)).baselines
    squared = (values[1:] - values[:-1]) ** 2
    expected = {"a": squared[59:69].mean() / 2, "b": squared[69:89].mean() / 4}
    assert baselines["last value"] == pytest.approx(expected)


@pytest.mark.parametrize("order", range(4))
def test_witten_bell_sums_to_one_and_is_the_recursion(order: int):
    lines = [RNG.integers(0, 5, n) for n in (3, 20, 40)]
    model = chorales.WittenBell(lines, order, 6)
    line = RNG.integers(0, 6, 30)
    found = 2.0 ** model.log2(line)
    np.testing.assert_allclose(found.sum(1), 1)
    padded = [[6] * order + each.tolist() for each in lines]

    def probability(note: int, context: list[int]) -> float:
        n = len(context)
        seen = [p[i] for p in padded for i in range(order, len(p)) if p[i - n : i] == context]
        lower = probability(note, context[1:]) if n else 1 / 6
        different = len({*seen})
        return (seen.count(note) + different * lower) / (len(seen) + different) if seen else lower

    before = [6] * order + line.tolist()
    for t, note in itertools.product((0, 1, 17), range(6)):
        np.testing.assert_allclose(found[t, note], probability(note, before[t : t + order]))


def test_logistic_regression_separates_what_is_separable():
    part = utterances(45)
    for x, label in zip(part.inputs, part.targets, strict=True):
        x += 20 * np.array([np.cos(0.7 * label), np.sin(0.7 * label)])
    with jax.numpy_dtype_promotion("standard"):
        predicted = vowels.logistic_regression(part, part.inputs)
    assert predicted.tolist() == [int(label) for label in part.targets]


# Networks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", DOMAINS)
def test_networks_have_the_same_number_of_weights(data: str):
    num_inputs, num_outputs = SIZES[data]
    reference = models.NETWORKS[models.REFERENCE]
    number = reference(num_inputs, DOMAINS[data].cells, num_outputs).num_weights
    for make in models.NETWORKS.values():
        model = models.of_size(make, num_inputs, num_outputs, number)
        drawn = jax.eval_shape(model.init, jax.random.key(0))
        counted = sum(leaf.size for leaf in jax.tree.leaves(drawn))
        assert counted == model.num_weights and abs(counted / number - 1) <= 0.1


def test_a_number_of_weights_that_no_network_has_is_refused():
    with pytest.raises(ValueError, match=r"^num_weights must be within 10 %"):
        models.of_size(models.make_gru, 1, 1, 13)


def test_a_gru_is_its_equations():
    model = models.make_gru(3, 4, 2)
    weights = model.init(jax.random.key(0))
    symbols = np.array([0, 2, 1, 1])
    found = model.net_inputs(weights, symbols, 3, "every_step")
    logistic = lambda x: 1 / (1 + np.exp(-x))
    h, (gates, candidate, output) = np.zeros(4), (np.float64(w) for w in weights)
    for t, x in enumerate(np.eye(3)[symbols]):
        z, r = np.split(logistic(np.concatenate([x, h, [1]]) @ gates), 2)
        h = z * h + (1 - z) * np.tanh(np.concatenate([x, r * h, [1]]) @ candidate)
        np.testing.assert_allclose(found[t], np.append(h, 1) @ output, rtol=1e-4, atol=1e-6)
    at_end = model.net_inputs(weights, np.eye(3, dtype=np.float32)[symbols], 3, "end")
    np.testing.assert_allclose(at_end, found[2], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_trial_depends_on_its_seed_and_index_alone():
    data = sunspots.make_data(series(np.sin(np.arange(90.0))))
    domain = Domain("", "", lambda _: data, cells=2, epochs=3, patience=3, batch_size=43)
    model = models.NETWORKS[models.REFERENCE](1, 2, 1)
    with jax.numpy_dtype_promotion("standard"):
        train = trials.make_trainer(domain, data, model)
        first, other = train(0, 1, 0.01), train(0, 2, 0.01)
        rates = trials.choose_rate(train, 0)
        again = trials.make_trainer(domain, data, model)(0, 1, 0.01)
    assert [*rates.values()] == sorted(rates.values()) and {*rates} == {*trials.RATES}
    without = lambda one: {**one.document(), "seconds": None}
    assert without(first) == without(again) != without(other)
    jax.tree.map(np.testing.assert_array_equal, first.parameters, again.parameters)


# The study -------------------------------------------------------------------------------------


def test_no_main_effect_of_the_design_is_mixed_up_with_a_pair():
    levels = study.design()
    assert len({tuple(run) for run in levels.tolist()}) == 16
    np.testing.assert_array_equal(levels.T @ levels, 16 * np.eye(7))
    for i, j in itertools.combinations(range(7), 2):
        assert not (levels.T @ (levels[:, i] * levels[:, j])).any()


def test_levels_are_the_choices_of_a_network():
    low, high = (study.make_model([level] * 7, 3, 2) for level in (-1, 1))
    assert low.architecture == Architecture(3, (1,) * 4, 2, output="identity")
    changed = {"cell_input": "tanh", "cell_output": "tanh", "output": "identity"}
    assert high.architecture == Architecture(3, (2,) * 4, 2, **changed)
    layer = high.init(jax.random.key(0)).layer
    expected = np.linspace(-1, -3, 4)
    for gate in (layer.input_gate, layer.output_gate):
        np.testing.assert_allclose(gate.bias, expected, rtol=1e-6)
    assert np.abs(low.init(jax.random.key(0)).layer.input_gate.bias).max() <= 0.5


def test_effects_are_the_factors_of_a_loss_that_is_their_product():
    levels, factors = study.design(), np.array([2, 1, 0.5, 1, 1, 3, 1])
    losses = 0.7 * np.prod(factors ** ((levels + 1) / 2), axis=1)
    noise = np.exp(0.01 * RNG.normal(size=(16, 3)))
    found = study.effects((losses[:, None] * noise).tolist())
    assert [effect.choice for effect in found] == list(study.CHOICES)
    np.testing.assert_allclose([effect.ratio.mean for effect in found], factors, rtol=0.02)
    # The interval of a difference of two means of 24, with 40 degrees of freedom.
    half = np.log([effect.ratio.high / effect.ratio.mean for effect in found])
    np.testing.assert_allclose(half, 2.021 * 0.01 * (2 / 24) ** 0.5, rtol=0.3)


# The gates -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("num_outputs", "target"), [(1, 0.5), (4, 2), (4, [0, 3, 1, 1, 2])])
def test_the_cells_parts_are_the_decision_but_its_bias(num_outputs: int, target):
    net = Architecture(3, (1,) * 4, num_outputs, output="identity")
    parameters = initialise(jax.random.key(0), net, init_range=1.0)
    inputs = np.float32(RNG.normal(size=(5, 3)))
    work = gates.decompose(net, parameters, inputs, np.array(target))
    outputs = np.asarray(apply(net, parameters, inputs)[0]) - parameters.output.bias[None]
    expected = outputs[:, 0]
    if num_outputs > 1:
        of_target = outputs[np.arange(5), np.broadcast_to(target, 5)]
        expected = of_target - outputs.mean(1)
    np.testing.assert_allclose(work.parts.sum(1), expected, rtol=1e-4, atol=1e-6)
    assert work.shares.sum() == pytest.approx(1.0)
    assert np.all(np.diff(work.shares[work.order]) <= 0)


def test_a_network_at_work_is_drawn(tmp_path: pathlib.Path):
    net = Architecture(3, (1,) * 4, 3, output="identity")
    inputs = np.array([2, 0, 1, 1], np.int32)
    work = gates.decompose(net, initialise(jax.random.key(0), net), inputs, inputs)
    plots.save(gates.draw(work, inputs, "a title", 2), tmp_path / "a.png")
    assert_is_a_picture(tmp_path / "a.png")


# Statistics, files and the page ----------------------------------------------------------------


def test_the_interval_is_student_s():
    values = RNG.normal(size=10)
    found = estimate(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    np.testing.assert_allclose(found, (values.mean(), *expected))


def test_a_difference_in_all_trials_is_found_and_none_is_not():
    base = RNG.normal(size=10)
    found = statistics.compare({"a": base, "same": base, "worse": base + 1.0}, "a")
    assert found["same"] == 1.0
    assert found["worse"] == pytest.approx(2 * 2 / 2**10)  # all signs alike, two comparisons


def document(**changes) -> dict:
    scores = [{"x": 0.1 * i, "y": 1.0} for i in range(1, 4)]
    network = {"weights": 9, "rate": 0.01, "trials": [{"scores": s} for s in scores]}
    return {
        "data": "sunspots",
        "title": "a title",
        "about": "About.",
        "measures": ["x", "y"],
        "baselines": {"last": {"x": 1.0, "y": 2.0}},
        "published": {"them": {"x": 0.5}},
        "networks": {models.REFERENCE: network, "other": network},
        "trials": 3,
        "seed": 0,
        "epochs": 1,
        "patience": 1,
        "batch_size": 1,
        "date": "today",
        "versions": {"jax": "0"},
        "machine": {"cpu": "a CPU"},
    } | changes


def test_a_table_has_every_method_with_its_interval():
    rows = [line.split(" | ") for line in page.table(document()).splitlines()[2:]]
    assert [row[0].strip("| ") for row in rows] == [
        *("them, published", "last", models.REFERENCE, "other")
    ]
    assert rows[0][3:5] == ["0.5", "-"] and rows[1][3:5] == ["1", "2"]
    assert rows[2][1:4] == ["9", "0.01", "0.2 (-0.0484 to 0.448)"]
    assert rows[3][5].startswith("1 |")


def test_the_committed_results_can_be_drawn_again(tmp_path: pathlib.Path):
    paths = sorted(COMMITTED.glob("real.*.json"))
    assert paths
    for path in paths:
        draw = DRAW.get(path.name, page.draw)
        plots.save(draw(json.loads(path.read_text())), tmp_path / "a.png")
        assert_is_a_picture(tmp_path / "a.png")


def test_a_resumed_run_trains_what_is_missing_and_no_other_run_is_resumed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    data = sunspots.make_data(series(RNG.normal(size=90)))
    domain = dataclasses.replace(DOMAINS["sunspots"], load=lambda _: data)
    trained = []

    def run(name, *_):
        trained.append(name)
        if len(trained) == 3:
            raise KeyboardInterrupt
        scores = [{"scores": {"a": 0.5 * i, "b": 1.0 * i}} for i in range(2)]
        return {"weights": 9, "rate": 0.01, "trials": scores}

    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(command, "configure", lambda: None)
    monkeypatch.setitem(command.DOMAINS, "sunspots", domain)
    flags = ["--data=sunspots", f"--out={tmp_path}", "--quiet", "--trials=2"]
    with pytest.raises(KeyboardInterrupt):
        command_of("real").call(flags)
    with pytest.raises(ValueError, match="of the same trials"):
        command_of("real").call([*flags[:-1], "--trials=3", "--resume"])
    command_of("real").call([*flags, "--resume"])
    assert trained == [*list(models.NETWORKS)[:3], *list(models.NETWORKS)[2:]]
    assert (tmp_path / "real.sunspots.png").exists()
    with pytest.raises(ValueError, match="--overwrite replaces it"):
        command_of("real").call(flags)
