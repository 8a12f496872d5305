"""One photograph in, several colourisations out, at its own size.

The network sees the luminance at the size that it was trained on; the sampled
chroma is upsampled onto the photograph's own luminance.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from pic_jax.evaluation import metrics
from pic_jax.images import color, image_files
from pic_jax.model import logistic_mixture
from pic_jax.photos import network_size, options
from pic_jax.runtime import devices
from pic_jax.sampling import sample
from pic_jax.saved import digests, run_config, trained_model


@dataclasses.dataclass(frozen=True)
class Drawing:
  """Samples of one photograph, not yet at its size.

  Attributes:
    grey: of the photograph.
    chroma: [S, h, w, 2] Lab units, without padding.
    bits_per_dim: [S] of the samples; NaN of a model without a likelihood.
    original_bits_per_dim: of the photograph's own chroma; None if it is grey.
    difference: mean distance in (a, b) over all pairs of samples, Lab units.
  """

  grey: network_size.Grey
  chroma: np.ndarray
  bits_per_dim: np.ndarray
  original_bits_per_dim: float | None
  difference: float


class Colorizer:
  """A trained model that colourises photographs of any size.

  Attributes:
    digest: sha256 of the weights.
  """

  def __init__(
    self, params: Any, config: ml_collections.ConfigDict, digest: str = ''
  ):
    self.digest = digest
    self._params = devices.replicate(params)
    self._size = config.data.image_size
    self._model = run_config.build_model(config).clone(remat=False)
    self._score = devices.pmap(self._score_fn)
    self._draws: dict[int, Callable[..., Any]] = {}  # by number of samples

  @classmethod
  def load(cls, source: str) -> 'Colorizer':
    """Reads a workdir, 'workdir@step' or a .safetensors file.

    Raises:
      RunError: nothing usable is there.
    """
    tree, config, _ = trained_model.load(source)
    digest = digests.of_state(tree)['ema_params']
    return cls(tree['ema_params'], config, digest)

  def __call__(
    self, rgb: np.ndarray, num_samples: int = 4, seed: int = 0, **more: Any
  ) -> np.ndarray:
    """Colourises one photograph.

    Args:
      rgb: [H, W], [H, W, 1] or [H, W, 3], uint8 or uint16; colour is turned
        grey first.
      num_samples: S.
      seed: together with the grey levels it determines the samples.
      **more: other fields of `Settings`.

    Returns:
      [S, H, W, 3] of the same dtype.

    Raises:
      ValueError: not an image, or an impossible setting.
    """
    settings = options.Settings(num_samples=num_samples, seed=seed, **more)
    rgb = np.asarray(rgb)
    (drawing,) = self.draw([self.see(rgb)], settings)
    return np.stack(
      [
        self.render(drawing, index, settings, rgb.dtype)[0]
        for index in range(num_samples)
      ]
    )

  def see(self, rgb: np.ndarray) -> network_size.Grey:
    """Turns a photograph grey and small, see `any_size.see`."""
    return network_size.see(
      rgb, self._size, self._model.chroma_factor, self._model.chroma_filter
    )

  def draw(
    self, greys: list[network_size.Grey], settings: options.Settings
  ) -> list[Drawing]:
    """Draws samples for photographs whose `levels` all have one shape."""
    count = jax.local_device_count()
    padded = greys + greys[-1:] * (-len(greys) % count)
    levels = devices.shard(np.stack([grey.levels for grey in padded]))
    names = devices.shard(np.stack([words(grey.levels) for grey in padded]))
    num_samples = settings.num_drawn
    if num_samples not in self._draws:
      draw = functools.partial(self._draw_fn, num_samples=num_samples)
      self._draws[num_samples] = devices.pmap(draw)
    chroma, log_prob = devices.unshard(
      self._draws[num_samples](
        self._params,
        levels,
        names,
        np.full(count, settings.seed, np.uint32),
        np.full(count, settings.temperature, np.float32),
      )
    )
    originals = self._score_originals(padded, levels)
    return [
      self._drawing(*args, settings)
      for args in zip(greys, chroma, log_prob, originals, strict=False)
    ]

  def _score_originals(
    self, greys: list[network_size.Grey], levels: np.ndarray
  ) -> np.ndarray:
    """Log-probabilities [B, h, w] of own chroma; of grey ones, nonsense."""
    factor = self._model.chroma_factor
    height, width = greys[0].levels.shape
    zeros = np.zeros((height // factor, width // factor, 2), np.float32)
    own = [zeros if grey.chroma is None else grey.chroma for grey in greys]
    own = devices.shard(np.stack(own))
    return devices.unshard(self._score(self._params, levels, own))

  def _drawing(
    self,
    grey: network_size.Grey,
    chroma: np.ndarray,
    log_prob: np.ndarray,
    original: np.ndarray,
    settings: options.Settings,
  ) -> Drawing:
    """Cuts the padding off and keeps what `rank` asks for."""
    height, width = grey.shape
    chroma = chroma[:, :height, :width]
    bits = np.asarray(metrics.bits_per_dim(log_prob[:, :height, :width]))
    differences = np.asarray(metrics.pairwise_differences(chroma))
    kept = options.choose(settings, bits, differences)
    differences = differences[np.ix_(kept, kept)]
    pairs = len(kept) * (len(kept) - 1)
    own = None
    if grey.chroma is not None:
      own = metrics.bits_per_dim(original[None, :height, :width])
    return Drawing(
      grey=grey,
      chroma=chroma[kept],
      bits_per_dim=bits[kept],
      original_bits_per_dim=None if own is None else float(own[0]),
      difference=float(differences.sum() / max(1, pairs)),
    )

  def render(
    self,
    drawing: Drawing,
    index: int,
    settings: options.Settings,
    dtype: np.dtype,
  ) -> tuple[np.ndarray, float]:
    """One sample at the photograph's size; see `any_size.join`."""
    return network_size.join(
      drawing.grey,
      drawing.chroma[index],
      self._model.chroma_factor,
      self._model.chroma_filter,
      settings.upsampling,
      settings.saturation,
      dtype,
    )

  def _network_luminance(self, levels: jax.Array) -> jax.Array:
    return color.luminance_to_network(levels[..., None] / 2.55)

  def _draw_fn(
    self,
    params: Any,
    levels: jax.Array,
    words: jax.Array,
    seed: jax.Array,
    temperature: jax.Array,
    num_samples: int,
  ) -> tuple[jax.Array, jax.Array]:
    """Lab chroma [b, S, h, w, 2] and log-probabilities [b, S, h, w]."""
    keys = jax.vmap(
      lambda word: functools.reduce(
        jax.random.fold_in, word, jax.random.key(seed)
      )
    )(words)
    drawn = sample.draw(
      self._model,
      params,
      self._network_luminance(levels),
      keys,
      num_samples,
      temperature,
    )
    chroma = color.round_chroma(color.chroma_from_network(drawn.chroma))
    return chroma, drawn.log_prob

  def _score_fn(
    self, params: Any, levels: jax.Array, chroma: jax.Array
  ) -> jax.Array:
    """Log-probabilities [b, h, w] of Lab integers [b, h, w, 2]."""
    luminance = self._network_luminance(levels)
    chroma = color.chroma_to_network(chroma)
    theta, _ = self._model.apply({'params': params}, luminance, chroma)
    if not self._model.has_likelihood:
      return jnp.full(theta.shape[:-1], jnp.nan)
    small = self._model.subsample(luminance)
    return logistic_mixture.log_prob(theta, small, chroma)


def words(levels: np.ndarray) -> np.ndarray:
  """Names grey levels [H', W'] uint8 by [4] uint32: samples' keys follow it."""
  shape = np.array(levels.shape, '<u4').tobytes()
  digest = hashlib.sha256(shape + levels.tobytes()).digest()
  return np.frombuffer(digest[:16], '<u4').astype(np.uint32)


def colorize_image(
  source: str, path: str, num_samples: int = 4, seed: int = 0, **more: Any
) -> np.ndarray:
  """Colourises one file; for several, keep a `Colorizer`.

  Args:
    source: trained model, see `Colorizer.load`.
    path: of the photograph, see `images.load_photograph`.
    num_samples, seed, **more: see `Colorizer.__call__`.

  Returns:
    [S, H, W, 3] uint8, or uint16 of a 16-bit photograph.
  """
  rgb = image_files.load_photograph(path).rgb
  return Colorizer.load(source)(rgb, num_samples, seed, **more)
