"""The finer level of the model `photos`: 64 x 64 chroma, the rest frozen.

  python main.py --config=configs/photos256_level.py --workdir=/tmp/level \\
    --config.data.data_dir=FOLDER

The second leg of `photos256.py`, whose workdir it starts from. Photographs of
64 pixels would teach it that chroma is smooth, and are left out.
"""

import ml_collections

from configs import photos256


def get_config() -> ml_collections.ConfigDict:
  """One level above `photos256`, which does not learn."""
  config = photos256.get_config()
  config.data.mixture = ((0.3125, 'array', '', 'photos128_train'),)
  config.model.levels = 1
  config.model.chroma_factor = 4
  config.training.init_from = '/tmp/photos256'
  config.training.frozen = ('embedding', 'decoder')
  config.optimizer.learning_rate = 2e-3
  config.optimizer.muon_learning_rate = 0.014
  config.optimizer.cooldown_share = 0.6
  config.training.num_steps = 600
  return config
