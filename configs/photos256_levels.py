"""The finer levels of the model `photos`: 32 x 32 and 64 x 64 chroma.

  python main.py --config=configs/photos256_levels.py --workdir=/tmp/levels \\
    --config.data.data_dir=FOLDER --config.training.init_from=/tmp/photos256

The second leg of `photos256.py`, from whose workdir it starts and whose map of
16 x 16 does not learn any more. Photographs of 64 pixels would teach it that
chroma is smooth, and are left out.
"""

import ml_collections

from configs import photos256


def get_config() -> ml_collections.ConfigDict:
  """Two levels above `photos256`, which does not learn."""
  config = photos256.get_config()
  config.data.mixture = ((0.3125, 'array', '', 'photos128_train'),)
  config.model.levels = 2
  config.model.level_features = 40
  config.model.chroma_factor = 4
  config.training.init_from = '/tmp/photos256'
  config.training.frozen = ('embedding', 'decoder')
  config.optimizer.learning_rate = 2e-3
  config.optimizer.muon_learning_rate = 0.014
  config.optimizer.cooldown_share = 0.6
  config.training.num_steps = 2000
  return config
