"""Version 2 of the model `photos`: 128 pixels, chroma 16 x 16.

  python main.py --config=configs/photos128.py --workdir=/tmp/photos128 \\
    --config.data.data_dir=FOLDER \\
    --config.training.backbone_weights=efficientnet_lite0.safetensors

This version was published until commit 3a80e5d. It has a pretrained backbone,
attention and hints. FOLDER holds photographs: photos128_train.npy and
photos128_val.npy, both [N, 128, 128, 3] uint8, and tiny64.npy,
[N, 64, 64, 3] uint8, whose last 2,000 images are not used.
scripts/convert_efficientnet_lite0.py makes the weights of the backbone.

The learning rates are constant. `cifar10_muon.py` explains how to finish a run
with learning rates that fall to 0. `photos` was trained in several such runs;
its card, pic_jax/pretrained/photos.md, has the commands.
"""

import ml_collections

from pic_jax.saved import config_fields


def get_config() -> ml_collections.ConfigDict:
  """Returns a model for photographs, with a frozen backbone."""
  config = config_fields.defaults()
  config.data.name = 'array'
  config.data.data_dir = 'photos_data'
  config.data.train_split = 'photos128_train'
  config.data.mixture = ((0.25, 'array', '', 'tiny64[:-2000]'),)
  config.data.smallest_crop = 0.7
  config.data.validation_split = 'photos128_val'
  config.data.test_split = 'photos128_val'
  config.data.image_size = 128
  config.model.embedding_stages = (
    (8, 2, 0, 1),
    (16, 2, 1, 1),
    (32, 2, 1, 1),
    (64, 1, 2, 2),
  )
  config.model.embedding_features = 128
  config.model.chroma_factor = 8
  config.model.chroma_filter = 'area'
  config.model.backbone = 'efficientnet_lite0'
  config.model.decoder_features = 48
  config.model.decoder_blocks = 3
  config.model.attention_heads = 2
  config.model.dropout_rate = 0.0
  config.model.hint_share = 0.5
  config.optimizer.name = 'muon'
  # Muon turns the direction of a kernel by about a radian in 70 steps. A decay
  # of 0.999 would average over 1,000 steps, which is too many: 3.21 bits/dim
  # instead of 3.18.
  config.optimizer.ema_decay = 0.99
  config.optimizer.b1 = 0.9
  config.optimizer.b2 = 0.999
  config.optimizer.learning_rate = 2e-3
  config.training.backbone_weights = 'efficientnet_lite0.safetensors'
  config.training.batch_size = 16
  config.training.num_steps = 200_000
  config.training.checkpoint_every_steps = 250
  config.training.eval_every_steps = 1000
  config.training.sample_every_steps = 0
  config.evaluation.batch_size = 31
  config.evaluation.num_validation_images = 310
  return config
