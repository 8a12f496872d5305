"""PIC on CIFAR-10 (paper sec. 4.1 and Table 1, left): 25.9 M parameters.

  python main.py --config=configs/cifar10.py --workdir=/tmp/cifar10

150 epochs are 3.0e17 FLOPs. This config has not been trained here yet. The
paper reports 2.72 bits/dim (paper's rule, point filter, 16 x 16 chroma).
"""

import ml_collections

from pic_jax.saved import config_fields


def get_config() -> ml_collections.ConfigDict:
  """Returns the paper's model and recipe; other configs start from these."""
  config = config_fields.defaults()
  config.data.train_split = 'train[:45000]'
  config.data.validation_split = 'train[45000:]'
  config.model.embedding_stages = (  # width, stride, blocks, dilation: Table 1
    (32, 1, 2, 1),
    (64, 2, 2, 1),
    (128, 1, 2, 1),
    (256, 1, 3, 2),
  )
  config.model.embedding_features = 256  # Table 1
  config.optimizer.decay_rate = 0.99995  # sec. 4.1
  config.training.num_steps = 117_188  # 150 epochs of 50,000 images, sec. 4.1
  return config
