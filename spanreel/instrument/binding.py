"""A call's arguments as a mapping by name, and the call again from that mapping.

What a function takes as `**options` stands beside its named parameters, as the caller wrote it. Only where a keyword
has the name of a parameter that no keyword can reach (positional only, `*rest`, `**options` itself) do they stay
together under the name of `**options`, so that no value is lost and each call has one mapping.
"""

from __future__ import annotations

import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from spanreel.exceptions import NotReplayable

_REMEDY = "replay the code that was recorded, or record again"


def arguments_of(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """The arguments of a call by name; the object of a method is left out.

    Raises:
        TypeError: when they do not fit; then the function itself will say so.
    """
    bound = _signature(function).bind(*args, **kwargs)
    parameters = bound.signature.parameters
    given = dict(bound.arguments)
    first = next(iter(parameters), "")
    if first in ("self", "cls"):
        given.pop(first, None)
    options = _options(parameters)
    if options in given and not given[options].keys() & parameters.keys():
        given.update(given.pop(options))
    return given


def rebound(
    function: Callable[..., Any], inputs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The positional and keyword arguments of a recorded call of an agent, from its decoded input.

    Raises:
        NotReplayable: when the function takes other arguments now.
    """
    signature = inspect.signature(function)
    wanted = signature.parameters
    new = [name for name, parameter in wanted.items() if _needed(parameter) and name not in inputs]
    if new:
        raise _changed(function, f"now also needs {', '.join(new)}")
    named = {name: value for name, value in inputs.items() if name in wanted}
    others = {name: value for name, value in inputs.items() if name not in wanted}
    options = _options(wanted)
    if others and options is None:
        raise _changed(function, f"no longer takes {', '.join(others)}")
    try:
        if others and options is not None:
            named[options] = {**named.get(options, {}), **others}
        named.update(_before_rest(wanted, named))
        bound = inspect.BoundArguments(
            signature, OrderedDict(named)
        )  # puts them in the order of the parameters
        signature.bind(*bound.args, **bound.kwargs)
    except (TypeError, ValueError) as error:
        raise _changed(function, f"cannot be called like that any more: {error}") from error
    return bound.args, bound.kwargs


@functools.lru_cache(maxsize=1024)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


def _before_rest(parameters: Mapping[str, inspect.Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that must be spelled out, for `*rest` is given and stands behind them."""
    rest = [one.name for one in parameters.values() if one.kind is one.VAR_POSITIONAL and one.name in given]
    found = (one for one in parameters.values() if one.default is not one.empty and one.name not in given)
    return {one.name: one.default for one in found if one.kind is not one.KEYWORD_ONLY} if rest else {}


def _options(parameters: Mapping[str, inspect.Parameter]) -> str | None:
    """The name of `**options`, if the function takes any keyword."""
    return next((one.name for one in parameters.values() if one.kind is one.VAR_KEYWORD), None)


def _needed(parameter: inspect.Parameter) -> bool:
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in several


def _changed(function: Callable[..., Any], how: str) -> NotReplayable:
    return NotReplayable(f"{function.__qualname__} {how}", _REMEDY)
