"""Baseline: regression of the mean chroma on CIFAR-10: 13.9 M parameters.

  python main.py --config=configs/cifar10_regression.py \
    --workdir=/tmp/regression

The squared error of Iizuka et al. 2016 on our embedding network. Not yet
measured here.
"""

import ml_collections

from configs import cifar10_embedding


def get_config() -> ml_collections.ConfigDict:
  """The same network and recipe, two outputs for every pixel."""
  config = cifar10_embedding.get_config()
  config.model.head = 'regression'
  return config
