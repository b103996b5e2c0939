"""Recurrent nets once more, in NumPy and in loops over single units; shares no code with ours.

Weights are a dict of arrays [source][unit] under `Weights`' names; `output` and `direct` may be
None. Nothing here backpropagates: gradients come from differences or, for RTRL, from the recursion
of Williams & Zipser, unit by unit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def f(x):
    return 1.0 / (1.0 + np.exp(-x))


def weighted(weights: np.ndarray, sources: np.ndarray) -> float:
    return sum(w * x for w, x in zip(weights, sources, strict=True))


def run(
    weights: dict, inputs: np.ndarray, tau: np.ndarray, num_outputs: int, start=None
) -> tuple[np.ndarray, np.ndarray]:
    """The activations [T, R] and the outputs [T, K] of a sequence."""
    y = np.zeros(len(tau)) if start is None else start
    activations, outputs = [], []
    for x_t in inputs:
        y_tm1, y = y, np.zeros(len(tau))
        for unit in range(len(y)):
            net = weighted(weights["input"][:, unit], x_t)
            net += weighted(weights["recurrent"][:, unit], y_tm1)
            y[unit] = tau[unit] * y_tm1[unit] + (1 - tau[unit]) * f(net)
        activations.append(y)
        outputs.append(outputs_of(weights, y, x_t, num_outputs))
    return np.array(activations), np.array(outputs)


def outputs_of(weights: dict, y_t: np.ndarray, x_t: np.ndarray, num_outputs: int) -> np.ndarray:
    if weights["output"] is None:
        return y_t[len(y_t) - num_outputs :]
    outputs = np.zeros(num_outputs)
    for k in range(num_outputs):
        net = weighted(weights["output"][:, k], y_t)
        if weights["direct"] is not None:
            net += weighted(weights["direct"][:, k], x_t)
        outputs[k] = f(net)
    return outputs


def half_squared_error(outputs: np.ndarray, targets: np.ndarray, at_steps: np.ndarray) -> float:
    return 0.5 * (at_steps * ((outputs - targets) ** 2).sum(1)).sum()


def differences(error: Callable[[dict], float], weights: dict, width: float = 1e-5) -> dict:
    """The gradient of `error` by central differences, good to some 1e-10."""
    gradient: dict = {}
    for name, array in weights.items():
        if array is None:
            gradient[name] = None
            continue
        gradient[name] = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            ends = []
            for sign in (1, -1):
                changed = array.copy()
                changed[index] += sign * width
                ends.append(error(weights | {name: changed}))
            gradient[name][index] = (ends[0] - ends[1]) / (2 * width)
    return gradient


def bptt_gradient(
    weights: dict, inputs: np.ndarray, targets: np.ndarray, at_steps: np.ndarray, tau: np.ndarray
) -> dict:
    """The gradient of E / 2 of a sequence."""

    def error(weights: dict) -> float:
        _, outputs = run(weights, inputs, tau, targets.shape[1])
        return half_squared_error(outputs, targets, at_steps)

    return differences(error, weights)


def elman_gradient(
    weights: dict, inputs: np.ndarray, targets: np.ndarray, at_steps: np.ndarray, tau: np.ndarray
) -> dict:
    """The same with the activations of each step before held fixed."""
    activations, _ = run(weights, inputs, tau, targets.shape[1])

    def error(weights: dict) -> float:
        total = 0.0
        for t in range(len(inputs)):
            now, context = slice(t, t + 1), activations[t - 1] if t else None
            _, outputs = run(weights, inputs[now], tau, targets.shape[1], context)
            total += half_squared_error(outputs, targets[now], at_steps[now])
        return total

    return differences(error, weights)


def learn_by_rtrl(
    weights: dict, inputs: np.ndarray, targets: np.ndarray, at_steps: np.ndarray, rate: float
) -> tuple[dict, np.ndarray]:
    """Online RTRL of a fully recurrent net without time constants: an update after every step."""
    w = np.concatenate([weights["input"], weights["recurrent"]])  # [S, R]
    (num_sources, units), num_outputs = w.shape, targets.shape[1]
    y, p, outputs = np.zeros(units), np.zeros((units, num_sources, units)), []
    for x_t, target, at_step in zip(inputs, targets, at_steps, strict=True):
        z = np.concatenate([x_t, y])
        y = np.array([f(z @ w[:, k]) for k in range(units)])
        p_tm1, p = p, np.zeros_like(p)
        for k, s, i in np.ndindex(p.shape):
            feedback = sum(w[len(x_t) + m, k] * p_tm1[m, s, i] for m in range(units))
            p[k, s, i] = y[k] * (1 - y[k]) * (feedback + (k == i) * z[s])
        outputs.append(y[units - num_outputs :])
        error = np.zeros(units)
        error[units - num_outputs :] = target - outputs[-1]
        w = w + rate * at_step * np.einsum("k,ksi->si", error, p)
    split = weights["input"].shape[0]
    return weights | {"input": w[:split], "recurrent": w[split:]}, np.array(outputs)
