"""Photographs at 64 x 64, chroma 16 x 16: the `photos` of before.

  python main.py --config=configs/photos64.py --workdir=/tmp/photos64 \
    --config.data.data_dir=FOLDER

FOLDER holds photographs in `train/` and `val/`. The network of
`cifar10_medium.py` with its first stride at 64 pixels, from its weights.
"""

import ml_collections

from configs import cifar10_medium


def get_config() -> ml_collections.ConfigDict:
  """Fine-tunes the first leg of the `cifar10` of before."""
  config = cifar10_medium.get_config()
  config.data.name = 'folder'
  config.data.data_dir = 'imagenette128'
  config.data.train_split = 'train'
  config.data.validation_split = 'val'  # watched; nothing was chosen by it
  config.data.test_split = 'val'
  config.data.image_size = 64
  config.model.chroma_filter = 'area'
  config.model.embedding_stages = (
    (16, 2, 1, 1),
    (32, 2, 1, 1),
    (48, 1, 1, 1),
    (64, 1, 2, 2),
  )
  config.model.chroma_factor = 4
  config.model.dropout_rate = 0.2
  config.optimizer.learning_rate = 1e-3
  config.training.init_from = '/tmp/medium@10000'
  config.training.num_steps = 6000
  config.training.eval_every_steps = 500
  return config
