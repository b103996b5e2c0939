"""Which derivatives a function is open to: two identities that refuse the others in words.

A `custom_vjp` alone would refuse forward mode without saying what to use instead, and would give
second derivatives in silence, of which it knows nothing.
"""

from __future__ import annotations

from typing import NoReturn, TypeVar

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

T = TypeVar("T")

_ALTERNATIVES = (
    'gradient="truncated_autodiff", the same derivative, or gradient="full", the exact one'
)


def reverse_mode_only(tree: T) -> T:
    """The identity; forward mode (`jax.jvp`, `jax.jacfwd`, `jax.linearize`) raises TypeError."""
    return jax.tree.map(_reverse_mode_only.bind, tree)


def first_order_only(tree: T) -> T:
    """The identity; a derivative of it raises TypeError."""
    return jax.tree.map(lambda x: _first_order_only(x) if _is_floating(x) else x, tree)


def _is_floating(x: jax.Array) -> bool:
    return jax.numpy.issubdtype(x.dtype, jax.numpy.floating)


@jax.custom_jvp
def _first_order_only(x: jax.Array) -> jax.Array:
    return x


@_first_order_only.defjvp
def _refuse_second_order(*_: object) -> NoReturn:
    raise TypeError(
        f'gradient="truncated" has no second derivatives; for these use {_ALTERNATIVES}'
    )


def _refuse_forward_mode(*_: object, **__: object) -> NoReturn:
    raise TypeError(
        'gradient="truncated" works in reverse mode only (jax.grad, jax.vjp, jax.jacrev); '
        f"for forward mode (jax.jvp, jax.jacfwd, jax.linearize) use {_ALTERNATIVES}"
    )


# A linear map that can be staged out and transposed, but neither evaluated nor compiled.
_untaken_tangent = Primitive("untaken_tangent")
_untaken_tangent.def_abstract_eval(lambda tangent: tangent)
_untaken_tangent.def_impl(_refuse_forward_mode)
ad.deflinear2(_untaken_tangent, lambda cotangent, _: [cotangent])
batching.primitive_batchers[_untaken_tangent] = _refuse_forward_mode
mlir.register_lowering(_untaken_tangent, _refuse_forward_mode)

_reverse_mode_only = Primitive("reverse_mode_only")
_reverse_mode_only.def_abstract_eval(lambda x: x)
_reverse_mode_only.def_impl(lambda x: x)
ad.defjvp(_reverse_mode_only, lambda tangent, _: _untaken_tangent.bind(tangent))
batching.defvectorized(_reverse_mode_only)
mlir.register_lowering(_reverse_mode_only, lambda _, x: [x])
