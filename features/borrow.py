"""Arrays without an owner, for the inside of kernels.

numba counts references with atomic instructions whenever an array is passed on. Kernels that are
built from many small ones spend nine tenths of their time on that. A view without an owner has
nothing to count, and once the small kernels are inlined (``forceinline``) the counting is gone:
262 ns instead of 2,020 ns for a row of 32 columns.
"""

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def borrow(typing_context: Any, array: Any) -> Any:
    """View of `array` that keeps nothing alive; the caller must hold the array meanwhile."""

    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(array)(context, builder, arguments[0])
        view.meminfo = cgutils.get_null_value(view.meminfo.type)
        view.parent = cgutils.get_null_value(view.parent.type)
        return view._getvalue()

    return array(array), lower


@intrinsic
def pointer(typing_context: Any, address: Any) -> Any:
    """Turn an integer address into a pointer for `numba.carray`.

    Passing four arrays from Python costs more than the kernel that works on them; passing the
    address of a table of their addresses costs nothing.
    """

    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), lower
