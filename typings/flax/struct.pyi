"""The part of flax.struct that is used here: its classes are frozen."""

from typing import Any, Self, dataclass_transform

def field(pytree_node: bool = True, *, default: Any = ...) -> Any: ...

@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class PyTreeNode:
  def replace(self, **overrides: Any) -> Self: ...
