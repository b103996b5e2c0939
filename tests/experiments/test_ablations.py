"""The ablation study: its plan, its choice of interpretations, and its page."""

from __future__ import annotations

import itertools
import json
import pathlib

import numpy as np
import pytest

from experiments.ablations import design, estimate, page
from experiments.ablations.cells import Results
from experiments.ablations.page import effects
from experiments.rows.collection import RESULTS
from lstm_jax.tasks import make_task, row_names
from lstm_jax.tasks import task as base
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.trials.training_loop import TrainingLoop


def outcome(overrides: str, solved: int, mean: float | None, seed: int = 0, trials: int = 8):
    recipe = "+".join(filter(None, ("paper", overrides)))
    return {"recipe": recipe, "seed": seed, "trials": trials, "solved": solved, "mean": mean}


@pytest.fixture
def no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the result files of the rows' own commands."""
    monkeypatch.setattr(page, "read_results", list)


@pytest.mark.parametrize("row", ["1-1", "2a", "2c-50-50", "4-100", "6b"])
def test_every_cell_is_one_that_its_row_can_have(row: str):
    planned = [*design.singles(row), *design.drawn(row, 8)]
    recipes = [cell.recipe for cell in design.singles(row)]
    assert recipes[0] == "paper" and len(set(recipes)) == len(recipes)
    assert ("paper+training-set=1000" in recipes) == (not row.startswith("1-"))
    for cell in planned:
        assert make_recipe(cell.recipe).name == cell.recipe
        TrainingLoop(make_recipe(cell.recipe).apply(make_task(row)))
        assert (cell.row, cell.seed, cell.trials) == (row, 0, 8)


@pytest.mark.parametrize(
    ("row", "idle"),
    [
        ("2a", {"h=identity", "recurrent=none", "add-gate-bias"}),
        ("4-100", {"biases=all", "extra-biases=output", "input-gate-bias=-3,-6,-9,-12"}),
        ("5-140", {"biases=all", "extra-biases=output", "add-gate-bias"}),
        ("3a-100-3", {"extra-biases=output"}),  # the output units alone have none: as `biases=all`
    ],
)
def test_what_changes_nothing_or_the_same_as_another_is_not_tried(row: str, idle: set[str]):
    tried = {cell.recipe.removeprefix("paper+") for cell in design.singles(row)}
    assert {*design.SINGLES} - tried == idle


def test_biases_that_are_added_to_given_ones_are_an_override():
    texts = ["input-gate-bias=-3,-6+add-gate-bias", "biases=all"]
    (cell,) = design._distinct_cells("5-140", texts)
    assert cell.recipe == f"paper+{texts[0]}"


def test_a_choice_its_confirmation_and_a_repetition_never_share_a_seed():
    chosen = design.make_cell("4-100", "paper+linear-output")
    confirmed = design.make_cell("4-100", chosen.recipe, design.CONFIRMATION_SEED)
    assert (confirmed.recipe, confirmed.trials) == (chosen.recipe, 10)
    assert (chosen.budget, confirmed.budget) == (3 * 74_000, 5 * 74_000)
    repeated = design.make_cell("4-100", chosen.recipe, design.REPETITION_SEED)
    assert repeated == confirmed._replace(seed=repeated.seed, trials=2 * confirmed.trials)
    assert len({chosen.seed, confirmed.seed, repeated.seed}) == 3


def test_random_combinations_are_the_same_every_time():
    some = list(design.drawn("6b", 8))
    assert some == list(design.drawn("6b", 8)) == list(design.drawn("6b", 16))[: len(some)]
    assert some != [cell._replace(row="6b") for cell in design.drawn("6a", 8)]


def test_sequences_that_the_paper_does_not_count_are_in_no_ratio():
    assert design.ratio("2a", 10_000 + 2 * 5_040) == 2
    assert design.ratio("6a", 31_390) == 1
    assert design.make_cell("2a", "paper").budget == 10_000 + 3 * 5_040


@pytest.mark.parametrize(
    ("row", "solved", "trials", "is_enough"),
    [("6a", 7, 8, True), ("6a", 6, 8, False), ("1-3", 28, 30, False), ("1-4", 29, 30, True)],
)
def test_what_fits_is_solved_as_often_as_published_less_one(
    row: str, solved: int, trials: int, is_enough: bool
):
    mean = design.published_sequences(row)
    assert design.fits(row, outcome("", solved, mean, trials=trials)) == is_enough


def test_an_override_that_an_easier_row_rules_out_is_not_tried_alone():
    """...nor on harder rows: what counts is the nearest easier row that it was run on."""
    gathered = {row: [] for row in row_names()}
    gathered["4-100"] = [
        outcome("", 0, None),
        outcome("linear-output", 8, 74_000),
        outcome("h=identity", 0, None),
        outcome("initial-activation=0.5", 0, None, seed=1),  # not for choosing
        outcome("biases=all", 0, None, trials=10),  # nor this one
    ]
    gathered["4-500"] = [outcome("h=identity", 1, 200_000)]
    ruled_out = {
        row: {cell.recipe for cell in design.singles(row)}
        - {
            cell.recipe
            for cell in design.singles(row)
            if not design.is_ruled_out(row, cell.recipe, gathered.__getitem__)
        }
        for row in ("4-100", "4-500", "4-1000", "5-13")
    }
    assert not ruled_out["4-100"] and not ruled_out["5-13"]
    assert ruled_out["4-500"] == {"paper", "paper+h=identity"}
    assert ruled_out["4-1000"] == {"paper"}


@pytest.mark.parametrize(("row", "easier"), design.EASIER.items())
def test_an_easier_row_is_of_the_same_experiment_and_took_less(row: str, easier: str):
    harder, known = make_task(row), make_task(easier)
    assert row[0] == easier[0] and harder.trials == known.trials
    assert design.published_sequences(row) >= design.published_sequences(easier)


def test_the_smallest_interpretation_that_fits_is_chosen():
    outcomes = [
        outcome("", 2, 30_000),
        outcome("h=identity", 8, 100_000),  # three times as long as published
        outcome("linear-output+init-range-factor=3", 8, 31_000),
        outcome("tolerance=0.1", 7, 60_000),
        outcome("learning-rate-factor=2", 8, 31_000, seed=1),  # not for choosing
    ]
    chosen = [o for o in outcomes if o["seed"] == design.CHOICE_SEED]
    assert design.best("6a", chosen) == outcomes[3]
    unsolved = [outcome("", 0, None), outcome("h=identity", 3, 31_000)]
    assert design.best("6a", unsolved) == unsolved[1]
    assert design.best("6a", unsolved[:1]) is None


def test_the_trials_that_chose_an_interpretation_do_not_confirm_it():
    """...but the printed conditions were not chosen: their trials count if there are enough."""
    chosen = outcome("tolerance=0.1", 20, 31_000, trials=20)
    assert not design.is_confirmed("6a", chosen)
    assert design.is_confirmed("6a", chosen | {"seed": 1})
    assert design.is_confirmed("6a", outcome("", 20, 23_000, trials=20))
    assert not design.is_confirmed("6a", outcome("", 8, 23_000))


def test_a_repetition_fills_its_column_and_decides_nothing(tmp_path: pathlib.Path, no_rows: None):
    """...even where it alone fits: the page is the same without it, but for the last column."""
    results = Results(tmp_path, "6a")
    confirmed = design.make_cell("6a", "paper+tolerance=0.1", design.CONFIRMATION_SEED)
    results.add(confirmed, outcome("tolerance=0.1", 5, 31_390, 1, 20), {})
    before, _ = page.gather(tmp_path)
    for overrides, solved in (("tolerance=0.1", 30), ("initial-activation=0.5", 40)):
        cell = design.make_cell("6a", f"paper+{overrides}", design.REPETITION_SEED)
        results.add(cell, outcome(overrides, solved, 62_780, cell.seed, cell.trials), {})
    gathered, others = page.gather(tmp_path)
    assert gathered == before
    lines = page.rows_table(before, others).splitlines()
    line = lines[2 + list(before).index("6a")]
    assert line.endswith("| `tolerance=0.1` | 5 of 20 | 31,390 | 1.00 | no | 30 of 40, 2.00 |")
    assert [o for o in results.cells() if design.is_confirmed("6a", o)] == before["6a"]


def test_what_the_page_displays_is_what_is_repeated():
    for row, outcomes in page.gather(RESULTS / "ablations")[0].items():
        displayed = page.best_known(row, outcomes)
        assert displayed is not None
        assert design.best(row, (o for o in outcomes if design.is_confirmed(row, o))) == displayed


def test_of_interpretations_of_one_size_the_confirmed_one_is_displayed():
    confirmed = outcome("tolerance=0.1", 19, 50_000, seed=1, trials=20)
    chosen = [
        outcome("learning-rate-factor=2", 8, 31_390),
        outcome("initial-activation=0.5", 8, 31_000),
    ]
    assert page.best_known("6a", [*chosen, confirmed]) == confirmed
    assert page.best_known("6a", [chosen[0], confirmed | {"mean": 90_000}]) == chosen[0]


def test_an_interpretation_confirmed_on_two_rows_is_in_the_table_with_both():
    """...where one fits and the other does not; those of one row or of seed 0 are left out."""
    shared, single = "h=identity+tolerance=0.1", "h=identity+initial-activation=0.5"
    of_6a = [outcome(name, 20, 31_000, seed=1, trials=20) for name in (shared, single)]
    of_6b = [outcome(shared, 4, 500_000, seed=1, trials=10), outcome(single, 8, 500_000)]
    table = page.shared_table({"6a": of_6a, "6b": of_6b})
    assert table.splitlines()[2:] == ["| `h=identity+tolerance=0.1` | 6a | 6b |"]


def test_the_page_has_what_was_confirmed_and_its_prose_stays(tmp_path: pathlib.Path, no_rows: None):
    results = Results(tmp_path, "6a")
    chosen, confirmed = (
        design.make_cell("6a", "paper"),
        design.make_cell("6a", "paper+tolerance=0.1", design.CONFIRMATION_SEED),
    )
    results.add(chosen, outcome("", 2, 40_000.0), {})
    results.add(confirmed, outcome("tolerance=0.1", 7, 40_000.0, 1, 20), {})
    path = tmp_path / "README.md"
    page.write_page(tmp_path)
    tables = path.read_text()
    assert "none found" in tables
    path.write_text("Before.\n" + tables.replace("none found", "old") + "After.\n")
    for _ in range(2):
        page.write_page(tmp_path)
        text = path.read_text()
        assert text.startswith("Before.\n") and text.endswith("\nAfter.\n") and "old" not in text
    assert "| 6a | 31,390 | (2 of 8) | `tolerance=0.1` | 7 of 20 | 40,000 | 1.27 | no |  |" in text
    assert text.count("none found") == len(row_names()) - 1
    for name in ("alone", "together"):
        assert 10_000 < (tmp_path / f"{name}.png").stat().st_size < 150_000
    path.write_text(tables.replace("<!-- end of rows -->", "") + "After.\n")
    with pytest.raises(ValueError, match="must hold <!-- rows --> and, below, <!-- end of rows"):
        page.write_page(tmp_path)
    assert path.read_text().endswith("After.\n")


def test_the_committed_page_is_that_of_the_committed_results():
    text = (RESULTS / "ablations" / "README.md").read_text()
    gathered, others = page.gather(RESULTS / "ablations")
    rows = page.rows_table(gathered, others)
    assert all(table in text for table in (rows, page.shared_table(gathered)))
    for path in (RESULTS / "ablations").glob("*.json"):
        for key, entry in json.loads(path.read_text())["cells"].items():
            assert make_recipe(entry["recipe"]).name == entry["recipe"] == key.split()[0]


@pytest.mark.parametrize("row", ["1-1", "1-5", *(r for r in row_names() if r.startswith("3"))])
def test_the_digits_of_a_published_mean_forbid_our_test_interval(row: str):
    """No mean of trials that end at our tests is the printed one, even if rounded to tens."""
    task = make_task(row)
    rule, mean = task.rule, task.published.mean_sequences
    assert isinstance(rule, base.TestRule) and mean is not None
    least, above = task.trials * (mean - 5), task.trials * (mean + 5)
    next_multiple = -(-least // rule.interval) * rule.interval
    assert next_multiple >= above


def test_effects_are_the_coefficients_of_what_is_linear_in_them():
    """Of 0.1 + 0.4 a + 0.1 b + 0.2 a b over all combinations; c does nothing."""
    found = []
    g, h, start = "g=centred_1", "h=identity", "initial-activation=0.5"
    for a, b, c in itertools.product((0, 1), repeat=3):
        names = "+".join((g,) * a + (h,) * b + (start,) * c)
        found.append(outcome(names, 1 + 4 * a + b + 2 * a * b, None, trials=10))
    main = {e.overrides: (round(e.size, 6), e.cells) for e in effects(found, 1)}
    assert main == {(g,): (0.5, 4), (h,): (0.2, 4), (start,): (0, 4)}
    pairs = {e.overrides: (round(e.size, 6), e.error) for e in effects(found, 2)}
    assert pairs[g, h] == (0.2, 0.0)
    assert pairs[h, start][0] == 0 < pairs[h, start][1]
    assert not effects(found[:1], 1) and not effects(found, 4)


def test_a_run_cut_short_is_listed_with_what_its_curves_say():
    def document(row: str, budget: int, *curves: list[float]):
        trials = [
            {"solved": len(curve) == 1, "curve": [[n, error, 0.5] for n, error in enumerate(curve)]}
            for curve in curves
        ]
        return {"recipe": "paper", "task": row, "max_sequences": budget, "trials": trials}

    learns = [0.5 - 0.02 * n for n in range(20)]
    short = document("6a", 31_390, [0.5] * 20, learns, [0.1])
    table = page.cut_short_table([short, document("6a", 313_900, [0.5] * 20)])
    line = "| 6a | 31,390 | 1 | 2 | 1 | 0.4950 | 0.3150 | 0.1200 |"
    assert table.splitlines()[2:] == [line]
    others = [document("6a", 31_390, [0.1]), short | {"recipe": "adam"}, short | {"task": "x"}]
    assert not page.cut_short_table(others).splitlines()[2:]


def test_random_combinations_alone_make_the_table_of_effects():
    """...up to the first that was not run: what was run for another reason is not random."""
    drawn = [cell.recipe.removeprefix("paper+") for cell in design.drawn("6a", 16)]
    with_h = [name for name in drawn if "h=identity" in name]
    outcomes = [outcome(name, 8 * (name not in with_h), 30_000) for name in drawn]
    chosen = [outcome("h=identity+biases=all+g=logistic", 8, 30_000)]
    text = page.effects_table({"6a": chosen + outcomes})
    assert f"| 6a | {len(drawn)} | `h=identity` | {len(with_h)} | -1.00 | 0.00 |" in text
    assert "logistic" not in text and "| 6a |" not in page.effects_table({"6a": chosen})
    assert design.drawn_outcomes("6a", outcomes[::-1]) == outcomes
    assert design.drawn_outcomes("6a", outcomes[:3] + outcomes[4:]) == outcomes[:3]


def test_printed_conditions_come_from_the_rows_result_files_too(tmp_path: pathlib.Path):
    gathered, _ = page.gather(tmp_path)
    assert list(gathered) == list(row_names())
    (found,) = gathered["6a"]
    assert (found["recipe"], found["seed"], found["trials"]) == ("paper", 0, 20)


# Estimates ---------------------------------------------------------------------------------------


def counted(solved: int, trials: int, mean: float, spread: float = 0.1) -> dict:
    """The outcome of a cell whose solved trials have sequences around a mean."""
    found = [mean * (1 + spread * (-1) ** i) for i in range(solved)]
    return {"solved": solved, "trials": trials, "sequences": found + [None] * (trials - solved)}


def test_an_estimate_has_the_intervals_of_its_sample():
    published = make_task("6a").published.mean_sequences
    found = estimate.estimate("6a", counted(90, 100, published))
    # Wilson's interval of 90 of 100; the ratios' standard error is 0.1 / sqrt(90).
    np.testing.assert_allclose(found.success_interval, (0.8256, 0.9448), atol=1e-4)
    assert found.success == 0.9 and abs(found.ratio - 1) < 1e-6
    np.testing.assert_allclose(found.ratio_interval, (0.979, 1.021), atol=0.004)


@pytest.mark.parametrize(
    ("solved", "trials", "times", "expected"),
    [
        (80, 80, 1.0, "reproduced"),
        (80, 80, 1.99, "solved, not as published"),  # the interval exceeds 2
        (80, 80, 0.3, "solved, not as published"),
        (79, 80, 1.0, "solved, not as published"),  # published are all
        (60, 80, 1.0, "solved, not as published"),
        (40, 80, 1.0, "open"),
        (0, 80, 1.0, "open"),
        (1, 1, 1.0, "open"),  # a single trial has no interval
    ],
)
def test_a_row_is_reproduced_if_the_published_figures_lie_inside(solved, trials, times, expected):
    published = make_task("6a").published.mean_sequences
    outcome = counted(solved, trials, times * published)
    assert estimate.verdict("6a", estimate.estimate("6a", outcome)) == expected
