"""The finer levels of the model `photos`: chroma 32 x 32 and 64 x 64.

  python main.py --config=configs/photos256_levels.py --workdir=/tmp/levels \\
    --config.data.data_dir=FOLDER --config.training.init_from=/tmp/photos256

It starts from the workdir of `photos256.py`, whose networks are frozen, and
adds two levels to the 16 x 16 chroma. The images of 64 x 64 (`tiny64`) are left
out, because they have no fine chroma when they are enlarged to 256 x 256.
"""

import ml_collections

from configs import photos256


def get_config() -> ml_collections.ConfigDict:
  """Returns `photos256`, frozen, with two finer levels, which are trained."""
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
