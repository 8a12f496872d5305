"""Digests (SHA-256) of arrays, of trees of arrays and of JSON values."""

import hashlib
import json
from typing import Any

import flax.traverse_util
import numpy as np


def digest_array(array: np.ndarray) -> str:
  """Returns the digest of an array's type, shape and values."""
  header = f'{array.dtype.str}{array.shape}'.encode()
  return hashlib.sha256(header + np.ascontiguousarray(array).data).hexdigest()


def digest_tree(tree: Any) -> dict[str, str]:
  """Returns the digest of each leaf of nested dicts, keyed by path 'a/b/c'."""
  flat = flax.traverse_util.flatten_dict(tree, sep='/')
  return {name: digest_array(np.asarray(leaf)) for name, leaf in flat.items()}


def digest_json(value: Any) -> str:
  """Returns the digest of a JSON value; the order of keys has no effect."""
  return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def digest_state(tree: dict[str, Any]) -> dict[str, str]:
  """Returns a digest for each part of a `TrainState`.

  Args:
    tree: state as nested dicts. The parts 'params', 'ema_params' and
      'opt_state' may be missing.

  Returns:
    Digests keyed by the name of the part.
  """
  parts = ('params', 'ema_params', 'opt_state')
  return {
    name: digest_json(digest_tree(tree[name])) for name in parts if name in tree
  }
