"""Hints, which are known chroma values, for the model p(X^ab | X^L, hints).

Hints are an array [B, h, w, 3] with the channels m * a, m * b and m, in
network units. The mask m is 1 in known cells and 0 elsewhere; a cell is a pixel
of the chroma map. The embedding reads hints, the decoder has their values on
its canvas, and likelihoods do not count the known cells.
"""

import jax
import jax.numpy as jnp
import numpy as np

# Side, in cells, of the map that the next two constants refer to.
REFERENCE_SIDE = 16
# Largest number of known cells of a training image. The number is drawn
# log-uniformly from 1 to this.
MAX_CELLS = 32
# Known cells of a training image are single or form square patches. These are
# the sides of the patches, in cells. Single cells and the three sides have
# equal probabilities.
PATCH_SIDES = (1, 2, 3)


def from_mask(chroma: jax.Array, mask: jax.Array) -> jax.Array:
  """Builds hints from chroma [B, h, w, 2] where mask [B, h, w] is True."""
  known = mask[..., None].astype(jnp.float32)
  return jnp.concatenate([known * chroma, known], -1)


def put(chroma: jax.Array, hints: jax.Array | None) -> jax.Array:
  """Replaces the known cells of a chroma map with their hints.

  Args:
    chroma: [..., 2] in network units.
    hints: [..., 3], or None.

  Returns:
    [..., 2] in network units.
  """
  if hints is None:
    return chroma
  return jnp.where(hints[..., 2:] > 0, hints[..., :2], chroma)


def _draw_mask(key: jax.Array, height: int, width: int) -> jax.Array:
  """Draws a mask [h, w] of known cells, which are single or form patches.

  On a map larger than `REFERENCE_SIDE` a cell covers less of the image, so the
  patches and the largest number of known cells are larger in proportion.
  """
  scale = max(1, min(height, width) // REFERENCE_SIDE)
  sides = (1, *(scale * side for side in PATCH_SIDES))
  max_count = MAX_CELLS * scale**2
  keys = jax.random.split(key, 5)
  count = jnp.exp(jax.random.uniform(keys[0], maxval=np.log(max_count + 1)))
  side = jax.random.choice(keys[1], jnp.array(sides))
  top, left = jax.random.randint(keys[2], (2,), 0, side)
  patch_rows = (jnp.arange(height) + top) // side
  patch_columns = (jnp.arange(width) + left) // side
  # The `count` cells with the highest scores are known. The cells of a patch
  # have almost equal scores, so they become known together. Flat draws compile
  # faster, see `logistic_mixture.noise`.
  shape = height + 1, width + 1  # at least the number of patches
  patch_scores = jax.random.uniform(keys[3], (shape[0] * shape[1],))
  scores = patch_scores.reshape(shape)[patch_rows][:, patch_columns]
  noise = jax.random.uniform(keys[4], (scores.size,)).reshape(scores.shape)
  scores += 1e-4 * noise
  num_unknown = jnp.maximum(1, height * width - count.astype(int))
  return scores >= jnp.sort(scores.ravel())[num_unknown]


def draw(key: jax.Array, chroma: jax.Array, share: float) -> jax.Array:
  """Draws hints for training, from the true chroma of random cells.

  Args:
    key: PRNG key.
    chroma: [B, h, w, 2] in network units.
    share: probability that an image gets hints. Other images have no hints.

  Returns:
    [B, h, w, 3] hints.
  """
  batch, height, width, _ = chroma.shape
  coin_key, mask_key = jax.random.split(key)
  mask = jax.vmap(lambda key: _draw_mask(key, height, width))(
    jax.random.split(mask_key, batch)
  )
  is_hinted = jax.random.uniform(coin_key, (batch, 1, 1)) < share
  return from_mask(chroma, mask & is_hinted)
