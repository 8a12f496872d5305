"""The fields of a config, each once: default, allowed values, meaning."""

import dataclasses

import ml_collections

from pic_jax.images import resizing
from pic_jax.model import pic
from pic_jax.runtime import fields


@dataclasses.dataclass
class Data:
  """Images to learn from and to evaluate on."""

  name: str = fields.declare('cifar10')  # tfds, 'folder', 'array' or 'patches'
  # Folder of images, arrays, or tfds ('': default).
  data_dir: str = fields.declare('')
  train_split: str = fields.declare('train')
  # All choices are made on this.
  validation_split: str = fields.declare('train')
  # Read by --mode=eval, sample, figures only.
  test_split: str = fields.declare('test')
  image_size: int = fields.declare(32)  # pixels; other sizes are fitted
  # 'crop': short side, centre; 'squash': both sides (authors' code).
  resize: str = fields.declare('crop', resizing.METHODS)
  # More training data: rows (share, name, data_dir, split); a fifth number is
  # how many finer levels of the model they teach (all, if left out).
  mixture: tuple = fields.declare(())
  # Smallest share of the side to which training images are cropped; 1: never.
  smallest_crop: float = fields.declare(1.0, fields.ABOVE_0_TO_1)
  # Share of training images that are shown through random old film.
  film_share: float = fields.declare(0.0, fields.FROM_0_TO_1)
  # Unreadable images before a run ends; -1: 1 % in training, 0 in evaluation.
  max_unreadable: int = fields.declare(
    -1, fields.Range('at least 0, or -1 for the default', lambda x: x >= -1)
  )


@dataclasses.dataclass
class Optimizer:
  """The optimiser (paper sec. 3.3)."""

  # 'muon' turns hidden directions by Muon, the rest by Adam.
  name: str = fields.declare('adam', ('adam', 'muon'))
  learning_rate: float = fields.declare(1e-3)  # of Adam, sec. 3.3
  muon_learning_rate: float = fields.declare(0.014)  # radians per step
  # Factor of the rates, per step.
  decay_rate: float = fields.declare(1.0, fields.ABOVE_0_TO_1)
  # Share of all steps, at the end, in which the rates fall linearly to 0.
  cooldown_share: float = fields.declare(0.0, fields.FROM_0_TO_1)
  b1: float = fields.declare(0.95, fields.ABOVE_0_TO_1)  # sec. 3.3
  b2: float = fields.declare(0.9995, fields.ABOVE_0_TO_1)  # sec. 3.3
  # Authors' Polyak averaging.
  ema_decay: float = fields.declare(0.999, fields.ABOVE_0_TO_1)


@dataclasses.dataclass
class Training:
  """A run of training."""

  # Directions, order, flips, dropout.
  seed: int = fields.declare(0, fields.SEED)
  batch_size: int = fields.declare(64)  # images per step, all devices; sec. 4.1
  num_steps: int = fields.declare(1000)
  init_from: str = fields.declare('')  # workdir, workdir@step or .safetensors
  # Networks that do not learn, such as 'decoder'.
  frozen: tuple = fields.declare(())
  backbone_weights: str = fields.declare('')  # initial backbone, .safetensors
  log_every_steps: int = fields.declare(100)
  checkpoint_every_steps: int = fields.declare(2000)
  num_checkpoints: int = fields.declare(3)  # the last ones are kept
  # 0 or less: never. Older configs hold any number here.
  eval_every_steps: int = fields.declare(5000, fields.ANY)
  sample_every_steps: int = fields.declare(5000, fields.ANY)


@dataclasses.dataclass
class Evaluation:
  """Scoring of held-out images."""

  batch_size: int = fields.declare(250)  # images, all devices of all hosts
  # Validation images scored while training; -1: all.
  num_validation_images: int = fields.declare(-1, fields.COUNT)


@dataclasses.dataclass
class Sampling:
  """Samples of test images; of photographs see `recommended_sampling`."""

  seed: int = fields.declare(0, fields.SEED)
  batch_size: int = fields.declare(16)  # images, all devices of all hosts
  num_images: int = fields.declare(16, fields.COUNT)  # the first ones; -1: all
  num_samples: int = fields.declare(6)  # colourisations per image
  # 0: mode of each pixel.
  temperature: float = fields.declare(1.0, fields.NOT_NEGATIVE)
  # Strength of guidance by the embedding; 0: exact samples.
  guidance: float = fields.declare(0.0, fields.NOT_NEGATIVE)
  method: str = fields.declare('cached', ('cached', 'naive', 'parallel'))


SECTIONS = {
  'data': Data,
  'model': pic.PIC,
  'optimizer': Optimizer,
  'training': Training,
  'evaluation': Evaluation,
  'sampling': Sampling,
}
# Fields that linen adds to every module.
LINEN_FIELDS = ('parent', 'name')


def declared(section: str) -> dict[str, dataclasses.Field]:
  """The fields of a section by name."""
  return {
    declaration.name: declaration
    for declaration in dataclasses.fields(SECTIONS[section])
    if section != 'model' or declaration.name not in LINEN_FIELDS
  }


def defaults() -> ml_collections.ConfigDict:
  """A config of the default values; files in `configs/` set what differs.

  A field that an older file lacks gets its default: what the code did before
  the field existed.
  """
  sections = {
    section: {name: x.default for name, x in declared(section).items()}
    for section in SECTIONS
  }
  return ml_collections.ConfigDict(sections).lock()
