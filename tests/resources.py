"""The resources that this process holds."""

from __future__ import annotations

import gc
import os
import pathlib
import threading
from collections.abc import Callable
from typing import NamedTuple

import jax
import pytest

MEGABYTE = 2**20
STATM = pathlib.Path("/proc/self/statm")
needs_proc = pytest.mark.skipif(not STATM.exists(), reason="needs Linux's /proc")


class Resources(NamedTuple):
    """Numbers of things, and bytes of memory."""

    executables: int
    arrays: int
    threads: int
    files: int
    objects: int
    memory: int


def measure() -> Resources:
    """Return what is held after a collection of garbage."""
    gc.collect()
    pages = STATM.read_text().split()[1]
    return Resources(
        executables=len(jax.devices()[0].client.live_executables()),
        arrays=len(jax.live_arrays()),
        threads=threading.active_count(),
        files=len(os.listdir("/proc/self/fd")),
        objects=len(gc.get_objects()),
        memory=int(pages) * os.sysconf("SC_PAGE_SIZE"),
    )


def assert_bounded(use: Callable[[], object], times: int) -> None:
    """Assert that many calls hold no more than a few: less than one object in two calls."""
    for _ in range(20):
        use()
    before = measure()
    for _ in range(times):
        use()
    after = measure()
    assert after[:4] == before[:4]
    assert after.objects - before.objects < times // 2
    assert after.memory - before.memory < 8 * MEGABYTE
