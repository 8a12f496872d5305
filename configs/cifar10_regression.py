"""Baseline that regresses the chroma, on CIFAR-10: 13.9 M parameters.

  python main.py --config=configs/cifar10_regression.py \\
    --workdir=/tmp/regression

It trains our embedding network with the loss of Iizuka et al. 2016, the squared
error of (a, b). So it predicts the mean chroma of every pixel. This config has
not been trained here yet.
"""

import ml_collections

from configs import cifar10_embedding


def get_config() -> ml_collections.ConfigDict:
  """Returns `cifar10_embedding` with two outputs per pixel."""
  config = cifar10_embedding.get_config()
  config.model.head = 'regression'
  return config
