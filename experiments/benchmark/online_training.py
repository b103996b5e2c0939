"""Cases a, b, c, f, g, scaling and width: online training.

In all but f, an endless stream, there is one update per sequence.

Ours is `TrialRunner.run_chunk`: it draws sequences of 100 to 110 steps, pads them to 110, evaluates
the stopping rules and returns metrics to the host. The peers receive sequences of 105 steps drawn
beforehand, without padding, rules or metrics, in one compiled scan.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import lstm_jax as lstm
from experiments.benchmark import peers
from experiments.benchmark.measure import (
    OURS,
    BenchmarkPlan,
    Measurement,
    check_close,
    check_gradient,
    compile_for,
)
from experiments.benchmark.peers import Peer
from lstm_jax import TrialRunner
from lstm_jax.cell.parameters import join
from lstm_jax.cell.step import cell_step
from lstm_jax.tasks import StreamRule, make_task
from lstm_jax.training.host.cpu import default_batch_size
from lstm_jax.training.trials.training_loop import TRAINING
from lstm_jax.training.update_rules.base import AnyModel, subkey

TRIALS = {"a": 1, "b": 20, "c": 1000}
CHUNKS = {"a": 1000, "b": 500, "c": 1000}
BATCH_SIZES = (8, 128, 1024, 8192)
STEPS = 105
UNIT = "sequences"
CHECKED_UPDATES = 20
STREAM_NET = lstm.Architecture(8, (4,) * 16, 4)  # 64 cells
STREAM_STEPS = (1_000, 1_000_000)
STREAM_CHUNK = 1_000  # steps per update of `learn_chunk`


def run(case: str, plan: BenchmarkPlan) -> list[Measurement]:
    """Measure task 6a with the case's number of trials, and the peers in cases a and b."""
    trials = TRIALS[case] if not plan.quick else min(TRIALS[case], 3)
    chunk = plan.size(CHUNKS[case], 5)
    sizes = (1, 8) if case == "a" else (default_batch_size(jax.default_backend()),)
    ours = [_measure_ours(plan, "6a", trials, chunk, batch_size) for batch_size in sizes]
    if case == "c":
        return ours
    count = plan.size(500, 3)
    task = make_task("6a")
    others = peers.jax_peers(task.architecture.num_inputs, task.architecture.num_cells)
    found = ours + [_measure_peer(plan, task, peer, trials, count) for peer in others]
    if case == "a" and plan.with_torch and peers.torch is not None:
        count, net, rate = plan.size(20, 3), task.architecture, task.hyperparameters.learning_rate
        call = peers.train_layer(*_draw(task, count), net.num_inputs, net.num_cells, rate)
        options = {"work": count, "unit": UNIT, "check": peers.UNCHECKED, "jit": False}
        found.append(plan.measure("torch.nn.LSTM", call, **options))
        found.append(_measure_torch_loop(plan, task))
    return found


def run_alphabets(plan: BenchmarkPlan) -> list[Measurement]:
    """Measure task 2c with 54 and with 1,004 one-hot inputs; `work` counts steps."""
    measurements = []
    for row in ("2c-1000-50", "2c-1000-1000"):
        measurement = _measure_ours(plan, row, 8, plan.size(20, 2), 8)
        measurement.work *= make_task(row).max_length
        measurement.unit = "steps"
        measurement.contender = f"{OURS} {row}"
        measurements.append(measurement)
    ratio = measurements[1].run_seconds / measurements[0].run_seconds
    measurements[1].notes["time per step, p = 1,000 to p = 50"] = round(ratio, 3)
    return measurements


def run_batch_sizes(plan: BenchmarkPlan) -> list[Measurement]:
    """Measure one batch of trials of 6a on one device, at increasing batch sizes."""
    sizes = BATCH_SIZES[: plan.size(len(BATCH_SIZES), 2)]
    chunk = plan.size(20, 2)
    return [_measure_ours(plan, "6a", size, chunk, size, num_devices=1) for size in sizes]


def run_scaling(plan: BenchmarkPlan) -> list[Measurement]:
    """Measure the same trials on one device and on two.

    Two devices with 8 trials each hold 16 of case b's 20, with 10 each all.
    """
    measurements = []
    for trials, batch_size in ((20, 8), (20, 10), (32, 8))[: plan.size(3, 1)]:
        one, two = (
            _measure_ours(plan, "6a", trials, plan.size(200, 2), batch_size, num_devices)
            for num_devices in (1, 2)
        )
        two.notes["speed to 1 device"] = round(one.run_seconds / two.run_seconds, 2)
        measurements += [one, two]
    return measurements


def _measure_ours(
    plan: BenchmarkPlan,
    row: str,
    trials: int,
    chunk: int,
    batch_size: int,
    num_devices: int | None = None,
) -> Measurement:
    check = _check_updates(make_task(row), batch_size)
    loop = _endless(make_task(row), chunk)
    mesh = Mesh(np.array(jax.devices()[: 1 if trials == 1 else num_devices]), ("trials",))
    runner = TrialRunner(loop, range(trials), mesh=mesh, batch_size=batch_size)
    name = f"{OURS}, {trials} trials by {batch_size}, {mesh.size} devices"
    work = trials * chunk
    found = plan.measure(name, runner.run_chunk, work=work, unit=UNIT, check=check, jit=False)
    if plan.quick:
        return found
    batch = jax.tree.map(lambda a: a[..., np.arange(batch_size) % trials], runner.state().trials)
    _, costs = compile_for(loop.run_chunk, batch, jnp.int32(0))
    return dataclasses.replace(found, **costs)


def _endless(task: lstm.Task, chunk: int) -> lstm.TrainingLoop:
    """Return the paper's training loop with a stopping rule of the same cost that is never met."""
    rule = task.rule
    assert isinstance(rule, StreamRule)
    rule = dataclasses.replace(rule, mean_error=1e-30)
    task = dataclasses.replace(task, rule=rule, max_sequences=2**30)
    return dataclasses.replace(lstm.TrainingLoop(task), chunk=chunk)


def _check_updates(task: lstm.Task, batch_size: int) -> str:
    """Check a chunk against the same updates one by one, with the gradient by autodiff."""
    loop = _endless(task, CHECKED_UPDATES if task.max_length < 200 else 3)
    runner = TrialRunner(loop, range(batch_size), batch_size=batch_size)
    before = jax.tree.map(lambda a: a[..., -1], runner.state().trials)
    runner.run_chunk()
    after = jax.tree.map(lambda a: a[..., -1], runner.state().trials)
    learning_rate = task.hyperparameters.learning_rate

    @jax.jit
    def update(parameters: lstm.Parameters, n: jax.Array) -> lstm.Parameters:
        example = task.sample(subkey(before.keys, TRAINING, n), None)
        options = lstm.RunOptions(gradient="truncated_autodiff")
        steps = lstm.Steps(length=example.length)

        def loss(parameters: lstm.Parameters) -> jax.Array:
            net, inputs = task.architecture, example.inputs
            outputs, _ = lstm.apply(net, parameters, inputs, at="end", steps=steps, options=options)
            return lstm.half_squared_error(outputs, example.targets)

        return _descend(parameters, jax.grad(loss)(parameters), learning_rate)

    parameters = jax.tree.map(jnp.asarray, before.model.parameters)
    for n in range(loop.chunk):
        parameters = update(parameters, jnp.int32(n))
    what = f"{loop.chunk} updates one by one"
    return check_close(what, after.model.parameters, parameters, tolerance=1e-4)


def _descend(weights: AnyModel, gradient: AnyModel, learning_rate: float) -> AnyModel:
    return jax.tree.map(lambda w, g: w - learning_rate * g, weights, gradient)


def _draw(task: lstm.Task, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw symbols [count, 105], the last of which is that of the sequence, and targets."""
    examples = jax.device_get(task.sample_batch(jax.random.key(1), count))
    ends = examples.length - 1
    symbols = examples.inputs[:, :STEPS].copy()
    symbols[:, -1] = examples.inputs[np.arange(count), ends]
    return symbols, examples.targets


def _measure_peer(
    plan: BenchmarkPlan, task: lstm.Task, peer: Peer, trials: int, count: int
) -> Measurement:
    net, learning_rate = task.architecture, task.hyperparameters.learning_rate
    symbols, targets = _draw(task, trials * count)
    inputs = np.eye(net.num_inputs, dtype=np.float32)[symbols]
    inputs = inputs.reshape(trials, count, STEPS, 1, net.num_inputs)
    targets = targets.reshape(trials, count, -1)
    output = 0.1 * jax.random.normal(jax.random.key(3), (net.num_cells, net.num_outputs))
    weights = (peer.weights, output, jnp.zeros(net.num_outputs))

    def loss(weights: AnyModel, inputs: jax.Array, target: jax.Array) -> jax.Array:
        layer, output, bias = weights
        last = peer.run(layer, inputs)[-1, 0]
        return lstm.half_squared_error(jax.nn.sigmoid(last @ output + bias), target)

    def train(weights: AnyModel, inputs: jax.Array, targets: jax.Array) -> AnyModel:
        def update(weights: AnyModel, example: tuple) -> tuple[AnyModel, None]:
            return _descend(weights, jax.grad(loss)(weights, *example), learning_rate), None

        return jax.lax.scan(update, weights, (inputs, targets))[0]

    check = check_gradient(lambda weights: loss(weights, inputs[0, 0], targets[0, 0]), weights)
    arguments = (weights, inputs[0], targets[0])
    if trials > 1:
        train, arguments = _sharded(train, trials, weights, inputs, targets)
    work = trials * count
    return plan.measure(peer.name, train, *arguments, work=work, unit=UNIT, check=check)


def _sharded(
    train: Callable, trials: int, weights: AnyModel, *data: np.ndarray
) -> tuple[Callable, tuple]:
    """Return `train` for many trials, on as many devices as divide them, and its arguments."""
    weights = jax.tree.map(lambda w: jnp.broadcast_to(w, (trials, *w.shape)), weights)
    num_devices = max(n for n in range(1, jax.device_count() + 1) if trials % n == 0)
    mesh = Mesh(np.array(jax.devices()[:num_devices]), ("trials",))
    arguments = jax.device_put((weights, *data), NamedSharding(mesh, P("trials")))
    sharded = jax.shard_map(
        jax.vmap(train), mesh=mesh, in_specs=P("trials"), out_specs=P("trials"), check_vma=False
    )
    return sharded, arguments


def _measure_torch_loop(plan: BenchmarkPlan, task: lstm.Task) -> Measurement:
    count = plan.size(4, 1)
    symbols, targets = _draw(task, count)
    trial = TrialRunner(_endless(task, 1), [0], batch_size=1).state().trials
    parameters = jax.tree.map(lambda a: a[..., 0], trial.model.parameters)
    rate = task.hyperparameters.learning_rate
    found, call = peers.train_1997_loop(task.architecture, parameters, symbols, targets, rate)

    def loss(parameters: lstm.Parameters) -> jax.Array:
        outputs, _ = lstm.apply(task.architecture, parameters, jnp.asarray(symbols[0]), at="end")
        return lstm.half_squared_error(outputs, jnp.asarray(targets[0]))

    expected = jax.jit(jax.grad(loss))(parameters).output
    expected = [expected.cell, expected.bias]
    check = check_close("output weights against ours", found[3:], expected, 1e-4)
    return plan.measure("torch 1997 loop", call, work=count, unit=UNIT, check=check, jit=False)


def run_stream(plan: BenchmarkPlan) -> list[Measurement]:
    """Measure a million steps in one compiled call: the forward pass, and two learners.

    The learners have a loss at every step. They update after every step or after every chunk.
    """
    parameters = lstm.initialise(jax.random.key(0), STREAM_NET)
    check = _check_learners(parameters)
    measurements = []
    for full_steps in STREAM_STEPS:
        steps = plan.size(full_steps, full_steps // 1000 + 2 * STREAM_CHUNK)
        few = dataclasses.replace(plan, repeats=plan.repeats if steps < 100_000 else 2)
        forward, *learners = [
            few.measure(name, function, parameters, work=steps, unit="steps", check=check)
            for name, function in _streams(full_steps, steps).items()
        ]
        for learner in learners:
            ratio = learner.run_seconds / forward.run_seconds
            learner.notes["time per step, to the forward pass"] = round(ratio, 2)
        measurements += [forward, *learners]
    return measurements


def _symbol(t: jax.Array) -> jax.Array:
    """Compute a symbol for step t, without an array over all steps."""
    return (t * t + t // 7) % STREAM_NET.num_inputs


def _target(t: jax.Array) -> jax.Array:
    """Return the next symbol as a one-hot vector, modulo the number of outputs."""
    return jax.nn.one_hot(_symbol(t + 1) % STREAM_NET.num_outputs, STREAM_NET.num_outputs)


def _streams(full_steps: int, steps: int) -> dict[str, Callable[[lstm.Parameters], AnyModel]]:
    optimiser = optax.sgd(1e-3)

    def forward(parameters: lstm.Parameters) -> jax.Array:
        weights = join(STREAM_NET, parameters.layer)

        def body(t: jax.Array, state: lstm.State) -> lstm.State:
            net_input = weights.input[_symbol(t)] + weights.bias
            return cell_step(STREAM_NET, weights, state, net_input)[0]

        return jax.lax.fori_loop(0, steps, body, lstm.zero_state(STREAM_NET)).cell_output

    def train(interval: int, parameters: lstm.Parameters) -> lstm.Parameters:
        def body(i: jax.Array, learner: lstm.online.Learner) -> lstm.online.Learner:
            t = i if interval == 1 else i * interval + jnp.arange(interval)
            learn = lstm.online.learn if interval == 1 else lstm.learn_chunk
            learner = learn(STREAM_NET, learner, _symbol(t), _target(t))[1]
            return lstm.online.update(optimiser, learner)

        learner = lstm.online.init_learner(STREAM_NET, parameters, optimiser)
        return jax.lax.fori_loop(0, steps // interval, body, learner).parameters

    functions = {
        "forward alone": forward,
        "learner, update every step": functools.partial(train, 1),
        f"learner, update every {STREAM_CHUNK:,}": functools.partial(train, STREAM_CHUNK),
    }
    return {f"{OURS} {name}, {full_steps:,} steps": f for name, f in functions.items()}


def _check_learners(parameters: lstm.Parameters, steps: int = 50) -> str:
    """Check both learners' gradients, `learn_chunk` in two chunks, against the truncated one."""
    inputs = _symbol(jnp.arange(steps))
    targets = jax.random.uniform(jax.random.key(1), (steps, STREAM_NET.num_outputs))

    def loss(parameters: lstm.Parameters) -> jax.Array:
        return lstm.half_squared_error(lstm.apply(STREAM_NET, parameters, inputs)[0], targets)

    @jax.jit
    def by_chunks(parameters: lstm.Parameters) -> lstm.Parameters:
        learner = lstm.online.init_learner(STREAM_NET, parameters, optax.identity())
        for part in (slice(0, steps // 2), slice(steps // 2, steps)):
            _, learner = lstm.learn_chunk(STREAM_NET, learner, inputs[part], targets[part])
        return learner.gradient

    expected = jax.jit(jax.grad(loss))(parameters)
    by_steps = jax.jit(lambda *data: lstm.online.online_gradient(STREAM_NET, *data)[1])
    found = by_steps(parameters, inputs, targets, jnp.ones(steps)), by_chunks(parameters)
    return check_close("both learners against truncated", found, (expected, expected), 1e-4)
