"""The reader of torch files, which creates only arrays."""

import collections
import importlib.util
import io
import os
import pickle
import sys
import types

import numpy as np
import pytest

from tests import running

SPEC = importlib.util.spec_from_file_location(
  'convert', running.ROOT / 'scripts' / 'convert_efficientnet_lite0.py'
)
convert = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(convert)


class FloatStorage:
  """Stand-in for torch.FloatStorage."""


def _rebuild_tensor_v2():
  """Stand-in for the function of torch._utils."""


class Tensor:
  """Stand-in for a tensor, which is pickled in the same way."""

  def __init__(self, offset, shape, strides):
    self.arguments = (offset, shape, strides, False, collections.OrderedDict())

  def __reduce__(self):
    return _rebuild_tensor_v2, (FloatStorage(), *self.arguments)


class Writer(pickle.Pickler):
  """Writes one storage of 12 numbers, named 'key'."""

  def persistent_id(self, value):
    if isinstance(value, FloatStorage):
      return ('storage', FloatStorage, 'key', 'cpu', 12, None)
    return None


def saved(monkeypatch, content) -> bytes:
  """Returns the bytes that torch.save would write."""
  torch, utils = types.ModuleType('torch'), types.ModuleType('torch._utils')
  torch.FloatStorage, utils._rebuild_tensor_v2 = (
    FloatStorage,
    _rebuild_tensor_v2,
  )
  for module in (torch, utils):
    monkeypatch.setitem(sys.modules, module.__name__, module)
  monkeypatch.setattr(FloatStorage, '__module__', 'torch')
  monkeypatch.setattr(_rebuild_tensor_v2, '__module__', 'torch._utils')
  file = io.BytesIO()
  for value in (convert.MAGIC, 1001, {}):
    pickle.dump(value, file, 2)
  Writer(file, 2).dump(content)
  pickle.dump(['key'], file, 2)
  file.write(np.array([12], '<i8').tobytes())
  file.write(np.arange(12, dtype='<f4').tobytes())
  return file.getvalue()


def test_tensors_are_cut_from_their_storage(monkeypatch):
  content = collections.OrderedDict(
    rows=Tensor(2, (2, 3), (3, 1)), columns=Tensor(0, (3, 4), (1, 3))
  )
  actual = convert.read(saved(monkeypatch, content))
  np.testing.assert_array_equal(actual['rows'], [[2, 3, 4], [5, 6, 7]])
  expected = np.arange(12).reshape(4, 3).T
  np.testing.assert_array_equal(actual['columns'], expected)


def test_other_names_and_numbers_outside_the_storage_are_refused(monkeypatch):
  content = {'x': os.getcwd}
  with pytest.raises(ValueError, match='asks for posix.getcwd'):
    convert.read(saved(monkeypatch, content))
  outside = collections.OrderedDict(x=Tensor(7, (2, 3), (3, 1)))
  with pytest.raises((ValueError, TypeError)):
    convert.read(saved(monkeypatch, outside))
