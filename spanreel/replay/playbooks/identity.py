"""What a playbook is known by: the hash of what it does, whoever wrote it and wherever it came from.

Quiet. It must not know what the keys of a body mean, but for those that only tell where a part came from.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

from spanreel.wire.content import canonical_json

PROVENANCE: Final = frozenset({"derived_from", "origin", "notes", "examples", "provenance"})
"""Keys that are no part of a playbook's identity, wherever they are."""


def hash_of(document: dict[str, Any]) -> str:
    """``sha256:<64 hex>`` of the canonical JSON of a body's document, less its provenance."""
    text = canonical_json(without_provenance(document))
    return f"sha256:{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def without_provenance(document: dict[str, Any]) -> dict[str, Any]:
    """The document of a body without the keys that only tell where it came from."""
    states = {
        name: {key: _ordered(key, value) for key, value in state.items() if key not in PROVENANCE}
        for name, state in document.get("states", {}).items()
    }
    params = {
        name: {key: value for key, value in param.items() if key not in PROVENANCE}
        for name, param in document.get("params", {}).items()
    }
    kept = {key: value for key, value in document.items() if key not in PROVENANCE}
    return {**kept, "params": params, "states": states}


def _ordered(key: str, value: Any) -> Any:
    """`set` as a list where it has bindings: a later one may name an earlier variable, so the order makes a difference."""
    return (
        [[*pair] for pair in value.items()]
        if key == "set" and value and "{{" in canonical_json(value)
        else value
    )
