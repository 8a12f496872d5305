"""The model `photos`: 256 pixels; chroma 16 x 16, then 64 x 64 by finer levels.

  python main.py --config=configs/photos256.py --workdir=/tmp/photos256 \\
    --config.data.data_dir=FOLDER

FOLDER holds photos256_train.npy, [N, 256, 256, 3] uint8, photos128_train.npy
and photos128_val.npy, and tiny64.npy, whose last 2,000 are left out: what is
smaller is enlarged. This leg teaches the map of 16 x 16, from the weights that
`photos128.py` made; `photos256_levels.py` is the second leg. The card has the
commands of all legs.
"""

import ml_collections

from configs import photos128


def get_config() -> ml_collections.ConfigDict:
  """The network of `photos128`, whose backbone sees 256 pixels; old film."""
  config = photos128.get_config()
  config.data.train_split = 'photos256_train'
  config.data.mixture = (
    (0.3125, 'array', '', 'photos128_train'),
    (0.125, 'array', '', 'tiny64[:-2000]'),
  )
  config.data.image_size = 256
  config.data.film_share = 0.3125
  # The stages read the luminance halved, as they did at 128 pixels.
  config.model.chroma_factor = 16
  config.model.hint_share = 0.15
  config.training.backbone_weights = ''
  config.training.init_from = 'photos'
  config.optimizer.learning_rate = 8e-4
  config.optimizer.muon_learning_rate = 0.008
  config.optimizer.cooldown_share = 1.0
  config.training.batch_size = 32
  config.training.num_steps = 4000
  config.training.checkpoint_every_steps = 100
  config.training.eval_every_steps = 500
  return config
