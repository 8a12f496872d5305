"""One photograph in, several colourisations out, at its own size.

The network sees the luminance at the size that it was trained on; the sampled
chroma is upsampled onto the photograph's own luminance.
"""

import contextlib
import dataclasses
import fractions
import functools
import hashlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from pic_jax.images import color, image_files, to_srgb
from pic_jax.model import hints as hint_maps
from pic_jax.model import levels as finer_levels
from pic_jax.photos import (
  adjustments,
  drawn_samples,
  hint_files,
  network_size,
  options,
)
from pic_jax.runtime import (
  compilation_cache,
  devices,
  errors,
  paths,
  terminal,
)
from pic_jax.sampling import conditions, sample
from pic_jax.saved import (
  digests,
  recommended_sampling,
  run_config,
  trained_model,
)


def _on_devices(method: Callable[..., Any]) -> Callable[..., Any]:
  """Runs a method of a Colorizer inside its `_computing`."""

  @functools.wraps(method)
  def run(self: 'Colorizer', *args: Any, **kwargs: Any) -> Any:
    with self._computing():
      return method(self, *args, **kwargs)

  return run


class Colorizer:
  """A trained model that colourises photographs of any size.

  Attributes:
    model: the network.
    params: its parameters, on every device.
    digest: sha256 of the weights.
    recommended: settings for photographs where the user chooses none.
  """

  def __init__(
    self,
    params: Any,
    config: ml_collections.ConfigDict,
    digest: str = '',
    *,
    recommended: recommended_sampling.RecommendedSampling | None = None,
    prior: np.ndarray | None = None,
  ):
    self.digest, self._prior = digest, prior
    self._config, self._process = config, os.getpid()
    self.recommended = recommended or recommended_sampling.RecommendedSampling()
    with devices.standard_numerics():
      self.params = devices.replicate(params)
    self._size = config.data.image_size
    self.model = run_config.build_model(config).clone(remat=False)
    self._score = devices.pmap(self._score_fn)
    self._draw = devices.pmap(self._draw_fn)
    self._expect = devices.pmap(self._expect_fn)

  def __getstate__(self) -> dict[str, Any]:
    """State for another process: weights and config, no programs."""
    return {
      'params': devices.fetch(self.params),
      'config': run_config.to_json(self._config),
      'digest': self.digest,
      'recommended': self.recommended,
      'prior': self._prior,
    }

  def __setstate__(self, state: dict[str, Any]) -> None:
    config = run_config.from_json(state['config'])
    self.__init__(
      state['params'],
      config,
      state['digest'],
      recommended=state['recommended'],
      prior=state['prior'],
    )

  @contextlib.contextmanager
  def _computing(self) -> Iterator[None]:
    """Context of all that runs on the devices.

    Raises:
      RunError: in a forked process, where JAX would hang.
    """
    if os.getpid() != self._process:
      raise errors.RunError(
        'A Colorizer does not work in a forked process: JAX hangs there. Use '
        "threads, or multiprocessing.get_context('spawn')."
      )
    with devices.standard_numerics():
      yield

  @classmethod
  def load(cls, source: str) -> 'Colorizer':
    """Reads a published model, a workdir, 'workdir@step' or .safetensors.

    Raises:
      RunError: nothing usable is there.
    """
    compilation_cache.enable()
    with devices.standard_numerics():
      tree, config, _ = trained_model.load(source)
    digest = digests.digest_state(tree)['ema_params']
    recommended = trained_model.load_recommended(source)
    return cls(
      tree['ema_params'],
      config,
      digest,
      recommended=recommended,
      prior=trained_model.load_prior(source),
    )

  def __call__(  # noqa: PLR0917  documented in docs/api.md
    self,
    rgb: np.ndarray,
    num_samples: int = 4,
    seed: int = 0,
    hints: hint_files.Hints = (),
    **more: Any,
  ) -> np.ndarray:
    """Colourises one photograph.

    Args:
      rgb: [H, W], [H, W, 1] or [H, W, 3] uint8; colour is turned grey first.
      num_samples: S.
      seed: together with the grey levels it determines the samples.
      hints: known colours, (x, y, (r, g, b)) or (x, y, '#rrggbb') in pixels,
        with a size 'S', 'M' or 'L' of the brush if wanted; or a file of them.
      **more: other fields of `options.Settings`; `samples=[5]` draws only
        sample number 5 of this seed.

    Returns:
      [S, H, W, 3] uint8.

    Raises:
      ValueError: not an image, or an impossible setting.
    """
    settings = self.complete(
      options.Settings(num_samples=num_samples, seed=seed, **more)
    )
    network_input = self.to_network_size(np.asarray(rgb))
    if not isinstance(hints, tuple | list) or hints:
      network_input = self.add_hints(network_input, hints)
      for note in network_input.hint_notes:
        terminal.say(note + '.')
    (drawing,) = self.draw([network_input], settings)
    wanted = self.complete(settings).adjustments
    drawn = [self.render(network_input, x, wanted) for x in drawing.chroma]
    return np.stack([rgb for rgb, _ in drawn])

  def complete(self, settings: options.Settings) -> options.Settings:
    """Fills in the model's recommended values where none were chosen."""
    own = dataclasses.asdict(self.recommended)
    if settings.temperature is not None or own['fine_temperature'] is None:
      own['fine_temperature'] = settings.temperature
    if own['fine_temperature'] is None:
      own['fine_temperature'] = own['temperature']
    return dataclasses.replace(
      settings,
      **{k: v for k, v in own.items() if getattr(settings, k) is None},
    )

  @_on_devices
  def to_network_size(
    self, rgb: np.ndarray, alpha: np.ndarray | None = None
  ) -> network_size.NetworkInput:
    """Converts a photograph to the network's input.

    Args:
      rgb: [H, W], [H, W, 1] or [H, W, 3] uint8.
      alpha: [H, W] uint8; the network sees transparency over white, the
        outputs keep their own luminance.
    """
    model = self.model

    def shrink(rgb: np.ndarray) -> network_size.NetworkInput:
      return network_size.to_network_size(
        rgb, self._size, model.chroma_factor, chroma_filter=model.chroma_filter
      )

    if alpha is None:
      return shrink(rgb)
    seen = shrink(to_srgb.over_white(np.atleast_3d(rgb), alpha))
    return dataclasses.replace(seen, luminance=shrink(rgb).luminance)

  @_on_devices
  def add_hints(
    self,
    network_input: network_size.NetworkInput,
    hints: hint_files.Hints,
    size: tuple[int, int] | None = None,
  ) -> network_size.NetworkInput:
    """Adds hints to a photograph.

    Args:
      network_input: the photograph.
      hints: points, or a file; see `hint_files.read`.
      size: height and width in which points are counted; None for those of
        `network_input`.

    Returns:
      The photograph with `hints`, and with `hint_notes` that a user should see.

    Raises:
      UserError: it does not fit the photograph, or the model reads no hints.
      RunError: a picture that cannot be read.
    """
    if not self.model.hint_share:
      raise errors.UserError('This model reads no hints.')
    is_file = isinstance(hints, str | os.PathLike)
    read_fn = hint_files.read if is_file else hint_files.from_points
    size = size or network_input.luminance.shape
    known = read_fn(hints, size, self.cell_luminance(network_input))
    return dataclasses.replace(
      network_input,
      hints=known.cells,
      hint_notes=known.notes,
      anchors=known.anchors,
    )

  @_on_devices
  def cell_luminance(
    self, network_input: network_size.NetworkInput
  ) -> np.ndarray:
    """[h, w] L of the cells of a photograph's chroma map, 0..100."""
    model = self.model
    return network_size.cell_luminance(
      network_input, model.chroma_factor, model.chroma_filter
    )

  @_on_devices
  def draw(
    self, inputs: list[network_size.NetworkInput], settings: options.Settings
  ) -> list[drawn_samples.Drawing]:
    """Draws samples for photographs whose `levels` all have one shape.

    Each device takes one at a time: a program of one size, so that a sample
    does not depend on other photographs.
    """
    settings = self.complete(settings)
    if any(x.anchors is not None for x in inputs):
      return [self._draw_anchored(x, settings) for x in inputs]
    found = self._draw_raw(inputs, settings)
    return [
      drawn_samples.make(network_input, chroma, log_prob, settings=settings)
      for network_input, (chroma, log_prob) in zip(inputs, found, strict=True)
    ]

  def _first_use(
    self, shape: tuple[int, ...], settings: options.Settings
  ) -> contextlib.AbstractContextManager[None]:
    """Says what is compiled, before it is, for levels of this shape."""
    aspect = fractions.Fraction(shape[1], shape[0])
    name = f'{aspect.numerator}:{aspect.denominator}'
    text = f'First use: compiling for {name}, about 20 s, once.'
    drawn = f'{settings.num_drawn} {bool(settings.guidance)}'
    program = f'{self.model} {shape} {drawn}'
    return compilation_cache.first_use(program, text)

  def _draw_raw(
    self, inputs: list[network_size.NetworkInput], settings: options.Settings
  ) -> list[tuple[np.ndarray, np.ndarray]]:
    """All samples and log-probabilities of each photograph, padded."""
    count = jax.local_device_count()
    seed = np.full(count, settings.seed, np.uint32)
    found = []
    for first in range(0, len(inputs), count):
      group = inputs[first : first + count]
      padded = group + group[-1:] * (count - len(group))
      levels = devices.shard(np.stack([x.levels for x in padded]))
      names = np.stack([key_words(x.levels) for x in padded])
      spec = self._sharded_spec(settings, padded)
      with self._first_use(levels.shape[2:], settings):
        drawn = self._draw(
          self.params, levels, devices.shard(names), seed=seed, spec=spec
        )
      chroma, log_prob = map(np.asarray, devices.unshard(drawn))
      found += zip(chroma[: len(group)], log_prob, strict=False)
    return found

  def _draw_anchored(
    self, network_input: network_size.NetworkInput, settings: options.Settings
  ) -> drawn_samples.Drawing:
    """Draws samples that equal those without hints at their anchors."""
    numbers = settings.samples or range(settings.num_drawn)
    rows, columns = network_input.shape
    without = dataclasses.replace(network_input, hints=None, anchors=None)
    anchored, found = network_input, []
    for number in numbers:
      # One at a time: each has hints of its own.
      alone = dataclasses.replace(
        settings, samples=[number], rank='none', num_candidates=0
      )
      (plain,) = self._draw_raw([without], alone)
      anchored = hint_files.anchored(
        network_input, plain[0][0, :rows, :columns]
      )
      found += self._draw_raw([anchored], alone)
    chroma, log_prob = map(np.concatenate, zip(*found, strict=True))
    # The same cells are given in all of them.
    return drawn_samples.make(anchored, chroma, log_prob, settings=settings)

  @_on_devices
  def score_originals(
    self, inputs: list[network_size.NetworkInput]
  ) -> list[float | None]:
    """Bits/dim of the photographs' own chroma; None for a grey photograph.

    Only photographs that have colours cost a pass of the model.

    Args:
      inputs: whose `levels` all have one shape.
    """
    bits: list[float | None] = [None] * len(inputs)
    coloured = [
      i
      for i, network_input in enumerate(inputs)
      if network_input.chroma is not None
    ]
    count = jax.local_device_count()
    for first in range(0, len(coloured), count):
      group = coloured[first : first + count]
      padded = [inputs[i] for i in group + group[-1:] * (count - len(group))]
      scored = self._score(
        self.params,
        devices.shard(np.stack([x.levels for x in padded])),
        self._shard_hints(padded),
        chroma=devices.shard(np.stack([x.chroma for x in padded])),
      )
      log_prob = np.asarray(devices.unshard(scored))
      for i, values in zip(group, log_prob, strict=False):
        bits[i] = float(drawn_samples.bits_per_dim(inputs[i], values[None])[0])
    return bits

  @_on_devices
  def expect(
    self, network_input: network_size.NetworkInput
  ) -> tuple[np.ndarray, np.ndarray] | None:
    """Predicts the colours of each cell by the embedding alone.

    Returns:
      Mixtures [h, w, P] and luminance [h, w, 1] in network units, padded; None
      if the embedding has no mixture.
    """
    if not self.model.embedding_has_likelihood:
      return None
    inputs = [network_input] * jax.local_device_count()
    levels = devices.shard(np.stack([x.levels for x in inputs]))
    expected = self._expect(self.params, levels, self._shard_hints(inputs))
    theta, luminance = map(np.asarray, devices.unshard(expected))
    return theta[0], luminance[0]

  def _sharded_spec(
    self, settings: options.Settings, inputs: list[network_size.NetworkInput]
  ) -> conditions.SamplingSpec:
    """The settings for `devices.pmap`: every array has an axis of devices."""
    count = len(inputs)
    numbers = np.asarray(settings.samples or np.arange(settings.num_drawn))

    def each(value: float) -> np.ndarray:
      return np.full(count, value, np.float32)

    guidance = None  # compiles the program without candidates
    if settings.guidance:
      guidance = conditions.Guidance(each(settings.guidance))
      if settings.prior_exponent:
        guidance = guidance.replace(
          prior=np.tile(self._required_prior(), (count, 1, 1)),
          prior_exponent=each(settings.prior_exponent),
        )
    fine_temperature = None
    if self.model.levels:
      fine_temperature = each(settings.fine_temperature)
    return conditions.SamplingSpec(
      samples=np.tile(numbers.astype(np.uint32), (count, 1)),
      temperature=each(settings.temperature),
      guidance=guidance,
      hints=self._shard_hints(inputs),
      fine_temperature=fine_temperature,
    )

  def _required_prior(self) -> np.ndarray:
    """The prior of colours, [64, 64].

    Raises:
      UserError: the weights have none.
    """
    if self._prior is None:
      raise errors.UserError(
        'These weights have no prior of colours: leave `prior_exponent` at 0, '
        'or export them with --recommend=prior_exponent=...'
      )
    return self._prior

  def _shard_hints(
    self, inputs: list[network_size.NetworkInput]
  ) -> np.ndarray | None:
    """Hints for the devices, if the model reads them."""
    if not self.model.hint_share:
      return None
    factor = self.model.chroma_factor
    return devices.shard(
      np.stack([hint_files.padded(g, factor) for g in inputs])
    )

  @_on_devices
  def render(
    self,
    network_input: network_size.NetworkInput,
    chroma: np.ndarray,
    wanted: adjustments.Adjustments = adjustments.NEUTRAL,
    *,
    window: network_size.Window | None = None,
  ) -> tuple[np.ndarray, float]:
    """A sample [h, w, 2], Lab units, on its photograph; see `to_photograph`."""
    return network_size.to_photograph(
      network_input,
      chroma,
      self.model.chroma_factor,
      chroma_filter=self.model.chroma_filter,
      wanted=wanted,
      window=window,
    )

  def _network_luminance(self, levels: jax.Array) -> jax.Array:
    return color.luminance_to_network(levels[..., None] / 2.55)

  def _draw_fn(
    self,
    params: Any,
    levels: jax.Array,
    words: jax.Array,
    *,
    seed: jax.Array,
    spec: conditions.SamplingSpec,
  ) -> tuple[jax.Array, jax.Array]:
    """Lab chroma [b, S, h, w, 2] and log-probabilities [b, S, h, w]."""
    keys = jax.vmap(
      lambda word: functools.reduce(
        jax.random.fold_in, word, jax.random.key(seed)
      )
    )(words)
    luminance = self._network_luminance(levels)
    drawn = sample.draw(self.model, params, luminance, keys=keys, spec=spec)
    chroma = color.round_chroma(color.chroma_from_network(drawn.chroma))
    return chroma, drawn.log_prob

  def _expect_fn(
    self, params: Any, levels: jax.Array, hints: jax.Array | None
  ) -> tuple[jax.Array, jax.Array]:
    """Mixtures [b, h, w, P] and luminance [b, h, w, 1]; see `expect`."""
    luminance = self._network_luminance(levels)
    model = self.model
    embedding = model.build_embedding().apply(
      {'params': params['embedding']},
      luminance,
      hints=finer_levels.hint_pyramid(hints, model.levels)[0],
    )
    theta = embedding[..., : model.num_outputs]
    side = 1 << model.levels  # every cell of the finest map has a mixture
    return tuple(
      x.repeat(side, 1).repeat(side, 2)
      for x in (theta, model.coarsest_luminance(luminance))
    )

  def _score_fn(
    self,
    params: Any,
    levels: jax.Array,
    hints: jax.Array | None,
    *,
    chroma: jax.Array,
  ) -> jax.Array:
    """Log-probabilities [b, h, w] of Lab integers [b, h, w, 2]."""
    luminance = self._network_luminance(levels)
    chroma = hint_maps.put(color.chroma_to_network(chroma), hints)
    if not self.model.has_likelihood:
      return jnp.full(chroma.shape[:-1], jnp.nan)
    found = self.model.apply(
      {'params': params}, luminance, chroma, hints=hints, method='score'
    )
    return found.on_finest_grid(hints)


def key_words(levels: np.ndarray) -> np.ndarray:
  """Names grey levels [H', W'] uint8 by [4] uint32: samples' keys follow it."""
  shape = np.array(levels.shape, '<u4').tobytes()
  digest = hashlib.sha256(shape + levels.tobytes()).digest()
  return np.frombuffer(digest[:16], '<u4').astype(np.uint32)


def load_image(path: str) -> np.ndarray:
  """Reads a photograph as [H, W, 3] uint8, transparency over white.

  Raises:
    RunError: it cannot be read.
  """
  return image_files.load_image(paths.expand(os.fspath(path)))
