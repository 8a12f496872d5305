"""sha256 of arrays, trees of arrays and JSON."""

import hashlib
import json
from typing import Any

import flax.traverse_util
import numpy as np


def digest_array(array: np.ndarray) -> str:
  """Digest of type, shape and values."""
  header = f'{array.dtype.str}{array.shape}'.encode()
  return hashlib.sha256(header + np.ascontiguousarray(array).data).hexdigest()


def digest_tree(tree: Any) -> dict[str, str]:
  """Digests of the leaves of nested dicts, by path 'a/b/c'."""
  flat = flax.traverse_util.flatten_dict(tree, sep='/')
  return {name: digest_array(np.asarray(leaf)) for name, leaf in flat.items()}


def digest_json(value: Any) -> str:
  """Digest of a JSON value, independent of the order of keys."""
  return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def digest_state(tree: dict[str, Any]) -> dict[str, str]:
  """Digests of the parts of a state: parameters, average, optimiser."""
  parts = ('params', 'ema_params', 'opt_state')
  return {
    name: digest_json(digest_tree(tree[name])) for name in parts if name in tree
  }
