"""Definition of every config field: default, allowed values and meaning."""

import dataclasses

import ml_collections

from pic_jax.images import resizing
from pic_jax.model import pic
from pic_jax.runtime import fields


@dataclasses.dataclass
class Data:
  """Images for training and evaluation."""

  # Name of a tensorflow-datasets data set, or one of 'folder', 'array' and
  # 'patches' (see `data.sources`).
  name: str = fields.declare('cifar10')
  # Folder that holds the images, arrays or data sets. '' is the default folder
  # of tensorflow-datasets.
  data_dir: str = fields.declare('')
  # Split to train on. All three splits may be slices, such as 'train[:90%]'.
  train_split: str = fields.declare('train')
  # Split that is scored during training, for choosing settings.
  validation_split: str = fields.declare('train')
  # Split that only --mode=eval, --mode=sample and --mode=figures read.
  test_split: str = fields.declare('test')
  # Height and width in pixels. Images of other sizes are resized, see `resize`.
  image_size: int = fields.declare(32)
  # 'crop' scales the short side and crops the centre. 'squash' scales the two
  # sides independently, like the authors' code.
  resize: str = fields.declare('crop', resizing.METHODS)
  # More training data as rows (share, name, data_dir, split). `share` is the
  # fraction of the images in a batch that come from this data set. A row may
  # have a fifth entry: the number of finer levels that learn from this data
  # set. By default, all levels learn from it.
  mixture: tuple = fields.declare(())
  # Smallest side of the random crops of training images, as a fraction of the
  # image's side. 1 means that images are not cropped.
  smallest_crop: float = fields.declare(1.0, fields.ABOVE_0_TO_1)
  # Fraction of training images whose luminance is changed to that of old film,
  # see `images.film`.
  film_share: float = fields.declare(0.0, fields.FROM_0_TO_1)
  # Number of unreadable images that a run tolerates. -1 stands for 1 % of the
  # training images, but at least 10, and for 0 in evaluation.
  max_unreadable: int = fields.declare(
    -1,
    fields.NumberRule('at least 0, or -1 for the default', lambda x: x >= -1),
  )


@dataclasses.dataclass
class Optimizer:
  """Optimiser (paper sec. 3.3)."""

  # 'muon' trains the directions of weight-normalised hidden kernels by Muon,
  # and all other parameters by Adam.
  name: str = fields.declare('adam', ('adam', 'muon'))
  # Initial learning rate of Adam (paper sec. 3.3).
  learning_rate: float = fields.declare(1e-3)
  # Initial learning rate of Muon: angle in radians by which a direction turns
  # in a step.
  muon_learning_rate: float = fields.declare(0.014)
  # Factor by which both learning rates are multiplied in every step.
  decay_rate: float = fields.declare(1.0, fields.ABOVE_0_TO_1)
  # Fraction of the steps, at the end of the run, in which the learning rates
  # fall linearly to 0.
  cooldown_share: float = fields.declare(0.0, fields.FROM_0_TO_1)
  # Decay rates of Adam's two moments (paper sec. 3.3).
  b1: float = fields.declare(0.95, fields.ABOVE_0_TO_1)
  b2: float = fields.declare(0.9995, fields.ABOVE_0_TO_1)
  # Decay rate of the moving average of the parameters (authors' code).
  ema_decay: float = fields.declare(0.999, fields.ABOVE_0_TO_1)


@dataclasses.dataclass
class Training:
  """Training run."""

  # Seed of all randomness in training.
  seed: int = fields.declare(0, fields.SEED)
  # Number of images in a step, on all devices together (paper sec. 4.1).
  batch_size: int = fields.declare(64)
  num_steps: int = fields.declare(1000)
  # Trained model whose weights the run starts from: a workdir, 'workdir@step',
  # a .safetensors file or the name of a published model. '' for none. More
  # models may follow, separated by commas. Each supplies the networks that the
  # earlier models lack.
  init_from: str = fields.declare('')
  # Names of networks whose parameters are not trained, such as 'decoder'.
  frozen: tuple = fields.declare(())
  # .safetensors file of the backbone's initial weights. '' for none.
  backbone_weights: str = fields.declare('')
  log_every_steps: int = fields.declare(100)
  checkpoint_every_steps: int = fields.declare(2000)
  # Number of the most recent checkpoints that are kept.
  num_checkpoints: int = fields.declare(3)
  # Numbers of steps between evaluations and between sheets of samples. 0 means
  # never. So does a negative number, which is allowed only because older
  # versions did not check these fields.
  eval_every_steps: int = fields.declare(5000, fields.ANY)
  sample_every_steps: int = fields.declare(5000, fields.ANY)


@dataclasses.dataclass
class Evaluation:
  """Evaluation on images that were not trained on."""

  # Number of images in a batch, on all devices of all hosts.
  batch_size: int = fields.declare(250)
  # Number of validation images that are scored during training. -1 for all.
  num_validation_images: int = fields.declare(-1, fields.COUNT)


@dataclasses.dataclass
class Sampling:
  """Sampling for test images.

  The settings for photographs are in `recommended_sampling`.
  """

  seed: int = fields.declare(0, fields.SEED)
  # Number of images in a batch, on all devices of all hosts.
  batch_size: int = fields.declare(16)
  # Number of images, taken from the start of the split. -1 for all.
  num_images: int = fields.declare(16, fields.COUNT)
  # Number of colourisations per image.
  num_samples: int = fields.declare(6)
  # Sampling temperature. 0 gives the mode of each pixel's distribution.
  temperature: float = fields.declare(1.0, fields.NOT_NEGATIVE)
  # Strength of guidance by the embedding. 0 for no guidance.
  guidance: float = fields.declare(0.0, fields.NOT_NEGATIVE)
  # How the decoder draws the pixels, see `sampling.conditions`.
  method: str = fields.declare('cached', ('cached', 'naive', 'parallel'))


SECTIONS = {
  'data': Data,
  'model': pic.PIC,
  'optimizer': Optimizer,
  'training': Training,
  'evaluation': Evaluation,
  'sampling': Sampling,
}
# Dataclass fields that linen adds to every module, and that are not in configs.
LINEN_FIELDS = ('parent', 'name')


def declared(section: str) -> dict[str, dataclasses.Field]:
  """Returns the declarations of a section's fields, keyed by name."""
  return {
    declaration.name: declaration
    for declaration in dataclasses.fields(SECTIONS[section])
    if section != 'model' or declaration.name not in LINEN_FIELDS
  }


def defaults() -> ml_collections.ConfigDict:
  """Returns a locked config of the default values.

  Files in `configs/` set only the values that differ. A stored config gets the
  default of each field that did not exist when the config was written. So the
  default of a new field must keep the behaviour from before the field existed.
  """
  sections = {
    section: {name: x.default for name, x in declared(section).items()}
    for section in SECTIONS
  }
  return ml_collections.ConfigDict(sections).lock()
