"""Weights of colour bins from training images (Zhang et al. 2016, sec. 2.2)."""

import contextlib

import jax
import numpy as np

from pic_jax.data import image_source, unreadable
from pic_jax.images import color
from pic_jax.model import classification_head, pic

# Largest number of training images whose colours are counted.
MAX_IMAGES = 5000
# Number of images whose colours are counted in one call on the device.
CHUNK_SIZE = 250


def class_weights(
  model: pic.PIC, source: image_source.ImageSource
) -> np.ndarray | None:
  """Computes the weights of the colour bins, which are larger for rare colours.

  The colours of the first `MAX_IMAGES` training images are counted. Images that
  cannot be read are skipped.

  Args:
    model: the network; only its head 'classification' uses weights.
    source: training images; see `input_pipeline.open_source`.

  Returns:
    [Q] float32 weights of the Q bins; None for other heads.
  """
  if model.head != 'classification':
    return None

  @jax.jit
  def count(rgb: jax.Array) -> jax.Array:
    lab = model.split_lab(rgb)
    return classification_head.count(color.chroma_from_network(lab.chroma))

  num_images = min(len(source), MAX_IMAGES)
  counts = np.zeros(len(classification_head.bins()), np.int64)
  for first in range(0, num_images, CHUNK_SIZE):
    images = []
    for index in range(first, min(first + CHUNK_SIZE, num_images)):
      with contextlib.suppress(unreadable.UnreadableError):
        images.append(source[index])
    if images:
      counts = counts + np.asarray(count(np.stack(images)))
  return classification_head.class_weights(counts)
