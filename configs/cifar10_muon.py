"""The recipe of the model `cifar10`: Muon, attention, 1,303,574 parameters.

  python main.py --config=configs/cifar10_muon.py --workdir=/tmp/cifar10

Training takes hours on a few CPU cores. The learning rates are constant, so the
run can be stopped and resumed at any time. To finish it, train a copy of the
workdir while the learning rates fall to 0:

  cp -r /tmp/cifar10 /tmp/cooled && python main.py \\
    --config=configs/cifar10_muon.py --workdir=/tmp/cooled \\
    --config.training.num_steps=STEPS --config.optimizer.cooldown_share=SHARE

The published model was trained in several such runs with other learning rates,
and is deeper (1,576,208 parameters). Its card, pic_jax/pretrained/cifar10.md,
has the commands.
"""

import ml_collections

from configs import cifar10_medium


def get_config() -> ml_collections.ConfigDict:
  """Returns `cifar10_medium` with a wider decoder, attention and Muon."""
  config = cifar10_medium.get_config()
  config.model.decoder_features = 48
  config.model.attention_heads = 2
  config.optimizer.name = 'muon'
  # Muon turns the direction of a kernel by about a radian in 70 steps. A decay
  # of 0.999 would average over 1,000 steps, which is too many: 3.21 bits/dim
  # instead of 3.18.
  config.optimizer.ema_decay = 0.99
  config.optimizer.cooldown_share = 0.0
  config.training.num_steps = 200_000
  config.training.checkpoint_every_steps = 250
  config.training.eval_every_steps = 1000
  config.training.sample_every_steps = 0
  return config
