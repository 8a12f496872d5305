"""A small PIC on CIFAR-10 that learns within minutes on two CPU cores.

  python main.py --config=configs/cifar10_small.py --workdir=/tmp/small

It has 445,424 parameters: 32 channels and 2 blocks in the decoder, and an
embedding of about an eighth of the paper's width. It has no dropout.
"""

import ml_collections

from configs import cifar10


def get_config() -> ml_collections.ConfigDict:
  """Returns `cifar10` with a smaller model and smaller batches."""
  config = cifar10.get_config()
  config.model.embedding_stages = (
    (8, 1, 1, 1),
    (16, 2, 1, 1),
    (24, 1, 1, 1),
    (32, 1, 2, 2),
  )
  config.model.embedding_features = 80
  config.model.decoder_features = 32
  config.model.decoder_blocks = 2
  config.model.dropout_rate = 0.0
  config.optimizer.learning_rate = 2e-3
  config.training.batch_size = 16
  config.training.num_steps = 20_000
  config.training.checkpoint_every_steps = 1000
  config.evaluation.num_validation_images = 1000
  return config
