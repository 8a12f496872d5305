"""PIC on ILSVRC 2012 at 128 x 128 (paper sec. 4.2 and Table 1, right).

  python main.py --config=configs/imagenet128.py --workdir=/tmp/imagenet128

It has 113 M parameters. 20 epochs are 2.0e19 FLOPs. This config has not been
trained here yet. The paper reports 2.51 bits/dim (paper's rule, point filter,
32 x 32 chroma).
"""

import ml_collections

from configs import cifar10


def get_config() -> ml_collections.ConfigDict:
  """Returns the paper's larger embedding network, with a chroma factor of 4."""
  config = cifar10.get_config()
  config.data.name = 'imagenet2012'
  config.data.train_split = 'train[10000:]'
  config.data.validation_split = 'train[:10000]'
  config.data.test_split = 'validation'  # the paper's hold-out set
  # Images are scaled and cropped. This *differs from* the authors' code, which
  # squeezes them to a square, as `data.resize=squash` does.
  config.data.image_size = 128
  config.model.embedding_stages = (
    (64, 1, 2, 1),
    (128, 2, 2, 1),
    (256, 2, 2, 1),
    (512, 1, 3, 2),
    (512, 1, 3, 4),
  )
  config.model.chroma_factor = 4
  config.model.embedding_features = 512
  config.optimizer.decay_rate = 0.99999  # sec. 4.2
  config.training.num_steps = 400_361  # 20 epochs of 1,281,167, sec. 4.2
  config.evaluation.batch_size = 64
  return config
