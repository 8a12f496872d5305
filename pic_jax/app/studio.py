"""Colouring of the photographs that are in memory.

A photograph is kept as its uploaded file, together with the network's input and
reduced copies for the screen. The full size is rendered only when a coloured
version is saved. Every sample has a recipe, from which it can be drawn again,
here or on the command line.
"""

import contextlib
import dataclasses
import functools
import io
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from pic_jax.app import (
  opened_photograph,
  palette,
  pin_scores,
  sample_recipe,
  screen_view,
)
from pic_jax.images import encoding, image_files
from pic_jax.photos import (
  brush,
  colorize,
  drawn_samples,
  hint_files,
  hint_points,
  network_size,
  options,
)
from pic_jax.runtime import errors, terminal

# Limits of the photographs in memory: number, and total size of their files.
MAX_PHOTOGRAPHS = 16
MAX_KEPT_BYTES = 300_000_000
# Largest number of samples, and of predictions of the embedding, that are kept
# for one photograph.
MAX_SAMPLE_SETS, MAX_PREDICTIONS = 1000, 4
# Name of a format -> suffix of its files.
SUFFIXES = {
  picture_format: suffix
  for suffix, picture_format in screen_view.FORMATS.items()
}
# Aspect ratios (height, width) of all inputs of the network. They are compiled
# in this order, which begins with the most frequent ratios.
ASPECTS = ((1, 1), (2, 3), (3, 2), (1, 2), (2, 1), (1, 4), (4, 1))
# Largest size of a photograph's file.
MAX_BYTES = image_files.MAX_BYTES


class GoneError(LookupError):
  """A request for a photograph that is not in memory any more."""


class Studio:
  """Keeps the most recently used photographs and colours them.

  All calls that may have to draw a sample must come from the same thread. Other
  threads may meanwhile open photographs and show samples that were drawn.
  """

  def __init__(self, colorizer: colorize.Colorizer, name: str):
    """Creates a studio without photographs.

    Args:
      colorizer: the model.
      name: the model's name on the page.
    """
    self._colorizer = colorizer
    self._name = name
    self._lock = threading.Lock()  # protects the attributes below
    # Photographs by key. The most recently used one is last.
    self._opened: dict[str, opened_photograph.Opened] = {}
    # Key and pixels of the photograph that `_in_full` decoded last.
    self._decoded: tuple[str, image_files.Photograph] | None = None
    # Programs that are compiled or being compiled, by name and shape of the
    # input. The event is set when the compilation has ended.
    self._compiled: dict[tuple[str, tuple[int, ...]], threading.Event] = {}

  def facts(self) -> dict[str, Any]:
    """Returns facts about the model as a JSON object for the page."""
    recommended = self._colorizer.complete(options.Settings())
    return {
      'name': self._name,
      'sha256': self._colorizer.digest,
      'reads_pins': self._colorizer.model.hint_share > 0,
      'pin_sizes': list(brush.REACHES),
      'scores_pins': self._colorizer.model.hint_share > 0,
      'max_bytes': MAX_BYTES,
      'defaults': {
        'model': options.Model().model,
        'temperature': recommended.temperature,
        'pin_size': brush.DEFAULT_SIZE,
        'adjustments': dataclasses.asdict(recommended.adjustments),
      },
    }

  def warm_up(self, before_shape: Callable[[int, int], None]) -> None:
    """Compiles the programs for photographs of all shapes.

    Args:
      before_shape: function that is called before each shape is compiled, with
        the number of compiled shapes and the number of all shapes. It may block
        until the machine is idle.
    """
    for index, (height, width) in enumerate(ASPECTS):
      before_shape(index, len(ASPECTS))
      # The picture has several hues, so it does not count as toned. It is so
      # large that `any_shape` uses its large chunks.
      picture = np.full((300 * height, 300 * width, 3), 128, np.uint8)
      picture[..., 0] = np.linspace(0, 255, 300 * width)
      picture[..., 2] = np.linspace(0, 255, 300 * height)[:, None]
      opened = opened_photograph.read(encode('PNG', picture), self._colorizer)
      recipe = sample_recipe.Recipe(0, sample=0, temperature=1.0, pins=())
      self.show(opened, recipe)
      self._predict(opened.network_input)
      self.palette(opened, (50, 50), (), recipes=[recipe])
      if self._colorizer.model.hint_share:
        pin = hint_points.Point(50, 50, (200, 40, 40))
        self.show(opened, dataclasses.replace(recipe, pins=(pin,)))
    terminal.say('Ready. No photograph has to wait for the compiler.')

  @contextlib.contextmanager
  def _compiling(
    self, program: str, network_input: network_size.NetworkInput
  ) -> Iterator:
    """Context for calling a program; the first call for a shape compiles it.

    If another thread is compiling the program, waits until it is compiled.

    Args:
      program: name of the program.
      network_input: photograph for which the program is called.
    """
    key = program, network_input.grey_values.shape
    with self._lock:
      done = self._compiled.get(key)
      is_first = done is None
      if is_first:
        done = self._compiled[key] = threading.Event()
    if not is_first:
      done.wait()
    try:
      yield
    except BaseException:
      if is_first:
        with self._lock:
          del self._compiled[key]
      raise
    finally:
      done.set()

  def _is_compiled(
    self, program: str, network_input: network_size.NetworkInput
  ) -> bool:
    """Returns whether a program is compiled for a photograph's shape."""
    with self._lock:
      done = self._compiled.get((program, network_input.grey_values.shape))
    return done is not None and done.is_set()

  def _predict(self, network_input: network_size.NetworkInput) -> Any:
    """Predicts colours by the embedding alone, see `Colorizer.expect`."""
    with self._compiling('expect', network_input):
      return self._colorizer.expect(network_input)

  def is_ready(
    self, opened: opened_photograph.Opened, recipe: sample_recipe.Recipe
  ) -> bool:
    """Returns whether a sample can be shown without compiling a program."""
    is_compiled = self._is_compiled('draw', opened.network_input)
    return is_compiled or recipe in opened.sample_sets

  def open(self, data: bytes) -> opened_photograph.Opened:
    """Opens a photograph, and drops the least recently used ones if needed.

    Args:
      data: contents of the file.

    Raises:
      RunError: if the file cannot be read.
    """
    opened = opened_photograph.read(data, self._colorizer)
    with self._lock:
      self._opened[opened.key] = opened
      num_bytes = sum(len(x.data) for x in self._opened.values())
      while len(self._opened) > 1 and (
        len(self._opened) > MAX_PHOTOGRAPHS or num_bytes > MAX_KEPT_BYTES
      ):
        num_bytes -= len(self._opened.pop(next(iter(self._opened))).data)
    return opened

  def find(self, key: str) -> opened_photograph.Opened:
    """Returns an opened photograph, which becomes the most recently used one.

    Raises:
      GoneError: if the photograph is not in memory any more.
    """
    with self._lock:
      if key not in self._opened:
        raise GoneError(
          'This photograph is no longer in memory. Please open it again.'
        )
      self._opened[key] = self._opened.pop(key)
      return self._opened[key]

  def _in_full(
    self, opened: opened_photograph.Opened
  ) -> image_files.Photograph:
    """Returns a photograph at its full size, and keeps it for the next call."""
    with self._lock:
      if self._decoded and self._decoded[0] == opened.key:
        return self._decoded[1]
      self._decoded = None  # frees the memory before the next one is decoded
    photograph = image_files.decode_photograph(opened.data)
    with self._lock:
      self._decoded = opened.key, photograph
    return photograph

  def read_pins(
    self, opened: opened_photograph.Opened, data: bytes
  ) -> dict[str, Any]:
    """Reads pins from a file of hints.

    Args:
      opened: photograph to which the pins belong.
      data: contents of the file.

    Returns:
      JSON object with 'pins' and 'notes' for the user.

    Raises:
      UserError: if the file cannot be read, or a pin lies outside the
        photograph.
    """
    points, notes = hint_points.parse(data, 'The file')
    luminance, cell_side = self._colorizer.brush_luminance(opened.network_input)
    known = hint_files.from_points(
      points, opened.size, luminance, cell_side=cell_side
    )
    notes = [f'{note}.' for note in (*known.notes, *notes)]
    return {'pins': sample_recipe.pins_to_json(points), 'notes': notes}

  def _draw(
    self, opened: opened_photograph.Opened, recipe: sample_recipe.Recipe
  ) -> drawn_samples.SampleSet:
    """Draws a sample, or returns it if it has been drawn before."""
    if recipe not in opened.sample_sets:
      network_input = self._with_pins(opened, recipe.pins)
      if recipe.pins:
        # Far from the pins, the sample keeps the chroma it has without pins.
        plain = self._draw(opened, dataclasses.replace(recipe, pins=()))
        network_input = hint_files.anchored(network_input, plain.chroma[0])
      with self._compiling('draw', network_input):
        (sample_set,) = self._colorizer.draw([network_input], recipe.settings())
      _keep(opened.sample_sets, recipe, sample_set, most=MAX_SAMPLE_SETS)
    return opened.sample_sets[recipe]

  @property
  def _saturation(self) -> float:
    """Saturation that the model recommends, at which the slider starts."""
    return self._colorizer.recommended.saturation

  def _as_shown(self, chroma: np.ndarray) -> np.ndarray:
    """Returns chroma at the recommended saturation, at which it is shown.

    The colours of pins are meant at this saturation, so pins are compared with
    the chroma that this method returns.

    Args:
      chroma: [..., 2] sampled chroma, Lab units.
    """
    return self._saturation * chroma

  def _with_pins(
    self, opened: opened_photograph.Opened, pins: sample_recipe.Pins
  ) -> network_size.NetworkInput:
    """Returns the network's input of a photograph, with pins as hints."""
    if not pins:
      return opened.network_input
    # Positions are in pixels of the full size, as on the command line.
    return self._colorizer.add_hints(
      opened.network_input, pins, opened.size, saturation=self._saturation
    )

  def _is_pinned(
    self,
    opened: opened_photograph.Opened,
    pins: sample_recipe.Pins,
    cell: tuple[int, int],
  ) -> bool:
    """Tests whether pins give a cell (row, column) its colour."""
    hints = hint_files.without_faded(self._with_pins(opened, pins)).hints
    return hints is not None and bool(hints[(*cell, 2)])

  def show(
    self, opened: opened_photograph.Opened, recipe: sample_recipe.Recipe
  ) -> tuple[dict[str, Any], bytes]:
    """Draws a sample, if needed, and renders it for the list of versions.

    Args:
      opened: the photograph.
      recipe: recipe of the sample.

    Returns:
      JSON object with the sample's 'bits_per_dim' and, if it has pins, their
      scores and 'notes'; and a small JPEG without adjustments.
    """
    sample_set = self._draw(opened, recipe)
    numbers: dict[str, Any] = {
      'bits_per_dim': drawn_samples.finite(sample_set.bits_per_dim[0])
    }
    if recipe.pins:
      numbers |= self._pin_scores(opened, recipe, sample_set.chroma[0])
      numbers['notes'] = sample_set.network_input.hint_notes
    small = dataclasses.replace(
      opened.network_input, luminance=opened.small_luminance
    )
    rgb, _ = self._colorizer.render(small, sample_set.chroma[0])
    return numbers, encode('JPEG', rgb)

  def _pin_scores(
    self,
    opened: opened_photograph.Opened,
    recipe: sample_recipe.Recipe,
    chroma: np.ndarray,
  ) -> dict[str, Any]:
    """Scores how well a sample follows its pins, and suggests a correction.

    Args:
      opened: the photograph.
      recipe: recipe of the sample, with pins.
      chroma: [h, w, 2] chroma of the sample, Lab units.

    Returns:
      JSON object with 'taken' and 'spill', see `PinScore`, and 'cure': a pin
      for a place where another pin's colour spilled too far. It restores the
      colour that this place has in the sample without pins. It is None if no
      colour spilled too far, or if the sample without pins is not in memory.
    """
    plain = opened.sample_sets.get(dataclasses.replace(recipe, pins=()))
    chroma = self._as_shown(chroma)
    plain_chroma = chroma if plain is None else self._as_shown(plain.chroma[0])
    num_rows, num_columns = opened.network_input.map_shape
    cell_luminance = self._colorizer.cell_luminance(opened.network_input)
    luminance, cell_side = self._colorizer.brush_luminance(opened.network_input)
    strokes, _ = hint_files.strokes_of(
      recipe.pins, opened.size, luminance.shape, cell_side=cell_side
    )
    score = pin_scores.score(strokes, luminance, chroma, plain=plain_chroma)
    cure = None
    if score.overrun:
      row, column = score.overrun
      swatch = palette.swatch_of_version(
        plain_chroma[row, column], float(cell_luminance[row, column])
      )
      height, width = opened.size
      x = int((column + 0.5) * width / num_columns)
      y = int((row + 0.5) * height / num_rows)
      point = hint_points.Point(x, y, swatch.pin_rgb)
      (cure,) = sample_recipe.pins_to_json([point])
    return {'taken': score.taken, 'spill': score.spill, 'cure': cure}

  def view(
    self, opened: opened_photograph.Opened, asked: screen_view.ViewRequest
  ) -> bytes:
    """Renders a picture, or its visible part, for the screen.

    Args:
      opened: the photograph.
      asked: the page's request.

    Returns:
      The picture as a JPEG file.

    Raises:
      UserError: if the part lies outside the photograph.
    """
    if asked.kind == 'original':
      return encode('JPEG', self._part(opened, asked)[0])
    if asked.box is None:
      luminance, window = opened.network_input.luminance, None
    else:
      rgb, window = self._part(opened, asked)
      luminance = opened_photograph.luminance_of(rgb)
    part = dataclasses.replace(opened.network_input, luminance=luminance)
    if asked.recipe is None:  # 'grey'
      return encode('JPEG', network_size.grey_picture(part))
    chroma = self._draw(opened, asked.recipe).chroma[0]
    rgb, _ = self._colorizer.render(
      part, chroma, asked.adjustments, window=window
    )
    return encode('JPEG', rgb)

  def _part(
    self, opened: opened_photograph.Opened, asked: screen_view.ViewRequest
  ) -> tuple[np.ndarray, network_size.Window]:
    """Cuts the requested part out of a photograph, at the size of the screen.

    Returns:
      Pixels, composited over white, [H, W, C] uint8, and the position of the
      part.

    Raises:
      UserError: if the part lies outside the photograph.
    """
    photograph = self._in_full(opened)
    height, width = opened.size
    if asked.box is None:
      rgb = opened_photograph.on_screen(photograph)
      return rgb, network_size.Window(0, 0, *rgb.shape[:2])
    left, top, right, bottom = asked.box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
      raise errors.UserError(
        f'The part {asked.box} lies outside the photograph, {width} x {height}.'
      )
    return opened_photograph.part_on_screen(photograph, asked.box, asked.width)

  def save(
    self, opened: opened_photograph.Opened, asked: screen_view.SaveRequest
  ) -> bytes:
    """Renders versions at the photograph's size, as the command line does.

    Args:
      opened: the photograph.
      asked: the page's request.

    Returns:
      Contents of a picture's file, or of a zip archive of pictures.

    Raises:
      UserError: if the picture is too large for the format.
    """
    max_side = encoding.MAX_SIDES.get(SUFFIXES[asked.picture_format], np.inf)
    height, width = opened.size
    if max(height, width * (1 + asked.with_grey)) > max_side:
      raise errors.UserError(
        f'The picture is too large for a {asked.picture_format} file: each '
        f'side may have at most {max_side:,} pixels.'
      )
    files = [self._file(opened, recipe, asked) for recipe in asked.recipes]
    if not asked.member_prefix:
      return files[0]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_STORED) as archive:
      for index, (recipe, data) in enumerate(
        zip(asked.recipes, files, strict=True)
      ):
        # Versions of one sample with different pins need different names.
        earlier = [x.sample for x in asked.recipes[:index]]
        count = earlier.count(recipe.sample)
        suffix = f'-{count + 1}' if count else ''
        archive.writestr(
          f'{asked.member_prefix}.{recipe.sample}{suffix}.{SUFFIXES[asked.picture_format]}',
          data,
        )
    return buffer.getvalue()

  def _file(
    self,
    opened: opened_photograph.Opened,
    recipe: sample_recipe.Recipe,
    asked: screen_view.SaveRequest,
  ) -> bytes:
    """Renders one version at the photograph's size as a file."""
    photograph = self._in_full(opened)
    network_input = self._colorizer.to_network_size(
      photograph.rgb, photograph.alpha
    )
    chroma = self._draw(opened, recipe).chroma[0]
    rgb, _ = self._colorizer.render(network_input, chroma, asked.adjustments)
    alpha = photograph.alpha
    if asked.with_grey:
      rgb = np.concatenate([network_size.grey_picture(network_input), rgb], 1)
      alpha = None if alpha is None else np.concatenate([alpha, alpha], 1)
    return encode(
      asked.picture_format, rgb, alpha=alpha, about=photograph.metadata
    )

  def palette(
    self,
    opened: opened_photograph.Opened,
    spot: tuple[int, int],
    pins: sample_recipe.Pins,
    *,
    recipes: Sequence[sample_recipe.Recipe],
  ) -> dict[str, Any]:
    """Finds colours that a pin at a spot may have.

    Args:
      opened: the photograph.
      spot: x and y of the spot, in pixels of the photograph.
      pins: pins elsewhere in the photograph.
      recipes: recipes of samples whose colours count as likely. The first
        recipe belongs to the sample on the screen.

    Returns:
      JSON object with the swatches 'likely' and 'vivid', and with the swatch
      'here': the colour of the sample on the screen, or None.

    Raises:
      UserError: if the spot or a pin lies outside the photograph.
    """
    map_shape = opened.network_input.map_shape
    row, column = cell = hint_files.cell_at(spot, opened.size, map_shape)
    shares = []
    expected = self._kept_prediction(opened, pins, is_needed=not recipes)
    if expected is not None:
      theta, network_luminance = expected
      shares.append(
        palette.bin_shares(theta[row, column], network_luminance[row, column])
      )
    is_pinned = functools.cache(
      lambda recipe_pins: self._is_pinned(opened, recipe_pins, cell)
    )
    sample_sets = [self._draw(opened, recipe) for recipe in recipes]
    # A colour that comes from a pin does not tell which colours are likely.
    chroma = [
      sample_set.chroma[0, row, column]
      for recipe, sample_set in zip(recipes, sample_sets, strict=True)
      if not is_pinned(recipe.pins)
    ]
    if chroma:
      shares.append(palette.bin_shares_of_samples(np.stack(chroma)))
    luminance = _luminance_at(opened, spot)
    likely = []
    if shares:
      likely = palette.colours(
        np.mean(shares, 0), luminance, saturation=self._saturation
      )
    here = None
    if sample_sets:
      chroma_here = self._as_shown(sample_sets[0].chroma[0, row, column])
      here = palette.swatch_of_version(chroma_here, luminance)
    return {
      'likely': [dataclasses.asdict(x) for x in likely],
      'vivid': [dataclasses.asdict(x) for x in palette.vivid(luminance)],
      'here': here and dataclasses.asdict(here),
    }

  def _kept_prediction(
    self,
    opened: opened_photograph.Opened,
    pins: sample_recipe.Pins,
    is_needed: bool,
  ) -> Any:
    """Returns predictions of the embedding, see `Colorizer.expect`.

    Args:
      opened: the photograph.
      pins: pins that the embedding is given.
      is_needed: whether to wait while the program is compiled. If not,
        compiles it in another thread, and returns None until that is done.
    """
    if pins in opened.expected:
      return opened.expected[pins]
    network_input = self._with_pins(opened, pins)
    if not (is_needed or self._is_compiled('expect', network_input)):
      threading.Thread(
        target=self._predict, args=(network_input,), daemon=True
      ).start()
      return None
    expected = self._predict(network_input)
    _keep(opened.expected, pins, expected, most=MAX_PREDICTIONS)
    return expected

  def by_difference(
    self,
    opened: opened_photograph.Opened,
    recipes: Sequence[sample_recipe.Recipe],
  ) -> list[int]:
    """Orders samples so that each differs most from the earlier samples.

    Args:
      opened: the photograph.
      recipes: recipes of the samples.

    Returns:
      Indices of `recipes`. The first index belongs to the most probable sample.
    """
    sample_sets = [self._draw(opened, recipe) for recipe in recipes]
    chroma = np.concatenate([sample_set.chroma for sample_set in sample_sets])
    return drawn_samples.choose(
      options.Settings(num_samples=len(recipes), rank='different'),
      np.concatenate([sample_set.bits_per_dim for sample_set in sample_sets]),
      drawn_samples.differences(chroma),
    )


def _luminance_at(
  opened: opened_photograph.Opened, spot: tuple[int, int]
) -> float:
  """Returns the luminance L, 0..100, at a spot (x, y) of a photograph."""
  luminance = opened.network_input.luminance
  row = spot[1] * luminance.shape[0] // opened.size[0]
  column = spot[0] * luminance.shape[1] // opened.size[1]
  return float(luminance[row, column])


def _keep(memory: dict, key: Any, value: Any, *, most: int) -> None:
  """Adds an entry to a cache, and removes the oldest one if it is full."""
  if len(memory) >= most:
    del memory[next(iter(memory))]
  memory[key] = value


def encode(picture_format: str, rgb: np.ndarray, **more: Any) -> bytes:
  """Encodes a picture as a file in memory; see `encoding.write`."""
  file = io.BytesIO()
  encoding.write(file, picture_format, rgb, **more)
  return file.getvalue()
