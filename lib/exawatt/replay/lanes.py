"""Eight entries of an array at once: sorted lists, and searches, without a branch.

A branch that is mispredicted costs as much as a dozen such steps, and LLVM turns these vectors
into whatever the processor has. Lists are sorted descending, so that the next to end is the last:
most insertions land near the end. Slots 0 to ``LANES - 1`` of a list hold infinity, `last` is the
slot of its last entry, and what lies behind it is less than any end that is still to come.

Vector loads of what was stored a moment ago in smaller pieces stall; therefore a list is closed by
minus infinity when an entry leaves it, not when the next one comes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from exawatt.replay.compiling import compiled_inline
from exawatt.replay.state import LANES
from exawatt.stats import Floats

#: An unsigned index spares the test for a negative one.
u = np.uint64
_F64, _I64, _I32 = ir.DoubleType(), ir.IntType(64), ir.IntType(32)


def new_list(capacity: int) -> tuple[Floats, np.ndarray]:
    """Empty sorted list for `capacity` entries: ends [s] and jobs."""
    ends = np.full(capacity + 3 * LANES, -np.inf)
    ends[:LANES] = np.inf
    return ends, np.zeros(capacity + 3 * LANES, np.int64)


def vector_code(function: Callable[..., Any]) -> Any:
    """Declare LLVM code that compiled functions may call."""
    return intrinsic(function)


class _Lanes:
    """Writes LLVM vector code over slots of one-dimensional arrays."""

    def __init__(self, context: Any, builder: Any) -> None:
        self.context, self.builder = context, builder

    def _slots(self, array_type: Any, array: Any, at: Any, offset: int) -> Any:
        element = _F64 if array_type.dtype == types.float64 else _I64
        data = cgutils.create_struct_proxy(array_type)(self.context, self.builder, array).data
        first = self.builder.gep(data, [self.builder.add(at, ir.Constant(_I64, offset))])
        return self.builder.bitcast(first, ir.VectorType(element, LANES).as_pointer())

    def load(self, array_type: Any, array: Any, at: Any, offset: int = 0) -> Any:
        """Slots from ``at + offset`` on."""
        vector = self.builder.load(self._slots(array_type, array, at, offset))
        vector.align = 8
        return vector

    def store(self, vector: Any, array_type: Any, array: Any, at: Any, offset: int = 0) -> None:
        """Write slots from ``at + offset`` on."""
        self.builder.store(vector, self._slots(array_type, array, at, offset)).align = 8

    def splat(self, scalar: Any) -> Any:
        """The scalar in every lane."""
        vector = ir.Constant(ir.VectorType(scalar.type, LANES), ir.Undefined)
        vector = self.builder.insert_element(vector, scalar, ir.Constant(_I32, 0))
        zeros = ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES)
        return self.builder.shuffle_vector(vector, vector, zeros)

    def bits(self, condition: Any) -> Any:
        """One bit a lane, as an integer."""
        return self.builder.zext(self.builder.bitcast(condition, ir.IntType(LANES)), _I64)


@vector_code
def _insert8(typing, ends, jobs, last, end, job):  # type: ignore[no-untyped-def]
    """Put an entry where it belongs among the eight slots up to `last`, sorted descending.

    ``new[i] = old[i - 1] where old[i - 1] < end, else end where old[i] < end, else old[i]``
    """

    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        lanes = _Lanes(context, builder)
        (te, tj, *_), (ends, jobs, last, end, job) = signature.args, args
        here, before = (lanes.load(te, ends, last, k) for k in (1 - LANES, -LANES))
        j_here, j_before = (lanes.load(tj, jobs, last, k) for k in (1 - LANES, -LANES))
        e, j = lanes.splat(end), lanes.splat(job)
        here_less = builder.fcmp_ordered("<", here, e)
        before_less = builder.fcmp_ordered("<", before, e)
        new = builder.select(before_less, before, builder.select(here_less, e, here))
        j_new = builder.select(before_less, j_before, builder.select(here_less, j, j_here))
        lanes.store(new, te, ends, last, 1 - LANES)
        lanes.store(j_new, tj, jobs, last, 1 - LANES)
        return context.get_dummy_value()

    return types.void(ends, jobs, last, end, job), code


@vector_code
def _count_less8(typing, ends, last, end):  # type: ignore[no-untyped-def]
    """How many of the eight slots up to `last` are less than `end`."""

    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        lanes = _Lanes(context, builder)
        here = lanes.load(signature.args[0], args[0], args[1], 1 - LANES)
        less = builder.fcmp_ordered("<", here, lanes.splat(args[2]))
        return builder.ctpop(lanes.bits(less))

    return types.int64(ends, last, end), code


@vector_code
def _close8(typing, array, at):  # type: ignore[no-untyped-def]
    """Move eight slots one down, onto slot `at` and the next seven."""

    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        lanes, ta = _Lanes(context, builder), signature.args[0]
        array, at = args
        lanes.store(lanes.load(ta, array, at, 1), ta, array, at)
        return context.get_dummy_value()

    return types.void(array, at), code


@vector_code
def fitting8(typing, procs, at, free):  # type: ignore[no-untyped-def]
    """Bit `k`: slot ``at + k`` needs no more than `free`."""

    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        lanes = _Lanes(context, builder)
        size = lanes.load(signature.args[0], args[0], args[1])
        return lanes.bits(builder.icmp_signed("<=", size, lanes.splat(args[2])))

    return types.int64(procs, at, free), code


@vector_code
def startable8(typing, procs, estimate, at, free, now, shadow, extra):  # type: ignore[no-untyped-def]
    """Bit `k`: slot ``at + k`` fits, and ends by the shadow or needs no more than the extra."""

    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        lanes = _Lanes(context, builder)
        procs, estimate, at, free, now, shadow, extra = args
        size = lanes.load(signature.args[0], procs, at)
        end = builder.fadd(lanes.load(signature.args[1], estimate, at), lanes.splat(now))
        fits = builder.icmp_signed("<=", size, lanes.splat(free))
        in_time = builder.fcmp_ordered("<=", end, lanes.splat(shadow))
        small = builder.icmp_signed("<=", size, lanes.splat(extra))
        return lanes.bits(builder.and_(fits, builder.or_(in_time, small)))

    return types.int64(procs, estimate, at, free, now, shadow, extra), code


@vector_code
def lowest_bit(typing, mask):  # type: ignore[no-untyped-def]
    """Position of the lowest bit that is set."""

    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), code


@compiled_inline
def insert(ends, jobs, last, end, job):  # type: ignore[no-untyped-def]
    """File a job by its end, behind those of the same end; the list then ends at ``last + 1``."""
    at = last + 1
    _insert8(ends, jobs, at, end, job)
    at -= LANES
    while ends[u(at)] < end:
        _insert8(ends, jobs, at, end, job)
        at -= LANES


@compiled_inline
def discard(ends, jobs, last, end, job):  # type: ignore[no-untyped-def]
    """Take out an entry, which must be there; the list then ends at ``last - 1``."""
    at = last
    less = _count_less8(ends, at, end)
    while less == LANES:
        at -= LANES
        less = _count_less8(ends, at, end)
    at -= less
    if jobs[u(at)] != job:
        # Several have this end: swap, then take out the last of them.
        other = at - 1
        while jobs[u(other)] != job:
            other -= 1
        jobs[u(other)] = jobs[u(at)]
    while at < last:
        _close8(ends, at)
        _close8(jobs, at)
        at += LANES
    ends[u(last)] = -np.inf
