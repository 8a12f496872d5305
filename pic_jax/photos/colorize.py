"""Colourisation of photographs of any size with a trained model.

The network sees the luminance at the size that it was trained on. The sampled
chroma is upsampled and combined with the photograph's full-size luminance.
"""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import ml_collections
import numpy as np

from pic_jax.images import color, image_files, to_srgb
from pic_jax.model import parameters
from pic_jax.photos import (
  adjustments,
  drawn_samples,
  hint_files,
  network_size,
  options,
  programs,
)
from pic_jax.runtime import (
  compilation_cache,
  devices,
  errors,
  paths,
  terminal,
)
from pic_jax.saved import (
  digests,
  recommended_sampling,
  run_config,
  trained_model,
)


def _before_saturation(hints: np.ndarray, saturation: float) -> np.ndarray:
  """Divides the chroma of hints by the saturation.

  The chroma of samples is later multiplied by the saturation, so results have
  the colours of the hints.

  Args:
    hints: [h, w, 3] chroma in network units and a mask, see `model.hints`.
    saturation: factor by which the chroma of samples is multiplied.

  Returns:
    [h, w, 3] hints for the network.
  """
  if saturation in (0.0, 1.0):  # with 0, the results are grey in any case
    return hints
  chroma = color.chroma_from_network(jnp.asarray(hints[..., :2])) / saturation
  chroma = color.chroma_to_network(color.round_chroma(chroma))
  is_known = hints[..., 2:] > 0
  return np.concatenate([np.where(is_known, chroma, 0), hints[..., 2:]], -1)


def _on_devices(method: Callable[..., Any]) -> Callable[..., Any]:
  """Decorates a method of `Colorizer` to run in the context `_computing`."""

  @functools.wraps(method)
  def run(self: 'Colorizer', *args: Any, **kwargs: Any) -> Any:
    with self._computing():
      return method(self, *args, **kwargs)

  return run


class Colorizer:
  """A trained model that colourises photographs of any size.

  Attributes:
    model: the network.
    params: parameters of the network, replicated on every device.
    digest: sha256 of the weights.
    recommended: values of the settings that the user does not set.
  """

  def __init__(
    self,
    params: parameters.Params,
    config: ml_collections.ConfigDict,
    digest: str = '',
    *,
    recommended: recommended_sampling.RecommendedSampling | None = None,
    prior: np.ndarray | None = None,
  ):
    """Copies a model to the devices.

    Args:
      params: parameters of the network.
      config: config of the model.
      digest: sha256 of the weights.
      recommended: recommended settings of the model; None for the settings of
        exact samples.
      prior: [64, 64] log-probabilities of colours, see `colour_prior`; None if
        the weights were saved without a prior.
    """
    self.digest, self._prior = digest, prior
    self._config, self._process = config, os.getpid()
    self.recommended = recommended or recommended_sampling.RecommendedSampling()
    with devices.standard_numerics():
      self.params = devices.replicate(params)
    self._size = config.data.image_size
    self.model = run_config.build_model(config).clone(remat=False)
    self._programs = programs.Programs(self.model, self.params, prior)

  def __getstate__(self) -> dict[str, Any]:
    """Returns the state for another process, without compiled programs."""
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
    """Provides the context in which code runs on the devices.

    Raises:
      RunError: if this is a forked process, where JAX would hang.
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
    """Loads a model.

    Args:
      source: name of a published model, a workdir, 'workdir@step' or path of a
        .safetensors file.

    Raises:
      RunError: if there is no usable model.
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
      rgb: [H, W], [H, W, 1] or [H, W, 3] uint8. Only its luminance is used.
      num_samples: number of samples S.
      seed: random seed. The same seed gives the same samples for photographs
        with the same grey values.
      hints: points whose colours are known, or the path of a file of hints (see
        `hint_files.read`). A point is (x, y, (r, g, b)) or (x, y, '#rrggbb')
        with x and y in pixels. A fourth value 'S', 'M' or 'L' sets the size of
        the point's brush.
      **more: other fields of `options.Settings`. For example, `samples=[5]`
        draws only sample number 5.

    Returns:
      [S, H, W, 3] uint8. If `samples` is given, S is its length.

    Raises:
      ValueError: if `rgb` has another shape or dtype, a setting or a hint is
        invalid, or the model does not use hints.
      RunError: if a picture of hints cannot be read.
    """
    settings = self.complete(
      options.Settings(num_samples=num_samples, seed=seed, **more)
    )
    network_input = self.to_network_size(np.asarray(rgb))
    if not isinstance(hints, tuple | list) or hints:
      network_input = self.add_hints(
        network_input, hints, saturation=self.hint_saturation(settings)
      )
      for note in network_input.hint_notes:
        terminal.say(note + '.')
    (sample_set,) = self.draw([network_input], settings)
    rendered = [
      self.render(network_input, chroma, settings.adjustments)
      for chroma in sample_set.chroma
    ]
    return np.stack([picture for picture, _ in rendered])

  def complete(self, settings: options.Settings) -> options.Settings:
    """Replaces settings that are None with the model's recommended values.

    If the user sets only `temperature`, it is also the temperature of the finer
    levels.
    """
    values = dataclasses.asdict(self.recommended)
    if settings.temperature is not None or values['fine_temperature'] is None:
      values['fine_temperature'] = settings.temperature
    if values['fine_temperature'] is None:
      values['fine_temperature'] = values['temperature']
    return dataclasses.replace(
      settings,
      **{k: v for k, v in values.items() if getattr(settings, k) is None},
    )

  def hint_saturation(self, settings: options.Settings) -> float:
    """Returns the saturation at which results have the colours of hints.

    It is the model's recommended saturation, or 1 for exact samples. If the
    user chooses another saturation, it changes the whole picture, including the
    colours of hints.
    """
    return 1.0 if settings.exact else self.recommended.saturation

  @_on_devices
  def to_network_size(
    self, rgb: np.ndarray, alpha: np.ndarray | None = None
  ) -> network_size.NetworkInput:
    """Converts a photograph to the network's input.

    Args:
      rgb: [H, W], [H, W, 1] or [H, W, 3] uint8.
      alpha: [H, W] uint8; None if all pixels are opaque. The network sees the
        photograph on white, but its full-size luminance is that of `rgb`.
    """
    model = self.model

    def convert(rgb: np.ndarray) -> network_size.NetworkInput:
      return network_size.to_network_size(
        rgb, self._size, model.chroma_factor, chroma_filter=model.chroma_filter
      )

    if alpha is None:
      return convert(rgb)
    on_white = convert(to_srgb.over_white(np.atleast_3d(rgb), alpha))
    return dataclasses.replace(on_white, luminance=convert(rgb).luminance)

  @_on_devices
  def add_hints(
    self,
    network_input: network_size.NetworkInput,
    hints: hint_files.Hints,
    size: tuple[int, int] | None = None,
    *,
    saturation: float = 1.0,
  ) -> network_size.NetworkInput:
    """Adds hints to a photograph.

    Args:
      network_input: the photograph.
      hints: points, or the path of a file; see `hint_files.read`.
      size: height and width of the photograph in whose pixels the hints are
        given; by default the size of `network_input.luminance`.
      saturation: saturation at which results have the colours of the hints.

    Returns:
      The photograph with `hints`, `hint_notes` and `kept`.

    Raises:
      UserError: if the hints do not fit the photograph, or the model does not
        use hints.
      RunError: if a picture cannot be read.
    """
    if not self.model.hint_share:
      raise errors.UserError(
        'This model reads no hints. Use a model that does, such as `photos`.'
      )
    size = size or network_input.luminance.shape
    luminance, cell_side = self.brush_luminance(network_input)
    if isinstance(hints, str | os.PathLike):
      known = hint_files.read(hints, size, luminance, cell_side=cell_side)
    else:
      known = hint_files.from_points(
        hints, size, luminance, cell_side=cell_side
      )
    return dataclasses.replace(
      network_input,
      hints=_before_saturation(known.cells, saturation),
      hint_notes=known.notes,
      kept=known.kept,
    )

  @_on_devices
  def cell_luminance(
    self, network_input: network_size.NetworkInput
  ) -> np.ndarray:
    """Returns L in 0..100 of the cells of the chroma map, [h, w]."""
    model = self.model
    return network_size.cell_luminance(
      network_input, model.chroma_factor, model.chroma_filter
    )

  def brush_luminance(
    self, network_input: network_size.NetworkInput
  ) -> tuple[np.ndarray, int]:
    """Returns the luminance for brushes; see `network_size.brush_luminance`."""
    return network_size.brush_luminance(network_input, self.model.chroma_factor)

  @_on_devices
  def draw(
    self, inputs: list[network_size.NetworkInput], settings: options.Settings
  ) -> list[drawn_samples.SampleSet]:
    """Draws samples for photographs.

    Args:
      inputs: photographs whose `grey_values` all have the same shape.
      settings: settings of the samples.

    Returns:
      One set of samples for each photograph.
    """
    settings = self.complete(settings)
    if any(x.kept is not None for x in inputs):
      return [self._draw_anchored(x, settings) for x in inputs]
    drawn = self._programs.draw(inputs, settings)
    return [
      drawn_samples.make(network_input, chroma, log_prob, settings=settings)
      for network_input, (chroma, log_prob) in zip(inputs, drawn, strict=True)
    ]

  def _draw_anchored(
    self, network_input: network_size.NetworkInput, settings: options.Settings
  ) -> drawn_samples.SampleSet:
    """Draws samples with hints and anchors; see `photos.anchors`."""
    sample_numbers = settings.samples or range(settings.num_drawn)
    rows, columns = network_input.map_shape
    plain_input = dataclasses.replace(network_input, hints=None, kept=None)
    anchored, drawn = network_input, []
    for number in sample_numbers:
      # Samples are drawn one at a time, because each has its own chroma in the
      # anchors.
      one_sample = dataclasses.replace(
        settings,
        samples=options.Numbers([number]),
        rank='none',
        num_candidates=0,
      )
      ((plain_chroma, _),) = self._programs.draw([plain_input], one_sample)
      anchored = hint_files.anchored(
        network_input, plain_chroma[0, :rows, :columns]
      )
      drawn += self._programs.draw([anchored], one_sample)
    chroma, log_prob = map(np.concatenate, zip(*drawn, strict=True))
    # `make` reads only which cells are known. That is the same for all samples,
    # so the last input serves for all of them.
    return drawn_samples.make(anchored, chroma, log_prob, settings=settings)

  @_on_devices
  def score_originals(
    self, inputs: list[network_size.NetworkInput]
  ) -> list[float | None]:
    """Computes the bits/dim of the original chroma of photographs.

    Args:
      inputs: photographs whose `grey_values` all have the same shape.

    Returns:
      Bits/dim of each photograph: NaN if the model has no likelihood, and None
      for grey and toned photographs, on which the model is not run.
    """
    inputs = list(map(hint_files.without_faded, inputs))
    bits: list[float | None] = [None] * len(inputs)
    original_chroma = {  # keyed by index of the photograph
      i: network_input.chroma
      for i, network_input in enumerate(inputs)
      if network_input.chroma is not None
    }
    scored = self._programs.score(
      [inputs[i] for i in original_chroma], list(original_chroma.values())
    )
    for i, log_prob in zip(original_chroma, scored, strict=True):
      bits[i] = float(drawn_samples.bits_per_dim(inputs[i], log_prob[None])[0])
    return bits

  @_on_devices
  def expect(
    self, network_input: network_size.NetworkInput
  ) -> tuple[np.ndarray, np.ndarray] | None:
    """Predicts the chroma of each cell from the embedding alone.

    Returns:
      Raw mixture outputs [h, w, P], and luminance [h, w, 1] in network units,
      both padded; None if the embedding does not predict chroma.
    """
    if not self.model.embedding_has_likelihood:
      return None
    return self._programs.expect(hint_files.without_faded(network_input))

  @_on_devices
  def render(
    self,
    network_input: network_size.NetworkInput,
    chroma: np.ndarray,
    wanted: adjustments.Adjustments = adjustments.NEUTRAL,
    *,
    window: network_size.Window | None = None,
  ) -> tuple[np.ndarray, float]:
    """Renders a sample at full size; see `network_size.to_photograph`.

    Args:
      network_input: the photograph.
      chroma: [h, w, 2] the sample in Lab units.
      wanted: adjustments of the whole photograph.
      window: position of `network_input.luminance` in the photograph; None if
        this luminance covers the whole photograph.

    Returns:
      [H, W, 3] uint8, and the fraction of clipped pixels.
    """
    return network_size.to_photograph(
      network_input,
      chroma,
      self.model.chroma_factor,
      chroma_filter=self.model.chroma_filter,
      wanted=wanted,
      window=window,
    )


def load_image(path: str) -> np.ndarray:
  """Reads a photograph, and puts a transparent one on white.

  Returns:
    [H, W, 3] uint8.

  Raises:
    RunError: if the file cannot be read.
  """
  return image_files.load_image(paths.expand(os.fspath(path)))
