"""Cells of the chroma map that are known: p(X^ab | X^L, hints).

Hints are [B, h, w, 3]: m a, m b and m, in network units, where m is 1 in cells
that are given and 0 in all others. The embedding reads them, the decoder has
the given values on its canvas, and no likelihood counts the given cells.
"""

import jax
import jax.numpy as jnp
import numpy as np

# Cells that training gives at most; as many of every order of magnitude.
MAX_CELLS = 32
# Sides of the patches that given cells come in, each as probable: single cells,
# or this many times the side of a cell of a map of `REFERENCE_SIDE`.
PATCH_SIDES = (1, 2, 3)
REFERENCE_SIDE = 16


def from_mask(chroma: jax.Array, mask: jax.Array) -> jax.Array:
  """Gives the cells of chroma [B, h, w, 2] where mask [B, h, w] is True."""
  known = mask[..., None].astype(jnp.float32)
  return jnp.concatenate([known * chroma, known], -1)


def put(chroma: jax.Array, hints: jax.Array | None) -> jax.Array:
  """Chroma [..., 2] with the given values where hints [..., 3] have them."""
  if hints is None:
    return chroma
  return jnp.where(hints[..., 2:] > 0, hints[..., :2], chroma)


def _draw_mask(key: jax.Array, height: int, width: int) -> jax.Array:
  """[h, w] bool: 1 to `MAX_CELLS` cells, alone or in patches.

  The cells are those of a map of `REFERENCE_SIDE`; finer maps have more.
  """
  scale = max(1, min(height, width) // REFERENCE_SIDE)
  sides = (1, *(scale * side for side in PATCH_SIDES))
  most = MAX_CELLS * scale**2
  keys = jax.random.split(key, 5)
  count = jnp.exp(jax.random.uniform(keys[0], maxval=np.log(most + 1)))
  side = jax.random.choice(keys[1], jnp.array(sides))
  top, left = jax.random.randint(keys[2], (2,), 0, side)
  rows = (jnp.arange(height) + top) // side
  columns = (jnp.arange(width) + left) // side
  # Cells of one patch have nearly one score, and the highest are given.
  # Drawn flat, see `logistic_mixture.noise`.
  shape = height + 1, width + 1
  score = jax.random.uniform(keys[3], shape[0] * shape[1]).reshape(shape)
  score = score[rows][:, columns]
  score += 1e-4 * jax.random.uniform(keys[4], score.size).reshape(score.shape)
  last = jnp.maximum(1, height * width - count.astype(int))
  return score >= jnp.sort(score.ravel())[last]


def draw(key: jax.Array, chroma: jax.Array, share: float) -> jax.Array:
  """Hints for training: none for most images, some cells of the others.

  Args:
    key: PRNG key.
    chroma: [B, h, w, 2].
    share: of the images that get hints.

  Returns:
    [B, h, w, 3].
  """
  batch, height, width, _ = chroma.shape
  coin_key, mask_key = jax.random.split(key)
  mask = jax.vmap(lambda key: _draw_mask(key, height, width))(
    jax.random.split(mask_key, batch)
  )
  is_hinted = jax.random.uniform(coin_key, (batch, 1, 1)) < share
  return from_mask(chroma, mask & is_hinted)
