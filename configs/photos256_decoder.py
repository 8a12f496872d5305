"""The model `photos` with a decoder that predicts every second pixel first.

  python main.py --config=configs/photos256_decoder.py --workdir=/tmp/decoder \\
    --config.data.data_dir=FOLDER --config.training.init_from=/tmp/levels

It starts from the workdir of `photos256_levels.py`. The embedding and the finer
levels are frozen. The decoder is replaced by a new one, trained from random
weights, that first predicts every second cell of every second row.
"""

import ml_collections

from configs import photos256, photos256_levels


def get_config() -> ml_collections.ConfigDict:
  """Returns `photos256_levels` with a new decoder; only this part learns."""
  config = photos256_levels.get_config()
  config.data.mixture = photos256.get_config().data.mixture
  config.model.decoder_order = 'coarse_first'
  config.training.init_from = '/tmp/levels'
  config.training.frozen = ('embedding', 'level_1', 'level_2')
  config.training.num_steps = 4000
  return config
