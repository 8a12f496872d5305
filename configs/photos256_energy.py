"""The decoder of the model `photos`, trained for the quality of its samples.

  python main.py --config=configs/photos256_energy.py --workdir=/tmp/energy \\
    --config.data.data_dir=FOLDER --config.training.init_from=/tmp/levels

It starts from the workdir of `photos256_levels.py`. The decoder is trained
further, with the energy score of its samples as a second objective. The
embedding and the finer levels are frozen.
"""

import ml_collections

from configs import photos256, photos256_levels


def get_config() -> ml_collections.ConfigDict:
  """Returns `photos256_levels` with the energy score; trains the decoder."""
  config = photos256_levels.get_config()
  config.data.mixture = photos256.get_config().data.mixture
  config.training.init_from = '/tmp/levels'
  config.training.frozen = ('embedding', 'level_1', 'level_2')
  config.training.energy_weight = 0.1
  config.optimizer.learning_rate = 2e-4
  config.optimizer.muon_learning_rate = 1.5e-3
  config.optimizer.cooldown_share = 1.0
  config.training.num_steps = 1200
  return config
