"""Comparison of stored parameters with the parameters that a model needs."""

from typing import Any

import flax.traverse_util

from pic_jax.runtime import errors

# Largest number of lines in the message that lists differing parameters.
MAX_LINES = 12


def check_fit(saved: Any, expected: Any, where: str) -> None:
  """Compares the names and shapes of two trees of parameters.

  Args:
    saved: saved parameters, nested dicts of arrays.
    expected: nested dicts of arrays or shapes that the model needs.
    where: name of the file or workdir in the message.

  Raises:
    RunError: if the trees differ. The message lists the parameters that differ,
      with both shapes.
  """
  saved = flax.traverse_util.flatten_dict(saved, sep='/')
  expected = flax.traverse_util.flatten_dict(expected, sep='/')
  lines = []
  for name in sorted(saved | expected):
    shapes = [
      tree[name].shape if name in tree else 'missing'
      for tree in (saved, expected)
    ]
    if shapes[0] != shapes[1]:
      lines.append(f'  {name}: {shapes[0]} saved, {shapes[1]} in the model')
  if lines:
    # Two lines list no parameter: the first one, and 'and ... more'.
    extra = len(lines) - (MAX_LINES - 2)
    if extra > 1:
      lines[-extra:] = [f'  and {extra} more']
    raise errors.RunError(
      '\n'.join([f'{where} does not fit the model:', *lines])
    )
