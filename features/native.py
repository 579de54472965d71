"""Call of a native function by its address, for steps unknown when the kernels were compiled.

The function is a numba ``cfunc`` of the type ``double (double* slice, double* sample, int64 ts)``.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

SIGNATURE = types.float64(types.CPointer(types.float64), types.CPointer(types.float64), types.int64)


@intrinsic
def call_step(typing_context: Any, address: Any, state: Any, base: Any, ts: Any) -> Any:
    """Run the step at `address` on the slice of `state` at `base`; the sample is its front."""

    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where, array, start, time = arguments
        start = context.cast(builder, start, signature.args[2], types.int64)
        time = context.cast(builder, time, signature.args[3], types.int64)
        data = context.make_array(signature.args[1])(context, builder, array).data
        pointer = data.type
        kind = ir.FunctionType(ir.DoubleType(), [pointer, pointer, ir.IntType(64)])
        function = builder.inttoptr(where, kind.as_pointer())
        return builder.call(function, [builder.gep(data, [start]), data, time])

    return types.float64(types.int64, state, base, ts), lower
