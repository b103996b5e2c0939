"""Figures display what they are given."""

from __future__ import annotations

import dataclasses
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from binaries import assert_is_a_picture, document_of
from small_tasks import COPY, LATCH

from lstm_jax import plots
from lstm_jax.cell.parameters import initialise
from lstm_jax.network.layer import apply, unroll
from lstm_jax.plots import style
from lstm_jax.tasks import make_task, row_names
from lstm_jax.training.trials.runner import Progress, TrialResult

CURVES = ([[50, 0.4, 0.5], [90, 0.1, 0.0]], [[50, 0.4, 0.9], [60, np.nan, 1.0]])
# A solved trial, and one whose error became NaN.
TRIALS = [
    TrialResult(i, i == 0, int(curve[-1][0]), i == 0, None, 0, 64, 0.1, 0.1, np.array(curve), None)
    for i, curve in enumerate(CURVES)
]
SYMBOLS = jnp.array([0, 1, 2])


def points(line) -> np.ndarray:
    return np.column_stack(line.get_data())


def by_label(figure) -> dict:
    return {axes.get_ylabel().replace("\n", " "): axes for axes in figure.axes}


def at_work(**changes):
    """A network with other fields of its architecture, and the figure of it on `SYMBOLS`."""
    net = dataclasses.replace(LATCH.architecture, **changes)
    parameters = initialise(jax.random.key(0), net)
    return net, parameters, by_label(plots.network_at_work(net, parameters, SYMBOLS))


@pytest.mark.parametrize("source", [TRIALS, document_of(LATCH, TRIALS)], ids=["trials", "file"])
def test_learning_curves_show_the_trials_and_the_paper_s_mean(source, tmp_path: pathlib.Path):
    published = {} if source is not TRIALS else {"published_mean": 200.0, "published_rate": 100.0}
    figure = plots.learning_curves(source, **published)
    (axes,) = figure.axes
    for line, curve in zip([axes.lines[0], axes.lines[2]], CURVES, strict=True):
        np.testing.assert_array_equal(points(line), np.array(curve)[:, :2])
    assert [line.get_color() for line in axes.lines[:3]] == [style.OURS, style.OURS, style.FAILED]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["ours: 1 of 2 solved, mean 90", "paper: 100 % solved, mean 200"]
    assert [line.get_xdata()[0] for line in axes.lines[-2:]] == [90.0, 200.0]
    plots.save(figure, tmp_path / "a.png")
    assert_is_a_picture(tmp_path / "a.png")


def test_groups_of_trials_are_compared_on_the_same_axes():
    longer = dataclasses.replace(TRIALS[1], curve=np.array([[50, 0.4, 0.9], [900, 0.5, 1.0]]))
    first, second = plots.compare_trials({"a": TRIALS, "b": [longer]}).axes
    assert (first.get_title(), second.get_title()) == ("a: 1 of 2 solved", "b: 0 of 1 solved")
    np.testing.assert_array_equal(points(second.lines[0]), longer.curve[:, :2])
    assert first.get_xlim()[1] >= 900
    assert first.get_xlim() == second.get_xlim() and first.get_ylim() == second.get_ylim()


def test_empty_arguments_are_refused():
    for draw, empty, message in (
        (plots.compare_trials, {}, "at least one group"),
        (plots.learning_curves, [], "at least one trial"),
        (plots.error_flow, {}, "at least one line"),
    ):
        with pytest.raises(ValueError, match=message):
            draw(empty)


@pytest.mark.parametrize("task", [LATCH, COPY], ids=["symbols", "reals"])
def test_a_network_at_work_shows_its_activations(task, tmp_path: pathlib.Path):
    net = task.architecture
    parameters = initialise(jax.random.key(0), net)
    example = task.sample(jax.random.key(1), None)
    length = int(example.length)
    figure = plots.network_at_work(
        net, parameters, example.inputs, length=length, targets=example.targets, title="at work"
    )
    activations, _ = unroll(net, parameters, example.inputs[:length])
    panels = by_label(figure)
    for name, values in {
        "input gates": activations.input_gate,
        "output gates": activations.output_gate,
        "internal states": activations.internal_state,
        "cell outputs": activations.cell_output,
        "outputs": apply(net, parameters, example.inputs[:length])[0],
    }.items():
        lines = [line for line in panels[name].lines if line.get_linestyle() != "None"]
        drawn = np.column_stack([points(line)[:, 1] for line in lines])
        np.testing.assert_array_equal(drawn, values)
    plots.save(figure, tmp_path / "a.png")
    assert_is_a_picture(tmp_path / "a.png")


def test_colours_are_blocks_and_dashes_are_cells():
    _, _, panels = at_work(blocks=(2, 1, 2))
    gates = [line.get_color() for line in panels["input gates"].lines]
    cells = [(line.get_color(), line.get_linestyle()) for line in panels["internal states"].lines]
    assert gates == list(style.BLOCKS[:3]) and len(set(cells)) == 5
    assert [colour for colour, _ in cells] == [gates[j] for j in (0, 0, 1, 2, 2)]


def test_gates_have_panels_from_0_to_1():
    net, parameters, panels = at_work(forget_gates=True)
    activations, _ = unroll(net, parameters, SYMBOLS)
    for name in ("input gates", "forget gates", "output gates"):
        np.testing.assert_allclose(panels[name].get_ylim(), (0, 1), atol=0.05)
    line = panels["forget gates"].lines[0]
    np.testing.assert_array_equal(points(line)[:, 1], activations.forget_gate[:, 0])


def test_activations_are_drawn_step_by_step():
    """A value holds for its whole step, and every step of a short sequence has its number."""
    _, _, panels = at_work()
    for name in ("input gates", "internal states", "cell outputs"):
        assert {line.get_drawstyle() for line in panels[name].lines} == {"steps-mid"}
    np.testing.assert_array_equal(panels["outputs"].get_xticks(), np.arange(len(SYMBOLS)))


def test_many_units_leave_the_panels_their_height():
    heights = []
    for blocks in ((1,), (1,) * 16):
        _, _, panels = at_work(blocks=blocks)
        axes = panels["internal states"]
        axes.figure.draw_without_rendering()
        heights.append(axes.get_window_extent().height)
    assert heights[1] > 0.8 * heights[0]


def test_the_table_of_gates_has_shades_from_0_to_1():
    parameters = initialise(jax.random.key(0), LATCH.architecture)
    (axes,) = plots.gates_at_symbols(LATCH.architecture, parameters, jnp.array([[0, 1]])).axes
    assert axes.images[0].get_clim() == (0, 1)


def test_names_are_drawn_as_written():
    """Neither as mathematics, nor left out of a legend for an underscore."""
    net = LATCH.architecture
    parameters = initialise(jax.random.key(0), net)
    symbols = ("$a$", "_b", "c", "d")
    figure = plots.network_at_work(net, parameters, SYMBOLS, symbols=symbols, classes=("_x$y$",))
    plots.style.as_png(figure)
    labels = figure.axes[0].get_yticklabels()
    assert [label._preprocess_math(label.get_text())[0].strip("\u200b") for label in labels] == [
        *symbols
    ]
    (text,) = figure.axes[-1].get_legend().get_texts()
    assert text._preprocess_math(text.get_text()) == ("\u200b_x$y$", False)


def test_gates_at_symbols_are_means_over_the_real_steps():
    net = LATCH.architecture
    parameters = initialise(jax.random.key(0), net)
    inputs, length = jnp.array([[0, 1, 0, 2], [1, 0, 3, 3]]), jnp.array([4, 2])
    (axes,) = plots.gates_at_symbols(net, parameters, inputs, length, symbols="abcd").axes
    first, second = (unroll(net, parameters, one)[0].input_gate[:, 0] for one in inputs)
    numbers = {
        (round(text.get_position()[0]), text.get_position()[1]): text.get_text()
        for text in axes.texts
    }
    assert [label.get_text() for label in axes.get_xticklabels()] == list("abcd")
    assert numbers[0, 0] == f"{(first[0] + first[2] + second[1]) / 3:.2f}"
    assert numbers[1, 0] == f"{(first[1] + second[0]) / 2:.2f}"
    assert (3, 0) not in numbers  # it is padding
    with pytest.raises(ValueError, match=r"must be .* integers"):
        plots.gates_at_symbols(net, parameters, inputs.astype(float))


@pytest.mark.parametrize("argument", ["symbols", "classes"])
def test_a_wrong_number_of_names_is_refused(argument: str):
    parameters = initialise(jax.random.key(0), LATCH.architecture)
    with pytest.raises(ValueError, match=rf"{argument} must hold \d names, got 2"):
        plots.network_at_work(LATCH.architecture, parameters, SYMBOLS, **{argument: ("a", "b")})


def test_every_row_has_names_for_its_inputs_and_outputs():
    for row in row_names():
        net = make_task(row).architecture
        for names, number in (
            (plots.symbol_names(row), net.num_inputs),
            (plots.class_names(row), net.num_outputs),
        ):
            assert names is not None and len(names) == len(set(names)) == number, row
    assert plots.symbol_names("latch") is None and plots.class_names("latch") is None


@pytest.mark.parametrize(
    ("row", "index"), [("6a", None), ("6b", None), ("2a", 0), ("2c-50-50", 1), ("1-1", 0)]
)
def test_names_are_those_of_the_sequences(row: str, index: int | None):
    """Task 6's classes are the order of its X and Y; 2a's and 2c's first symbols are x or y."""
    symbols, classes = plots.symbol_names(row), plots.class_names(row)
    task = make_task(row)
    data = task.prepare and task.prepare(jax.random.key(1), 0)
    batch = task.sample_batch(jax.random.key(0), 20, data)
    for inputs, targets in zip(batch.inputs, batch.true_targets, strict=True):
        sequence = [symbols[i] for i in inputs.tolist()]
        if index is None:
            order = "".join(symbol for symbol in sequence if symbol in "XY")
            assert classes[int(targets.argmax())] == order
        else:
            assert sequence[index] in ("x", "y", "B")


def test_error_flow_draws_the_largest_factor_of_each_lag():
    factors = jnp.array([[[1.0, -4.0]], [[0.5, 0.0]], [[0.0, 0.0]]])
    figure = plots.error_flow({"factors": factors, "sizes": [1.0, np.inf, 1e-3]})
    first, second = figure.axes[0].lines
    np.testing.assert_array_equal(points(first), [[1, 4.0], [2, 0.5], [3, np.nan]])
    np.testing.assert_array_equal(points(second)[:, 1], [1.0, np.nan, 1e-3])


STATE = Progress(
    num_sequences=1000,
    total_sequences=2000,
    trials=2,
    running=2,
    solved=0,
    error=0.5,
    max_sequences=3000,
)


def test_a_live_curve_has_every_chunk():
    live = plots.LiveCurve("6a")
    live.show(STATE)
    live.show(STATE._replace(num_sequences=2000, solved=1, running=1, error=0.25))
    above, below = live.draw().axes
    np.testing.assert_array_equal(points(above.lines[0]), [[1000, 0.5], [2000, 0.25]])
    np.testing.assert_array_equal(below.lines[0].get_ydata(), [0, 1])


def test_a_live_curve_updates_one_figure_in_a_notebook(monkeypatch: pytest.MonkeyPatch):
    displayed = []

    class Handle:
        def update(self, figure):
            displayed.append(figure)

    def display(figure, display_id):
        displayed.append(figure)
        return Handle()

    monkeypatch.setattr("lstm_jax.plots.curves._notebook_display", lambda: display)
    monkeypatch.setattr("time.monotonic", lambda: 0.0)  # all chunks within half a second
    live = plots.LiveCurve()
    for num_sequences in (1000, 2000, 3000):
        live.show(STATE._replace(num_sequences=num_sequences))
    live.show(STATE._replace(num_sequences=4000, running=0))
    assert [len(figure.axes[0].lines[0].get_xdata()) for figure in displayed] == [1, 4]


def test_a_notebook_displays_a_figure_and_matplotlib_s_settings_stay():
    before = dict(matplotlib.rcParams)
    assert plots.error_flow({"a": [1.0]})._repr_png_()[:4] == b"\x89PNG"
    assert dict(matplotlib.rcParams) == before


def test_the_library_is_imported_without_matplotlib():
    code = "import sys, lstm_jax.plots; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("scheme", ["BLOCKS", "LINES", "OUTPUTS"])
def test_colours_are_colour_blind_safe(scheme: str):
    """Any two differ in lightness or hue for deuteranopes (Machado et al. 2009)."""
    deuteranopia = np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.01182, 0.04294, 0.968881],
        ]
    )

    def seen(colour: str) -> np.ndarray:
        rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return np.clip(deuteranopia @ linear, 0, 1) ** (1 / 2.2)

    colours = getattr(style, scheme)
    for i, a in enumerate(colours):
        for b in colours[:i]:
            assert np.linalg.norm(seen(a) - seen(b)) > 0.15, (a, b)


# Scores ------------------------------------------------------------------------------------------


def test_a_confusion_matrix_has_a_number_for_every_pair_that_occurs(tmp_path: pathlib.Path):
    figure = plots.confusion_matrix([[8, 2, 0], [1, 1, 0], [0, 0, 40]], classes=["a", "b", "c"])
    (axes,) = figure.axes
    drawn = {tuple(text.get_position()): text.get_text() for text in axes.texts}
    assert drawn == {(0, 0): "8", (1, 0): "2", (0, 1): "1", (1, 1): "1", (2, 2): "40"}
    assert axes.get_title() == "49 of 52 right (94 %)"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    np.testing.assert_allclose(axes.images[0].get_array()[0], [0.8, 0.2, 0.0])  # parts of a row
    plots.save(figure, tmp_path / "a.png")
    pixels = matplotlib.image.imread(tmp_path / "a.png")
    assert min(pixels.shape[:2]) > 300


def test_a_forecast_is_drawn_at_its_time_with_its_error(tmp_path: pathlib.Path):
    came = np.sin(np.arange(60) / 5)[:, None] * [1.0, 3.0]
    last = came - 0.5
    figure = plots.forecast(came, came + 0.1, last_known=last, names=["x", "y"], title="t")
    values, errors = figure.axes[::2], figure.axes[1::2]
    for k, (above, below) in enumerate(zip(values, errors, strict=True)):
        np.testing.assert_array_equal(above.lines[0].get_ydata(), came[:, k])
        np.testing.assert_array_equal(above.lines[1].get_ydata(), came[:, k] + 0.1)
        labels = [text.get_text() for text in below.get_legend().get_texts()]
        assert labels == ["persistence:\nRMSE 0.5", "forecast:\nRMSE 0.1"]
        assert above.get_ylabel() == "xy"[k]
    plots.save(figure, tmp_path / "a.png")
    assert_is_a_picture(tmp_path / "a.png")


def test_scores_that_cannot_be_drawn_are_refused():
    for draw, message in (
        (lambda: plots.confusion_matrix([[1, 2]]), "matrix must be square"),
        (lambda: plots.confusion_matrix([[1]], classes="ab"), "classes must be 1 names"),
        (lambda: plots.forecast([1.0], [1.0, 2.0]), "forecasts must be"),
        (lambda: plots.forecast([], []), "targets must be"),
        (lambda: plots.forecast([1.0], [1.0], names=["a", "b"]), "names must be 1 names"),
    ):
        with pytest.raises(ValueError, match=message):
            draw()
