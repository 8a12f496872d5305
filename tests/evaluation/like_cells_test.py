"""Look-alike pairs of cells, and the excess difference of samples."""

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.evaluation import like_cells

H, W = 11, 17


def maps(seed: int, count: int = 2):
  """Returns luminance that repeats every 7 columns, original and samples."""
  rng = np.random.default_rng(seed)
  luminance = np.tile(rng.integers(0, 9, (count, H, 7, 1)), (1, 1, 3, 1)) / 10
  luminance = luminance[:, :, :W]
  luminance = luminance + rng.normal(0, 0.07, luminance.shape)
  colours = np.array([[20, 5], [22, 4], [-30, 9], [3, 2], [25, 8]])
  original = colours[rng.integers(0, 5, (count, H, W))]
  samples = rng.normal(0, 20, (count, 3, H, W, 2))
  return [x.astype(np.float32) for x in (luminance, original, samples)]


def loop_excess(luminance, original, samples) -> list:
  """Computes `like_cells.excess` of one image by a loop over all pairs."""
  cells = [(y, x) for y in range(2, H - 2) for x in range(2, W - 2)]
  found = []
  for index, (y, x) in enumerate(cells):
    for v, u in cells[index + 1 :]:
      patches = [
        luminance[r - 2 : r + 3, c - 2 : c + 3, 0].ravel()
        for r, c in ((y, x), (v, u))
      ]
      one, other = original[y, x], original[v, u]
      difference = np.linalg.norm(one - other)
      if (
        np.hypot(y - v, x - u) >= 6
        and np.corrcoef(*patches)[0, 1] > 0.9
        and difference < 4
        and min(np.linalg.norm(one), np.linalg.norm(other)) > 10
      ):
        drawn = np.linalg.norm(samples[:, y, x] - samples[:, v, u], axis=-1)
        found.append(drawn.mean() - difference)
  return [sum(found), len(found)]


def test_excess_agrees_with_a_loop_over_all_pairs():
  luminance, original, samples = maps(0)
  actual = jax.jit(like_cells.excess)(luminance, original, samples)
  expected = [loop_excess(*image) for image in zip(*maps(0), strict=True)]
  assert min(count for _, count in expected) > 3
  np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_the_original_has_no_excess_and_a_flat_image_has_no_pairs():
  luminance, original, _ = maps(1)
  luminance[1] = 0.3
  found = jax.jit(like_cells.excess)(
    luminance, original, jnp.repeat(original[:, None], 2, 1)
  )
  np.testing.assert_allclose(found[:, 0], 0.0, atol=1e-4)
  assert found[0, 1] > 3 and found[1, 1] == 0


def test_the_mean_is_over_pairs_and_its_standard_error_over_images():
  values = np.array([[8.0, 4], [0, 0], [1, 1], [6, 1]])
  found = like_cells.mean_excess(values, 'x')
  assert found['x'] == 2.5 and found['x_pairs'] == 6
  rng = np.random.default_rng(2)
  means = []
  for _ in range(2000):  # bootstrap
    drawn = np.tile(values, (50, 1))[rng.integers(0, 200, 200)]
    means.append(drawn[:, 0].sum() / drawn[:, 1].sum())
  many = like_cells.mean_excess(np.tile(values, (50, 1)), 'x')
  np.testing.assert_allclose(many['x_stderr'], np.std(means), rtol=0.06)
  assert like_cells.mean_excess(0 * values, 'x') == {'x_pairs': 0}
