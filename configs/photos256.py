"""The coarsest level of the model `photos`: 256 pixels, chroma 16 x 16.

  python main.py --config=configs/photos256.py --workdir=/tmp/photos256 \\
    --config.data.data_dir=FOLDER

FOLDER holds photos256_train.npy, [N, 256, 256, 3] uint8, and the files listed
in `photos128.py`, whose photographs are enlarged to 256 pixels.

This config starts from the published `photos` and trains it further. To train
`photos` from scratch, run `photos128.py`, then this config with
`training.init_from` set to the workdir of the first run, then
`photos256_levels.py`, which adds two finer levels. The model card,
pic_jax/pretrained/photos.md, has all commands.
"""

import ml_collections

from configs import photos128


def get_config() -> ml_collections.ConfigDict:
  """Returns `photos128` at 256 pixels, with simulated old film."""
  config = photos128.get_config()
  config.data.train_split = 'photos256_train'
  config.data.mixture = (
    (0.3125, 'array', '', 'photos128_train'),
    (0.125, 'array', '', 'tiny64[:-2000]'),
  )
  config.data.image_size = 256
  config.data.film_share = 0.3125
  # The chroma is still 16 x 16, so the factor is 16. The strides of the
  # embedding supply a factor of 8, and pooling halves its input to 128 pixels,
  # as in `photos128`. Only the backbone reads 256 pixels.
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
