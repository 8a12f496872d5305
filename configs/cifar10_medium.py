"""A PIC on CIFAR-10 that trains in two hours on one CPU core.

  python main.py --config=configs/cifar10_medium.py --workdir=/tmp/medium

It has 994,272 parameters. The embedding, which infers the colours, is about
twice as wide as in `cifar10_small.py`. The learning rate falls to 0 over
the last 40 % of the steps.
"""

import ml_collections

from configs import cifar10_small


def get_config() -> ml_collections.ConfigDict:
  """Returns `cifar10_small` with a wider embedding and another schedule."""
  config = cifar10_small.get_config()
  config.model.embedding_stages = (
    (16, 1, 1, 1),
    (32, 2, 1, 1),
    (48, 1, 1, 1),
    (64, 1, 2, 2),
  )
  config.model.embedding_features = 96
  config.optimizer.b1 = 0.9
  config.optimizer.b2 = 0.999
  config.optimizer.decay_rate = 1.0
  config.optimizer.cooldown_share = 0.4
  config.training.num_steps = 10_000
  config.training.eval_every_steps = 1000
  return config
