"""The part of flax.serialization that is used here."""

from typing import Any, TypeVar

_Tree = TypeVar('_Tree')

def from_state_dict(target: _Tree, state: dict[str, Any]) -> _Tree: ...
def to_state_dict(target: Any) -> dict[str, Any]: ...
