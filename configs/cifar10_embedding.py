"""The embedding network alone on CIFAR-10 (paper sec. 4.3): 13.9 M parameters.

  python main.py --config=configs/cifar10_embedding.py \
    --workdir=/tmp/embedding --config.training.init_from=/tmp/cifar10

Every pixel by itself, from a mixture of logistics. Not yet measured here.
"""

import ml_collections

from configs import cifar10


def get_config() -> ml_collections.ConfigDict:
  """A PIC without its decoder; `init_from` a trained one fine-tunes it."""
  config = cifar10.get_config()
  config.model.head = 'mixture'
  config.model.embedding_loss_weight = 0.0
  return config
