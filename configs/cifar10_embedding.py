"""The embedding network alone on CIFAR-10 (paper sec. 4.3): 13.9 M parameters.

  python main.py --config=configs/cifar10_embedding.py \\
    --workdir=/tmp/embedding --config.training.init_from=/tmp/cifar10

Given L, pixels are independent, and each has a mixture of logistics. This
command starts from a trained PIC; without `training.init_from` the training
starts from random weights. This config has not been trained here yet.
"""

import ml_collections

from configs import cifar10


def get_config() -> ml_collections.ConfigDict:
  """Returns `cifar10` without the decoder."""
  config = cifar10.get_config()
  config.model.head = 'mixture'
  config.model.embedding_loss_weight = 0.0
  return config
