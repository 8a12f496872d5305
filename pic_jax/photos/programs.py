"""Compiled programs that draw and score samples for photographs.

Each device processes one photograph at a time. The batch size is therefore
always the same, and samples do not depend on other photographs.
"""

import contextlib
import fractions
import functools
import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pic_jax.images import color
from pic_jax.model import hints as hint_maps
from pic_jax.model import levels as finer_levels
from pic_jax.model import parameters, pic
from pic_jax.photos import hint_files, network_size, options
from pic_jax.runtime import compilation_cache, devices, errors
from pic_jax.sampling import conditions, sample


class Programs:
  """Programs of one model, for photographs at the network's size."""

  def __init__(
    self, model: pic.PIC, params: parameters.Params, prior: np.ndarray | None
  ):
    """Prepares the programs. Each is compiled at its first call.

    Args:
      model: the network.
      params: parameters of the network, replicated on every device.
      prior: [64, 64] log-probabilities of colours, see `colour_prior`; None if
        the weights were saved without a prior.
    """
    self._model, self._params, self._prior = model, params, prior
    # Drawing, scoring and `expect` share this program, so it is compiled once.
    self._embed = devices.pmap(self._embed_fn)
    self._draw = devices.pmap(self._draw_fn)
    self._score = devices.pmap(self._score_fn)

  def draw(
    self, inputs: list[network_size.NetworkInput], settings: options.Settings
  ) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draws samples for photographs.

    Args:
      inputs: photographs with `grey_values` of one shape.
      settings: settings in which no value is None.

    Returns:
      One pair for each photograph: chroma [S, h, w, 2] as Lab integers, and
      log-probabilities [S, h, w] in nats, both padded.
    """
    num_devices = jax.local_device_count()
    seed = np.full(num_devices, settings.seed, np.uint32)
    results = []
    for first in range(0, len(inputs), num_devices):
      group = inputs[first : first + num_devices]
      # Every device needs a photograph, so the last one is repeated.
      filled = group + group[-1:] * (num_devices - len(group))
      grey_values = devices.shard(np.stack([x.grey_values for x in filled]))
      words = np.stack([key_words(x.grey_values) for x in filled])
      spec = self._sharded_spec(settings, filled)
      with self._first_use(grey_values.shape[2:], settings):
        embedded, _ = self._embed(self._params, grey_values, spec.hints)
        drawn = self._draw(
          self._params,
          grey_values,
          devices.shard(words),
          seed=seed,
          spec=spec,
          embedded=embedded,
        )
      chroma, log_prob = map(np.asarray, devices.unshard(drawn))
      for i, network_input in enumerate(group):  # drops repeated photographs
        samples = _with_kept_chroma(network_input, chroma[i])
        results.append((samples, log_prob[i]))
    return results

  def score(
    self, inputs: list[network_size.NetworkInput], chroma: list[np.ndarray]
  ) -> list[np.ndarray]:
    """Computes log-probabilities of the given chroma of photographs.

    Args:
      inputs: photographs with `grey_values` of one shape.
      chroma: Lab integers [h, w, 2] for each photograph, padded.

    Returns:
      For each photograph, log-probabilities [h, w] in nats, padded; NaN if the
      model has no likelihood.
    """
    num_devices = jax.local_device_count()
    results = []
    for first in range(0, len(inputs), num_devices):
      group = inputs[first : first + num_devices]
      num_repeats = num_devices - len(group)  # as in `draw`
      filled = group + group[-1:] * num_repeats
      grey_values = devices.shard(np.stack([x.grey_values for x in filled]))
      hints = self._shard_hints(filled)
      embedded, _ = self._embed(self._params, grey_values, hints)
      targets = chroma[first : first + num_devices]
      targets = targets + targets[-1:] * num_repeats
      scored = self._score(
        self._params,
        grey_values,
        hints,
        chroma=devices.shard(np.stack(targets)),
        embedded=embedded,
      )
      results += list(np.asarray(devices.unshard(scored))[: len(group)])
    return results

  def expect(
    self, network_input: network_size.NetworkInput
  ) -> tuple[np.ndarray, np.ndarray]:
    """Predicts the chroma of each cell from the embedding alone.

    Returns:
      Raw mixture outputs [h, w, P], and luminance [h, w, 1] in network units;
      both padded.
    """
    inputs = [network_input] * jax.local_device_count()
    grey_values = devices.shard(np.stack([x.grey_values for x in inputs]))
    (embedding, _), luminance = self._embed(
      self._params, grey_values, self._shard_hints(inputs)
    )
    theta = embedding[..., : self._model.num_outputs]
    # The embedding predicts a mixture for each cell of the decoder's map. It is
    # repeated for all cells of the finest map that lie in this cell.
    side = 1 << self._model.levels
    theta, luminance = (
      np.asarray(x)[0, 0].repeat(side, 0).repeat(side, 1)
      for x in (theta, luminance)
    )
    return theta, luminance

  def _first_use(
    self, shape: tuple[int, ...], settings: options.Settings
  ) -> contextlib.AbstractContextManager[None]:
    """Tells the user if `draw` has to compile its programs.

    Args:
      shape: height and width of the grey values.
      settings: settings of the samples.

    Returns:
      The context in which the programs are called.
    """
    aspect = fractions.Fraction(shape[1], shape[0])
    name = f'{aspect.numerator}:{aspect.denominator}'
    text = f'First use of the shape {name}: compiling once, about 20 s.'
    variant = f'{settings.num_drawn} {bool(settings.guidance)}'
    program = f'{self._model} {shape} {variant}'
    return compilation_cache.first_use(program, text)

  def _sharded_spec(
    self, settings: options.Settings, inputs: list[network_size.NetworkInput]
  ) -> conditions.SamplingSpec:
    """Converts settings and hints for `devices.pmap`.

    Args:
      settings: settings in which no value is None.
      inputs: one photograph for each device.

    Returns:
      Settings whose arrays have a leading axis with one entry for each device.
    """
    sample_numbers = settings.samples or range(settings.num_drawn)

    def each(value: Any, dtype: type = np.float32) -> Any:
      """Repeats a value for each device."""
      return np.stack([np.asarray(value, dtype)] * len(inputs))

    guidance = None  # without guidance, the program draws no candidates
    if settings.guidance:
      guidance = conditions.Guidance(each(settings.guidance))
      if settings.prior_exponent:
        guidance = guidance.replace(
          prior=each(self._required_prior()),
          prior_exponent=each(settings.prior_exponent),
        )
    fine_temperature = None
    if self._model.levels:
      fine_temperature = each(settings.fine_temperature)
    return conditions.SamplingSpec(
      samples=each(sample_numbers, np.uint32),
      temperature=each(settings.temperature),
      guidance=guidance,
      hints=self._shard_hints(inputs),
      # If hints also fixed the finer levels, all cells that a brush reaches
      # would have one chroma at the finest level, with a visible seam around
      # them.
      coarse_hints=True,
      fine_temperature=fine_temperature,
    )

  def _required_prior(self) -> np.ndarray:
    """Returns the prior of colours, [64, 64].

    Raises:
      UserError: if the weights were saved without a prior.
    """
    if self._prior is None:
      raise errors.UserError(
        'These weights have no prior of colours: leave `prior_exponent` at 0, '
        'or export them with --recommend=prior_exponent=...'
      )
    return self._prior

  def _shard_hints(self, inputs: list[network_size.NetworkInput]) -> Any:
    """Prepares hints for `devices.pmap`.

    Args:
      inputs: one photograph for each device.

    Returns:
      [devices, 1, h, w, 3], see `hint_files.padded`; None if the model does not
      use hints.
    """
    if not self._model.hint_share:
      return None
    factor = self._model.chroma_factor
    return devices.shard(
      np.stack([hint_files.padded(x, factor) for x in inputs])
    )

  def _draw_fn(
    self,
    params: parameters.Params,
    grey_values: jax.Array,
    words: jax.Array,
    *,
    seed: jax.Array,
    spec: conditions.SamplingSpec,
    embedded: pic.Embedded,
  ) -> tuple[jax.Array, jax.Array]:
    """Draws samples on one device; see `draw`.

    Args:
      params: parameters of the network.
      grey_values: [b, H', W'] uint8; b is 1.
      words: [b, 4] uint32, see `key_words`.
      seed: the user's seed.
      spec: settings of the samples.
      embedded: see `_embed_fn`.

    Returns:
      Lab chroma [b, S, h, w, 2], and log-probabilities [b, S, h, w] in nats.
    """
    keys = jax.vmap(
      lambda hash_words: functools.reduce(
        jax.random.fold_in, hash_words, jax.random.key(seed)
      )
    )(words)
    luminance = _network_luminance(grey_values)
    drawn = sample.draw(
      self._model,
      params,
      luminance,
      keys=keys,
      spec=spec,
      embedded=embedded,
    )
    chroma = color.round_chroma(color.chroma_from_network(drawn.chroma))
    return chroma, drawn.log_prob

  def _embed_fn(
    self,
    params: parameters.Params,
    grey_values: jax.Array,
    hints: jax.Array | None,
  ) -> tuple[pic.Embedded, jax.Array]:
    """Runs the embedding network on one device.

    Returns:
      Outputs of the embedding network, and luminance [b, h_0, w_0, 1] of the
      decoder's cells in network units.
    """
    luminance = _network_luminance(grey_values)
    embedded = self._model.apply(
      {'params': params},
      luminance,
      hints=finer_levels.hint_pyramid(hints, self._model.levels)[0],
      method='embed',
    )
    return embedded, self._model.coarsest_luminance(luminance)

  def _score_fn(
    self,
    params: parameters.Params,
    grey_values: jax.Array,
    hints: jax.Array | None,
    *,
    chroma: jax.Array,
    embedded: pic.Embedded,
  ) -> jax.Array:
    """Scores Lab integers [b, h, w, 2] on one device; see `score`.

    Returns:
      Log-probabilities [b, h, w] in nats; NaN if the model has no likelihood.
    """
    luminance = _network_luminance(grey_values)
    chroma = hint_maps.put(color.chroma_to_network(chroma), hints)
    if not self._model.has_likelihood:
      return jnp.full(chroma.shape[:-1], jnp.nan)
    scored = self._model.apply(
      {'params': params},
      luminance,
      chroma,
      hints=hints,
      embedded=embedded,
      method='score',
    )
    return scored.on_finest_grid(hints)


def _with_kept_chroma(
  network_input: network_size.NetworkInput, chroma: np.ndarray
) -> np.ndarray:
  """Replaces the chroma of samples where a photograph has `kept_chroma`.

  The finer levels read no hints (see `SamplingSpec.coarse_hints`), so near a
  hint they would change cells that should stay as they are. If these levels
  read the kept chroma as hints, they would draw complementary colours next to
  it to preserve the means of the coarse cells.

  Args:
    network_input: the photograph.
    chroma: [S, h', w', 2] Lab integers, padded.

  Returns:
    The chroma, [S, h', w', 2].
  """
  if network_input.kept_chroma is None:
    return chroma
  rows, columns = network_input.map_shape
  chroma = chroma.copy()
  is_kept = network_input.is_kept
  chroma[:, :rows, :columns][:, is_kept] = network_input.kept_chroma[is_kept]
  return chroma


def _network_luminance(grey_values: jax.Array) -> jax.Array:
  """Converts grey values [...] uint8 to luminance [..., 1] in network units."""
  return color.luminance_to_network(grey_values[..., None] / 2.55)


def key_words(grey_values: np.ndarray) -> np.ndarray:
  """Hashes grey values, so that samples depend on them but not on file names.

  Args:
    grey_values: [H', W'] uint8.

  Returns:
    [4] uint32, to be folded into the key of the samples.
  """
  shape = np.array(grey_values.shape, '<u4').tobytes()
  digest = hashlib.sha256(shape + grey_values.tobytes()).digest()
  return np.frombuffer(digest[:16], '<u4').astype(np.uint32)
