"""Second leg of `cifar10_medium.py`; `cifar10_medium_3.py` is the third.

  python main.py --config=configs/cifar10_medium.py --workdir=/tmp/medium
  python main.py --config=configs/cifar10_medium_2.py --workdir=/tmp/medium_2

It starts from the first leg's average, with more images to train on.
"""

import ml_collections

from configs import cifar10_medium


def get_config() -> ml_collections.ConfigDict:
  """A lower learning rate that falls to 0 in one line."""
  config = cifar10_medium.get_config()
  config.data.train_split = 'train[:49000]'
  config.data.validation_split = 'train[49000:]'
  config.optimizer.learning_rate = 1.2e-3
  config.optimizer.cooldown_share = 1.0
  config.training.seed = 1
  config.training.init_from = '/tmp/medium@10000'
  config.training.num_steps = 5500
  config.training.eval_every_steps = 1100
  return config
