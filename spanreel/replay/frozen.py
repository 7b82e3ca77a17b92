"""What every value of the reading side is: a frozen pydantic model that knows its JSON form. Quiet."""

from __future__ import annotations

import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticSerializationError

_new = object.__new__
_set = object.__setattr__


class Frozen(BaseModel):
    """A value of the reading side: it cannot be changed, and it has no other fields than those declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @classmethod
    def made(cls, **values: Any) -> Self:
        """The value of fields that are known to be right, as `model_construct` makes it, at a fraction of its cost."""
        if values.keys() != cls.__pydantic_fields__.keys() or cls.__private_attributes__:
            return cls.model_construct(**values)
        found = _new(cls)
        _set(found, "__dict__", values)
        _set(found, "__pydantic_fields_set__", set(values))
        _set(found, "__pydantic_extra__", None)
        _set(found, "__pydantic_private__", None)
        return found

    def to_json(self, indent: int | None = None) -> str:
        """The JSON text that the command line prints, under the public field names.

        Bytes that an emitter put into an attribute are printed as text; halves of surrogate pairs, which JSON can
        say and UTF-8 cannot, as escapes.
        """
        try:
            return self.model_dump_json(by_alias=True, indent=indent)
        except PydanticSerializationError:
            return json.dumps(self.model_dump(by_alias=True), indent=indent, default=_as_text)


def _as_text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
