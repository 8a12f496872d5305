"""A new decoder for the model `photos`: every second pixel first.

  python main.py --config=configs/photos256_decoder.py --workdir=/tmp/decoder \\
    --config.data.data_dir=FOLDER --config.training.init_from=/tmp/levels

It starts from the workdir of `photos256_levels.py`. The embedding and the finer
levels are frozen. The decoder is replaced by one that predicts every second
cell of every second row first, which is trained from random weights.
"""

import ml_collections

from configs import photos256


def get_config() -> ml_collections.ConfigDict:
  """Returns `photos256` with finer levels, of which only the decoder learns."""
  config = photos256.get_config()
  config.model.levels = 2
  config.model.level_features = 40
  config.model.chroma_factor = 4
  config.model.decoder_order = 'coarse_first'
  config.training.init_from = '/tmp/levels'
  config.training.frozen = ('embedding', 'level_1', 'level_2')
  config.optimizer.learning_rate = 2e-3
  config.optimizer.muon_learning_rate = 0.014
  config.optimizer.cooldown_share = 0.6
  config.training.num_steps = 4000
  return config
