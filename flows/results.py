"""How results of tasks are kept on the disk: as JSON of their declared type, never as a pickle."""

from importlib import import_module
from typing import Any, Literal

import msgspec
from prefect.serializers import Serializer

from core.errors import RecoverableError

_FAILED = "failed"


class TypedJson(Serializer):
    """JSON that is read back as the type it was written from.

    Attributes
    ----------
    kind : str
        ``module:name`` of a struct or data class of ours.
    many : bool
        Whether it is a list of them.
    """

    type: Literal["tickpath-json"] = "tickpath-json"
    kind: str
    many: bool = False

    def dumps(self, obj: Any) -> bytes:
        """Encode a result; of an exception its sentence."""
        if isinstance(obj, BaseException):
            return msgspec.json.encode({_FAILED: f"{type(obj).__name__}: {obj}"})
        return msgspec.json.encode(obj)

    def loads(self, blob: bytes) -> Any:
        """Decode a result."""
        try:
            return msgspec.json.decode(blob, type=self._type())
        except msgspec.ValidationError:
            failed = msgspec.json.decode(blob, type=dict[str, str])
            return RecoverableError(failed[_FAILED])

    def _type(self) -> Any:
        module, _, name = self.kind.partition(":")
        found: Any = getattr(import_module(module), name)
        return list.__class_getitem__(found) if self.many else found


def persisted(kind: type, *, many: bool = False) -> TypedJson:
    """Give the serializer of a task that returns `kind`, or a list of it."""
    return TypedJson(kind=f"{kind.__module__}:{kind.__qualname__}", many=many)
