"""sha256 of arrays, trees of arrays and JSON."""

import hashlib
import json
from typing import Any

import flax.traverse_util
import numpy as np


def of_array(array: np.ndarray) -> str:
  """Of type, shape and values."""
  header = f'{array.dtype.str}{array.shape}'.encode()
  return hashlib.sha256(header + np.ascontiguousarray(array).data).hexdigest()


def of_tree(tree: Any) -> dict[str, str]:
  """Of every leaf of nested dicts, by its path 'a/b/c'."""
  flat = flax.traverse_util.flatten_dict(tree, sep='/')
  return {name: of_array(np.asarray(leaf)) for name, leaf in flat.items()}


def of_json(value: Any) -> str:
  """Of whatever JSON can hold, whatever the order of its keys."""
  return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def of_state(tree: dict[str, Any]) -> dict[str, str]:
  """One of each part of a state: parameters, average, optimiser."""
  parts = ('params', 'ema_params', 'opt_state')
  return {name: of_json(of_tree(tree[name])) for name in parts if name in tree}
