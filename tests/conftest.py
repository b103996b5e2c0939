"""Strict numerics for every test: nothing is broadcast to a higher rank or another dtype unasked.

Tests run in float32 unless their module asks for the fixture `float64`. They see two devices, so
that what is said about `shard_map` is not said of one device alone.
"""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator

import hypothesis
import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_num_cpu_devices", 2)

# Two thirds of the tests' time was compilation, of programs that run for milliseconds; XLA's older
# way to emit code takes half as long. What the environment says stays: `XLA_FLAGS= pytest` compiles
# as a user's program does, and so does `.ci/run` for what is central. An unknown flag would end the
# process, so other versions of JAX get none.
if jax.__version_info__[:2] == (0, 10):
    quick = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    quick += " --xla_backend_optimization_level=0"
    os.environ.setdefault("XLA_FLAGS", quick)

# Workers, and the processes that they start, find here what another one has compiled; see
# `small_tasks.binary_environment`.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="compiled-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)

# A new network costs a compilation: few examples, the same ones every time, and no search for
# smaller ones when one fails.
hypothesis.settings.register_profile(
    "lstm_jax",
    deadline=None,
    derandomize=True,
    max_examples=8,
    database=None,
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
)
hypothesis.settings.load_profile("lstm_jax")


# Files that take long begin first, so that no worker is left alone with one of them.
LONG = ("test_notebooks", "test_resumption", "test_rows", "test_devices", "test_search")

# The central theorems: the oracle, the truncation, invariances, one trial and one command.
QUICK = {
    "gradient/test_reference",
    "gradient/test_truncated",
    "cell/test_lanes",
    "network/test_padding",
    "training/test_stopping",
    "test_commands_in_pages",
    "test_layout",
}
# What says little beyond the rest for its time: files, or single tests of them. CI runs these after
# the README's command.
SLOW = {
    "test_how_to",
    "test_types",
    "analysis/test_diagnostics",
    "analysis/test_error_flow",
    "baselines/test_cascade_correlation",
    "baselines/test_chunker",
    "baselines/test_fully_recurrent",
    "baselines/test_guessing",
    "baselines/test_on_any_task",
    "baselines/test_step_gradients",
    "cell/test_kernel",
    "cell/test_parameters",
    "data/test_data",
    "experiments/test_ablation_cells",
    "experiments/test_ablations",
    "experiments/test_benchmark",
    "experiments/test_claims",
    "experiments/test_drill",
    "experiments/test_examples",
    "experiments/test_gate_roles",
    "experiments/test_mistakes",
    "experiments/test_notebooks",
    "experiments/test_online_claims",
    "experiments/test_promises",
    "experiments/test_real",
    "experiments/test_report",
    "experiments/test_resumption",
    "experiments/test_rows",
    "experiments/test_scalars",
    "experiments/test_search",
    "experiments/test_stream",
    "experiments/test_transfer",
    "gradient/test_influence",
    "network/test_attention",
    "network/test_batches",
    "network/test_bidirectional",
    "network/test_containers",
    "network/test_dtypes",
    "network/test_eager",
    "network/test_layer::test_layers_of_a_library_are_a_stack",
    "network/test_losses",
    "network/test_promises",
    "network/test_stack",
    "network/test_streaming",
    "network/test_transforms",
    "network/test_writing",
    "plots/test_pictures",
    "tasks/test_checks",
    "tasks/test_further_tasks",
    "training/test_cpu",
    "training/test_devices",
    "training/test_fit",
    "training/test_pickling",
    "training/test_processes",
    "training/test_random_search",
    "training/test_recipes",
    "training/test_runner::test_settings_of_jax_do_not_change_a_trial_s_numbers",
    "training/test_runner::test_the_best_model_is_that_of_the_chunk_with_the_lowest_error",
    "training/test_runner::test_trials_with_absurd_learning_rates_run_beside_others",
    "training/test_stacks",
    "training/test_training_loop::test_a_chunk_is_a_python_loop_of_single_updates",
    "training/test_training_loop::test_a_trial_that_has_ended_does_not_change",
}
# Minutes, before a release: every setting, notebook and command, endless runs.
RELEASE = {
    "test_reference",
    "baselines/test_update_rules",
    "experiments/test_claims::test_time_constants_for_one_lag_do_not_fit_others",
    "experiments/test_descendants",
    "experiments/test_error_flow_picture",
    "experiments/test_notebooks::test_a_notebook_runs_from_start_to_end",
    "experiments/test_own_data",
    "experiments/test_own_task",
    "experiments/test_resumption::test_a_damaged_checkpoint_is_named_and_the_one_before_serves",
    "experiments/test_resumption::test_a_run_that_the_second_ctrl_c_ended_continues",
    "experiments/test_rows::test_a_command_writes_its_row",
    "experiments/test_rows::test_a_result_is_not_run_again_with_resume_and_is_replaced_with_overwrite",
    "experiments/test_rows::test_workers_print_their_progress_and_the_parent_one_table",
    "experiments/test_search::test_random_search_runs_each_shape",
    "experiments/test_settings",
    "experiments/test_stopping",
    "network/test_endless",
    "network/test_interop",
    "network/test_meshes",
    "network/test_settings",
    "network/test_stack::test_a_stack_is_a_composition_of_its_layers",
    "training/test_debug_flags",
    "training/test_devices::test_numbers_are_the_same_on_1_3_and_4_devices_and_on_2_processes",
    "training/test_exceptions",
    "training/test_optimisers",
    "training/test_overrides",
    "training/test_processes::test_a_run_of_two_processes_survives_the_death_of_either",
    "training/test_resources",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests for workers that take a file each, and mark them."""
    order = {name: index for index, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONG)))
    for item in items:
        file = "/".join(item.path.with_suffix("").parts[-2:]).removeprefix("tests/")
        names = {file, f"{file}::{item.name.partition('[')[0]}"}
        for mark, marked in (("quick", QUICK), ("slow", SLOW), ("release", RELEASE)):
            if names & marked:
                item.add_marker(mark)


@pytest.fixture(scope="module")
def float64() -> Iterator[None]:
    """Double precision for all tests of a module."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module", autouse=True)
def forget_compiled_programs() -> Iterator[None]:
    """Compiled programs go with their module: a process may have only so many pieces of memory."""
    yield
    if programs := sys.modules.get("lstm_jax.training.trials.programs"):
        programs.forget_programs()
    jax.clear_caches()
