"""The embedding network alone on ILSVRC (paper sec. 4.3): 100.5 M parameters.

  python main.py --config=configs/imagenet128_embedding.py \
    --workdir=/tmp/embedding128 --config.training.init_from=/tmp/imagenet128

Every pixel by itself, from a mixture of logistics. Not yet measured here.
"""

import ml_collections

from configs import imagenet128


def get_config() -> ml_collections.ConfigDict:
  """A PIC without its decoder; `init_from` a trained one fine-tunes it."""
  config = imagenet128.get_config()
  config.model.head = 'mixture'
  config.model.embedding_loss_weight = 0.0
  return config
