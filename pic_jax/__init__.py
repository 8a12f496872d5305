"""Probabilistic Image Colorization (Royer et al. 2017) in JAX.

For scripts: `from pic_jax import colorize`.
"""

import importlib

__version__ = '0.1.0'


def __getattr__(name):
  if name == 'colorize':  # jax is imported only when it is asked for
    return importlib.import_module('pic_jax.photos.colorize')
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
