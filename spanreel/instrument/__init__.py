"""In the agent's process: taps, the responder that answers, the recorder. Light to import; never raises into the agent.

The module can be called: `spanreel.instrument(...)` is `activate.instrument(...)`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _CallableRoom(ModuleType):
    """A sub-package that is also the one-line call; dotted access and monkeypatching go on working."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from spanreel.instrument.activate import instrument

        return instrument(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableRoom
