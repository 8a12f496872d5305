"""The embedding network alone on ILSVRC (paper sec. 4.3): 100.5 M parameters.

  python main.py --config=configs/imagenet128_embedding.py \\
    --workdir=/tmp/embedding128 --config.training.init_from=/tmp/imagenet128

Given L, pixels are independent, and each has a mixture of logistics. This
command starts from a trained PIC; without `training.init_from` the training
starts from random weights. This config has not been trained here yet.
"""

import ml_collections

from configs import imagenet128


def get_config() -> ml_collections.ConfigDict:
  """Returns `imagenet128` without the decoder."""
  config = imagenet128.get_config()
  config.model.head = 'mixture'
  config.model.embedding_loss_weight = 0.0
  return config
