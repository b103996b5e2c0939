"""What the library's pictures show is what they are given."""

from __future__ import annotations

import dataclasses
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from binaries import assert_is_a_picture, document_of
from small_tasks import COPY, LATCH

from lstm_jax import plots
from lstm_jax.cell.parameters import initialise
from lstm_jax.network.layer import unroll
from lstm_jax.network.outputs import apply
from lstm_jax.plots import style
from lstm_jax.tasks import make_task, row_names
from lstm_jax.training.trials.runner import Progress, TrialResult

CURVES = ([[50, 0.4, 0.5], [90, 0.1, 0.0]], [[50, 0.4, 0.9], [60, np.nan, 1.0]])
# A solved trial, and one whose error became NaN.
TRIALS = [
    TrialResult(i, i == 0, int(curve[-1][0]), i == 0, None, 0, 64, 0.1, 0.1, np.array(curve), None)
    for i, curve in enumerate(CURVES)
]


def points(line) -> np.ndarray:
    return np.column_stack(line.get_data())


@pytest.mark.parametrize("source", [TRIALS, document_of(LATCH, TRIALS)], ids=["trials", "file"])
def test_learning_curves_are_the_trials_curves(source, tmp_path: pathlib.Path):
    figure = plots.learning_curves(source)
    (axes,) = figure.axes
    for line, curve in zip([axes.lines[0], axes.lines[2]], CURVES, strict=True):
        np.testing.assert_array_equal(points(line), np.array(curve)[:, :2])
    assert [line.get_color() for line in axes.lines[:3]] == [style.OURS, style.OURS, style.FAILED]
    plots.save(figure, tmp_path / "a.png")
    assert_is_a_picture(tmp_path / "a.png")


def test_the_paper_s_number_stands_beside_ours():
    """...from the document, or as given."""
    for figure in (
        plots.learning_curves(document_of(LATCH, TRIALS)),
        plots.learning_curves(TRIALS, published_mean=200.0, published_rate=100.0),
    ):
        told = [text.get_text() for text in figure.legends[0].get_texts()]
        assert told == ["ours: 1 of 2 solved, mean 90", "paper: 100 % solved, mean 200"]
        upright = [
            line.get_xdata()[0] for line in figure.axes[0].lines if len(line.get_xdata()) == 2
        ]
        assert {90.0, 200.0} <= set(upright)


def test_groups_of_trials_are_compared_on_the_same_axes():
    longer = dataclasses.replace(TRIALS[1], curve=np.array([[50, 0.4, 0.9], [900, 0.5, 1.0]]))
    figure = plots.compare_trials({"a": TRIALS, "b": [longer]})
    first, second = figure.axes
    assert (first.get_title(), second.get_title()) == ("a: 1 of 2 solved", "b: 0 of 1 solved")
    np.testing.assert_array_equal(points(second.lines[0]), longer.curve[:, :2])
    assert first.get_xlim()[1] >= 900
    assert first.get_xlim() == second.get_xlim() and first.get_ylim() == second.get_ylim()


def test_no_trials_are_refused():
    with pytest.raises(ValueError, match="at least one group"):
        plots.compare_trials({})
    with pytest.raises(ValueError, match="at least one trial"):
        plots.learning_curves([])


@pytest.mark.parametrize("task", [LATCH, COPY], ids=["symbols", "reals"])
def test_a_network_at_work_shows_what_the_network_does(task, tmp_path: pathlib.Path):
    net = task.architecture
    parameters = initialise(jax.random.key(0), net)
    example = task.sample(jax.random.key(1), None)
    length = int(example.length)
    figure = plots.network_at_work(
        net, parameters, example.inputs, length=length, targets=example.targets, title="at work"
    )
    activations, _ = unroll(net, parameters, example.inputs[:length])
    outputs, _ = apply(net, parameters, example.inputs[:length])
    panels = {axes.get_ylabel().replace("\n", " "): axes for axes in figure.axes}
    displayed = {
        "input gates": activations.input_gate,
        "output gates": activations.output_gate,
        "internal states": activations.internal_state,
        "cell outputs": activations.cell_output,
        "outputs": outputs,
    }
    for name, values in displayed.items():
        lines = [line for line in panels[name].lines if line.get_linestyle() != "None"]
        drawn = np.column_stack([points(line)[:, 1] for line in lines])
        np.testing.assert_array_equal(drawn, values)
    plots.save(figure, tmp_path / "a.png")
    assert_is_a_picture(tmp_path / "a.png")


def test_cells_have_the_colour_of_their_block_and_dashes_of_their_own():
    """...and gates the colour of their block too."""
    net = dataclasses.replace(LATCH.architecture, blocks=(2, 1, 2))
    parameters = initialise(jax.random.key(0), net)
    figure = plots.network_at_work(net, parameters, jnp.array([0, 1, 2]))
    panels = {axes.get_ylabel(): axes for axes in figure.axes}
    gates = [line.get_color() for line in panels["input\ngates"].lines]
    cells = [(line.get_color(), line.get_linestyle()) for line in panels["internal\nstates"].lines]
    assert gates == list(style.BLOCKS[:3]) and len(set(cells)) == 5
    assert [colour for colour, _ in cells] == [gates[j] for j in (0, 0, 1, 2, 2)]


def test_forget_gates_are_shown_where_there_are_any():
    net = dataclasses.replace(LATCH.architecture, forget_gates=True)
    parameters = initialise(jax.random.key(0), net)
    figure = plots.network_at_work(net, parameters, jnp.array([0, 1, 2]))
    (axes,) = (axes for axes in figure.axes if axes.get_ylabel() == "forget\ngates")
    activations, _ = unroll(net, parameters, jnp.array([0, 1, 2]))
    np.testing.assert_array_equal(points(axes.lines[0])[:, 1], activations.forget_gate[:, 0])


def test_gates_at_symbols_are_means_over_the_real_steps():
    net = LATCH.architecture
    parameters = initialise(jax.random.key(0), net)
    inputs, length = jnp.array([[0, 1, 0, 2], [1, 0, 3, 3]]), jnp.array([4, 2])
    (axes,) = plots.gates_at_symbols(net, parameters, inputs, length, symbols="abcd").axes
    first, second = (unroll(net, parameters, one)[0].input_gate[:, 0] for one in inputs)
    told = {
        (round(text.get_position()[0]), text.get_position()[1]): text.get_text()
        for text in axes.texts
    }
    assert [label.get_text() for label in axes.get_xticklabels()] == list("abcd")
    assert told[0, 0] == f"{(first[0] + first[2] + second[1]) / 3:.2f}"
    assert told[1, 0] == f"{(first[1] + second[0]) / 2:.2f}"
    assert (3, 0) not in told  # it is padding
    with pytest.raises(ValueError, match=r"must be .* integers"):
        plots.gates_at_symbols(net, parameters, inputs.astype(float))


def test_names_that_do_not_fit_are_refused():
    parameters = initialise(jax.random.key(0), LATCH.architecture)
    for argument in ("symbols", "classes"):
        with pytest.raises(ValueError, match=rf"{argument} must hold \d names, got 2"):
            plots.network_at_work(
                LATCH.architecture, parameters, jnp.array([0]), **{argument: ("a", "b")}
            )


@pytest.mark.parametrize("row", row_names())
def test_every_row_s_inputs_and_outputs_have_names(row: str):
    net = make_task(row).architecture
    for names, number in (
        (plots.symbol_names(row), net.num_inputs),
        (plots.class_names(row), net.num_outputs),
    ):
        assert names is not None and len(names) == len(set(names)) == number


def test_names_are_those_of_the_sequences():
    """Task 6's classes are the order of its X and Y; 2a's and 2c's first symbols are x or y."""
    for row, place in (("6a", None), ("6b", None), ("2a", 0), ("2c-50-50", 1), ("1-1", 0)):
        symbols, classes = plots.symbol_names(row), plots.class_names(row)
        task = make_task(row)
        data = task.prepare and task.prepare(jax.random.key(1), 0)
        batch = task.sample_batch(jax.random.key(0), 20, data)
        for inputs, targets in zip(batch.inputs, batch.true_targets, strict=True):
            told = [symbols[i] for i in inputs.tolist()]
            if place is None:
                order = "".join(symbol for symbol in told if symbol in "XY")
                assert classes[int(targets.argmax())] == order
            else:
                assert told[place] in ("x", "y", "B")


def test_no_other_row_has_names():
    assert plots.symbol_names("latch") is None and plots.class_names("latch") is None


def test_error_flow_draws_the_largest_factor_of_each_lag(tmp_path: pathlib.Path):
    factors = jnp.array([[[1.0, -4.0]], [[0.5, 0.0]], [[0.0, 0.0]]])
    sizes = [1.0, np.inf, 1e-3]
    figure = plots.error_flow({"factors": factors, "sizes": sizes}, title="flow")
    first, second = figure.axes[0].lines
    np.testing.assert_array_equal(points(first), [[1, 4.0], [2, 0.5], [3, np.nan]])
    np.testing.assert_array_equal(points(second)[:, 1], [1.0, np.nan, 1e-3])
    plots.save(figure, tmp_path / "a.png")
    with pytest.raises(ValueError, match="at least one line"):
        plots.error_flow({})


STATE = Progress(num_sequences=1000, total_sequences=2000, trials=2, running=2, solved=0, error=0.5)


def test_a_live_curve_has_every_round():
    live = plots.LiveCurve("6a")
    live.show(STATE)
    live.show(STATE._replace(num_sequences=2000, solved=1, running=1, error=0.25))
    above, below = live.draw().axes
    np.testing.assert_array_equal(points(above.lines[0]), [[1000, 0.5], [2000, 0.25]])
    np.testing.assert_array_equal(below.lines[0].get_ydata(), [0, 1])


def test_in_a_notebook_one_picture_grows(monkeypatch: pytest.MonkeyPatch):
    """...the last round in it."""
    displayed = []

    class Handle:
        def update(self, figure):
            displayed.append(figure)

    def display(figure, display_id):
        displayed.append(figure)
        return Handle()

    monkeypatch.setattr("lstm_jax.plots.live._notebook_display", lambda: display)
    live = plots.LiveCurve()
    for num_sequences in (1000, 2000, 3000):
        live.show(STATE._replace(num_sequences=num_sequences))
    live.show(STATE._replace(num_sequences=4000, running=0))
    assert [len(figure.axes[0].lines[0].get_xdata()) for figure in displayed] == [1, 4]


def test_a_figure_shows_itself_in_a_notebook():
    assert plots.error_flow({"a": [1.0]})._repr_png_()[:4] == b"\x89PNG"


def test_a_write_that_fails_leaves_the_old_picture(tmp_path: pathlib.Path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_text("old")
    figure = plots.error_flow({"a": [1.0]})

    def fail(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="no space left"):
        plots.save(figure, path)
    assert path.read_text() == "old" and [*tmp_path.iterdir()] == [path]


def test_pictures_leave_matplotlib_s_settings_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.error_flow({"a": [1.0]})
    assert dict(matplotlib.rcParams) == before


def test_the_library_is_imported_without_matplotlib():
    """...which only the pictures need."""
    import subprocess

    code = "import sys, lstm_jax.plots; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_colours_are_told_apart_by_the_colour_blind():
    """Any two of a scheme differ in lightness or hue for deuteranopes (Machado et al. 2009)."""
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

    for scheme in (style.BLOCKS, style.LINES, style.OUTPUTS):
        for i, a in enumerate(scheme):
            for b in scheme[:i]:
                assert np.linalg.norm(seen(a) - seen(b)) > 0.15, (a, b)
