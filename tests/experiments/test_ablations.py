"""The designed experiment: what is planned, which reading is chosen, and how they are shown."""

from __future__ import annotations

import itertools
import pathlib
from typing import Any

import pytest

from experiments.ablations import answer, choosing, cut_short, design
from experiments.ablations.cells import Results
from experiments.ablations.effects import effects
from experiments.rows.collection import RESULTS
from lstm_jax.tasks import make_task, row_names
from lstm_jax.tasks import task as base
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.trials.training_loop import TrainingLoop


def outcome(recipe: str, solved: int, mean: float | None, seed: int = 0, trials: int = 8) -> Any:
    return {"recipe": recipe, "seed": seed, "trials": trials, "solved": solved, "mean": mean}


@pytest.mark.parametrize("row", ["1-1", "2a", "2c-50-50", "4-100", "6b"])
def test_every_cell_is_one_that_its_row_can_have(row: str):
    planned = [*design.singles(row), *design.combined(row), *design.drawn(row, 8)]
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


def test_biases_that_are_added_to_given_ones_are_a_departure():
    (cell,) = design._possible("5-140", ["input-gate-bias=-3,-6+add-gate-bias", "biases=all"])
    assert cell.recipe == "paper+input-gate-bias=-3,-6+add-gate-bias"


def test_a_choice_its_confirmation_and_a_repetition_never_share_a_seed():
    chosen = design.choice("4-100", "paper+linear-output")
    confirmed = design.confirmation("4-100", chosen.recipe)
    assert (confirmed.recipe, confirmed.trials) == (chosen.recipe, 10)
    assert confirmed.seed != chosen.seed
    assert (chosen.budget, confirmed.budget) == (3 * 74_000, 5 * 74_000)
    repeated = design.repetition("4-100", chosen.recipe)
    assert repeated == confirmed._replace(seed=repeated.seed, trials=2 * confirmed.trials)
    assert repeated.seed not in (chosen.seed, confirmed.seed)


def test_random_combinations_are_the_same_ones_every_time():
    some = list(design.drawn("6b", 8))
    assert some == list(design.drawn("6b", 8)) == list(design.drawn("6b", 16))[: len(some)]
    assert some != [cell._replace(row="6b") for cell in design.drawn("6a", 8)]


def test_sequences_that_the_paper_does_not_count_are_in_no_ratio():
    assert design.ratio(make_task("2a"), 10_000 + 2 * 5_040) == 2
    assert design.ratio(make_task("6a"), 31_390) == 1
    assert design.choice("2a", "paper").budget == 10_000 + 3 * 5_040


@pytest.mark.parametrize(
    ("row", "solved", "trials", "is_enough"),
    [("6a", 7, 8, True), ("6a", 6, 8, False), ("1-3", 28, 30, False), ("1-4", 29, 30, True)],
)
def test_solved_as_often_as_published_but_for_one(
    row: str, solved: int, trials: int, is_enough: bool
):
    assert design.is_solved_often_enough(make_task(row), solved, trials) == is_enough


def test_a_departure_that_an_easier_row_rules_out_is_not_tried_by_itself():
    """...nor on the rows after that: what counts is the nearest easier row that it was run on."""
    gathered = {row: [] for row in row_names()}
    gathered["4-100"] = [
        outcome("paper", 0, None),
        outcome("paper+linear-output", 8, 74_000),
        outcome("paper+h=identity", 0, None),
        outcome("paper+initial-activation=0.5", 0, None, seed=1),  # not for choosing
        outcome("paper+biases=all", 0, None, trials=10),  # nor this one
    ]
    gathered["4-500"] = [outcome("paper+h=identity", 1, 200_000)]
    ruled_out = {
        row: {cell.recipe for cell in design.singles(row)}
        - {cell.recipe for cell in choosing.singles(row, gathered.__getitem__)}
        for row in ("4-100", "4-500", "4-1000", "5-13")
    }
    assert not ruled_out["4-100"] and not ruled_out["5-13"]
    assert ruled_out["4-500"] == {"paper", "paper+h=identity"}
    assert ruled_out["4-1000"] == {"paper"}


@pytest.mark.parametrize(("row", "easier"), design.EASIER.items())
def test_an_easier_row_is_of_the_same_experiment_and_took_less(row: str, easier: str):
    harder, known = make_task(row), make_task(easier)
    assert row[0] == easier[0] and harder.trials == known.trials
    assert design.wanted(harder) >= design.wanted(known)


def test_the_smallest_reading_that_works_is_chosen():
    outcomes = [
        outcome("paper", 2, 30_000),
        outcome("paper+h=identity", 8, 100_000),  # three times as long as published
        outcome("paper+linear-output+init-range-factor=3", 8, 31_000),
        outcome("paper+tolerance=0.1", 7, 60_000),
        outcome("paper+learning-rate-factor=2", 8, 31_000, seed=1),  # not for choosing
    ]
    found = choosing.best("6a", outcomes, confirmed=False)
    assert found is not None and found["recipe"] == "paper+tolerance=0.1"
    unsolved = [outcome("paper", 0, None), outcome("paper+h=identity", 3, 31_000)]
    found = choosing.best("6a", unsolved, confirmed=False)
    assert found is not None and found["recipe"] == "paper+h=identity"
    assert choosing.best("6a", unsolved[:1], confirmed=False) is None


def test_what_chose_a_reading_does_not_confirm_it():
    """...but the printed conditions were not chosen: their own trials, in full, count."""
    chosen = outcome("paper+tolerance=0.1", 20, 31_000, trials=20)
    assert choosing.best("6a", [chosen], confirmed=True) is None
    for confirmed in (chosen | {"seed": 1}, outcome("paper", 20, 23_000, trials=20)):
        assert choosing.best("6a", [chosen, confirmed], confirmed=True) == confirmed
    assert choosing.best("6a", [outcome("paper", 8, 23_000, trials=8)], confirmed=True) is None


def test_a_repetition_tells_of_a_reading_beside_it_and_decides_nothing(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    """...even where it alone works: the page is the same without it, but for the last column."""
    monkeypatch.setattr(answer, "read_results", list)
    results = Results(tmp_path, "6a")
    confirmed = design.confirmation("6a", "paper+tolerance=0.1")
    results.add(confirmed, outcome(confirmed.recipe, 5, 31_390, 1, 20), {})
    before = answer.gather(tmp_path)
    for recipe, solved in ((confirmed.recipe, 30), ("paper+initial-activation=0.5", 40)):
        cell = design.repetition("6a", recipe)
        results.add(cell, outcome(recipe, solved, 62_780, cell.seed, cell.trials), {})
    assert answer.gather(tmp_path) == before
    line = answer.table(before, answer.repeated(tmp_path)).splitlines()[
        2 + list(before).index("6a")
    ]
    assert line.endswith("| `tolerance=0.1` | 5 of 20 | 31,390 | 1.00 | no | 30 of 40, 2.00 |")
    assert choosing.best("6a", results.cells(), confirmed=True) == before["6a"][0]
    assert choosing.best("6a", results.cells(), confirmed=False) is None


def test_what_the_page_shows_is_what_is_repeated():
    for row, outcomes in answer.gather(RESULTS / "readings").items():
        (cell,) = choosing.to_repeat(row, outcomes, [])
        displayed = answer._to_show(row, outcomes)
        assert displayed is not None and cell == design.repetition(row, displayed["recipe"])
        (asked,) = choosing.to_repeat(row, outcomes, ["paper+init-range=0.3"])
        assert asked == design.repetition(row, "paper+init-range=0.3")


def test_of_readings_of_one_size_that_which_was_confirmed_is_shown():
    confirmed = outcome("paper+tolerance=0.1", 19, 50_000, seed=1, trials=20)
    chosen = [
        outcome("paper+learning-rate-factor=2", 8, 31_390),
        outcome("paper+initial-activation=0.5", 8, 31_000),
    ]
    assert answer._to_show("6a", [*chosen, confirmed]) == confirmed
    assert answer._to_show("6a", [chosen[0], confirmed | {"mean": 90_000}]) == chosen[0]


def test_a_reading_that_was_confirmed_on_two_rows_is_told_of_both():
    """...where one works and the other does not; one row's, or one of seed 0, is not told."""
    shared, own = "paper+h=identity+tolerance=0.1", "paper+h=identity+initial-activation=0.5"
    table = answer.common(
        {
            "6a": [
                outcome(shared, 20, 31_000, seed=1, trials=20),
                outcome(own, 20, 31_000, seed=1, trials=20),
            ],
            "6b": [
                outcome(shared, 4, 500_000, seed=1, trials=10),
                outcome(own, 8, 500_000),
            ],
        }
    )
    assert table.splitlines()[2:] == ["| `h=identity+tolerance=0.1` | 6a | 6b |"]


def test_few_readings_serve_all_rows_that_have_one():
    """...first that which serves most, then what serves most of the rest; of equals the better."""
    trials = {row: make_task(row).trials for row in ("3a-100-3", "3a-100-1", "6a", "6b")}
    means = {row: design.wanted(make_task(row)) for row in trials}

    def confirmed(row: str, *departures: str) -> list[Any]:
        names = ["+".join(("paper", text)) for text in departures]
        return [outcome(n, trials[row], means[row], seed=1, trials=trials[row]) for n in names]

    both = "linear-output+initial-activation=0.5"
    table = answer.few(
        {
            "3a-100-3": confirmed("3a-100-3", both, "h=identity"),
            "3a-100-1": confirmed("3a-100-1", both, "h=identity", "tolerance=0.1"),
            "6a": confirmed("6a", both, "tolerance=0.1", "initial-activation=0.5"),
            "6b": [outcome("paper+h=identity", 8, means["6b"])],  # not confirmed
        }
    )
    assert table.splitlines()[2:] == [f"| `{both}` | 3 | 3a-100-3, 3a-100-1, 6a |"]
    table = answer.few(
        {
            "3a-100-3": confirmed("3a-100-3", "h=identity", both),
            "3a-100-1": confirmed("3a-100-1", "h=identity", both),
            "6a": confirmed("6a", "g=centred_1+initial-activation=0.5", "tolerance=0.1"),
        }
    )
    assert table.splitlines()[2:] == [
        "| `h=identity` | 2 | 3a-100-3, 3a-100-1 |",
        "| `tolerance=0.1` | 1 | 6a |",
    ]
    slow, fast = confirmed("6a", "derivative-offset=0.02", "tolerance=0.1")
    table = answer.few({"6a": [slow | {"mean": 1.5 * means["6a"]}, fast]})
    assert table.splitlines()[2:] == ["| `tolerance=0.1` | 1 | 6a |"]


def test_the_page_says_what_was_confirmed_and_keeps_its_words(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(answer, "read_results", list)
    results = Results(tmp_path, "6a")
    for cell in (design.choice("6a", "paper"), design.confirmation("6a", "paper+tolerance=0.1")):
        solved = 7 if cell.seed else 2
        results.add(cell, outcome(cell.recipe, solved, 40_000.0, cell.seed, cell.trials), {})
    page = tmp_path / "README.md"
    page.write_text("Before.\n" + answer._PAGE.replace("\n\n", "\nold\n") + "After.\n")
    for _ in range(2):
        answer.show(tmp_path)
        text = page.read_text()
        assert text.startswith("Before.\n") and text.endswith("\nAfter.\n") and "old" not in text
    assert "| 6a | 31,390 | (2 of 8) | `tolerance=0.1` | 7 of 20 | 40,000 | 1.27 | no |  |" in text
    assert "| `tolerance=0.1` |  | 6a |" in text and "| `paper` |  | (6a) |" in text
    for name in ("alone", "together"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    assert text.count("none found") == len(row_names()) - 1


@pytest.mark.parametrize("row", ["1-1", "1-5", *(r for r in row_names() if r.startswith("3"))])
def test_the_digits_of_a_published_mean_forbid_our_test_interval(row: str):
    """No mean of trials that end at our tests is the printed one, even if rounded to tens."""
    task = make_task(row)
    rule, mean = task.rule, task.published.mean_sequences
    assert isinstance(rule, base.TestRule) and mean is not None
    least, above = task.trials * (mean - 5), task.trials * (mean + 5)
    next_multiple = -(-least // rule.interval) * rule.interval
    assert next_multiple >= above


def test_no_words_of_a_page_are_lost_for_want_of_a_mark(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(answer, "read_results", list)
    page = tmp_path / "README.md"
    page.write_text(answer._PAGE.replace("<!-- end of rows -->", "") + "After.\n")
    with pytest.raises(ValueError, match="must hold <!-- rows --> and, below, <!-- end of rows"):
        answer.show(tmp_path)
    assert page.read_text().endswith("After.\n")


def test_effects_are_the_coefficients_of_what_is_linear_in_them():
    """Of 0.1 + 0.4 a + 0.1 b + 0.2 a b over all combinations, twice; c does nothing."""
    found = []
    for a, b, c in itertools.product((0, 1), repeat=3):
        names = ("g=centred_1",) * a + ("h=identity",) * b + ("initial-activation=0.5",) * c
        found += [outcome("+".join(("paper", *names)), 1 + 4 * a + b + 2 * a * b, None, trials=10)]
    main = {e.departures: (round(e.size, 6), e.cells) for e in effects(found)}
    assert main == {
        ("g=centred_1",): (0.5, 4),
        ("h=identity",): (0.2, 4),
        ("initial-activation=0.5",): (0, 4),
    }
    pairs = {e.departures: (round(e.size, 6), e.error) for e in effects(found, order=2)}
    assert pairs["g=centred_1", "h=identity"] == (0.2, 0.0)
    assert (
        pairs["h=identity", "initial-activation=0.5"][0]
        == 0
        < pairs["h=identity", "initial-activation=0.5"][1]
    )
    assert not effects(found[:1]) and not effects(found, order=4)


def test_a_row_that_was_cut_short_is_said_to_learn_or_not():
    def document(row: str, budget: int, *curves: list[float]) -> Any:
        trials = [
            {"solved": len(curve) == 1, "curve": [[n, error, 0.5] for n, error in enumerate(curve)]}
            for curve in curves
        ]
        return {"recipe": "paper", "task": row, "max_sequences": budget, "trials": trials}

    loop = [0.5 - 0.02 * n for n in range(20)]
    short = document("6a", 31_390, [0.5] * 20, loop, [0.1])
    text = cut_short.sentences([short, document("6a", 313_900, [0.5] * 20)])
    assert text.startswith("- **6a**, 31,390 sequences, 1 times the published mean: of 2 unsolved")
    assert "1 at chance; mean error 0.4950 in the first tenth, 0.3150 in the last" in text
    assert text.endswith("lowest 0.1200.") and "\n" not in text
    assert not cut_short.sentences([document("6a", 31_390, [0.1]), short | {"recipe": "adam"}])


def test_random_combinations_alone_make_the_table_of_effects():
    drawn = [cell.recipe for cell in design.drawn("6a", 16)]
    with_h = [recipe for recipe in drawn if "h=identity" in recipe]
    outcomes = [outcome(recipe, 8 * (recipe not in with_h), 30_000) for recipe in drawn]
    chosen = [outcome("paper+h=identity+biases=all+g=logistic", 8, 30_000)]
    text = answer.effects_table({"6a": chosen + outcomes})
    assert f"| 6a | {len(drawn)} | `h=identity` | {len(with_h)} | -1.00 | 0.00 |" in text
    assert "logistic" not in text and not answer.effects_table({"6a": chosen}).count("| 6a |")


def test_a_random_combination_counts_if_all_before_it_were_run():
    """...since what was run for another reason is no random one."""
    outcomes = [outcome(cell.recipe, 4, 30_000) for cell in design.drawn("6a", 16)]
    assert choosing.drawn("6a", outcomes[::-1]) == outcomes
    assert choosing.drawn("6a", outcomes[:3] + outcomes[4:]) == outcomes[:3]


def test_printed_conditions_come_from_their_own_result_files_too(tmp_path: pathlib.Path):
    gathered = answer.gather(tmp_path)
    assert list(gathered) == list(row_names())
    (own,) = gathered["6a"]
    assert (own["recipe"], own["seed"], own["trials"]) == ("paper", 0, 20)
