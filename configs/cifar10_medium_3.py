"""Third leg of `cifar10_medium.py`: the `cifar10` of before.

  python main.py --config=configs/cifar10_medium.py --workdir=/tmp/medium
  python main.py --config=configs/cifar10_medium_2.py --workdir=/tmp/medium_2
  python main.py --config=configs/cifar10_medium_3.py --workdir=/tmp/medium_3

It starts from the second leg's average.
"""

import ml_collections

from configs import cifar10_medium_2


def get_config() -> ml_collections.ConfigDict:
  """A short leg at less than half the second's learning rate."""
  config = cifar10_medium_2.get_config()
  config.optimizer.learning_rate = 5e-4
  config.training.seed = 2
  config.training.init_from = '/tmp/medium_2@5500'
  config.training.num_steps = 2500
  config.training.eval_every_steps = 2500
  return config
