"""Probabilistic Image Colorization (Royer et al. 2017) in JAX.

Scripts that colour photographs use `from pic_jax import colorize`.
"""

import importlib

__version__ = '0.1.0'


def __getattr__(name):
  # Imported on first use, because it imports jax.
  if name == 'colorize':
    return importlib.import_module('pic_jax.photos.colorize')
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
