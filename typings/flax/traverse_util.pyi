"""The part of flax.traverse_util that is used here: no empty nodes are kept."""

from collections.abc import Callable, Mapping
from typing import Any

def flatten_dict(
  xs: Mapping[str, Any], sep: str | None = None
) -> dict[Any, Any]: ...
def path_aware_map(
  f: Callable[[tuple[str, ...], Any], Any], nested_dict: Mapping[str, Any]
) -> dict[str, Any]: ...
def unflatten_dict(
  xs: Mapping[Any, Any], sep: str | None = None
) -> dict[str, Any]: ...
