"""Photographs in memory while a user colours them.

Files are kept as uploaded, with the network's and the screen's inputs; full
size is rendered when a version is saved. Every sample has a recipe, from which
it can be drawn again, here or by the command line.
"""

import contextlib
import dataclasses
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

MAX_PHOTOGRAPHS = 16
MAX_KEPT_BYTES = 300_000_000  # of files
MAX_SAMPLE_SETS, MAX_EXPECTED = 1000, 4  # kept of one photograph
SUFFIXES = {form: suffix for suffix, form in screen_view.FORMATS.items()}
# Height and width of all shapes that the network sees, the usual ones first.
ASPECTS = ((1, 1), (2, 3), (3, 2), (1, 2), (2, 1), (1, 4), (4, 1))
MAX_BYTES = image_files.MAX_BYTES


class GoneError(LookupError):
  """A photograph that is not in memory."""


class Studio:
  """Keeps the most recently used photographs.

  `draw`, and what needs a sample set, belongs to one thread. Photographs are
  opened, and what was drawn is looked at, by others meanwhile.
  """

  def __init__(self, colorizer: colorize.Colorizer, name: str):
    """Takes a model, and how it is called."""
    self._colorizer = colorizer
    self._name = name
    self._lock = threading.Lock()  # of the attributes below
    # The one used last is last.
    self._opened: dict[str, opened_photograph.Opened] = {}
    self._decoded: tuple[str, image_files.Photograph] | None = None
    # Programs that are compiled, or being compiled, by name and shape.
    self._compiled: dict[tuple[str, tuple[int, ...]], threading.Event] = {}

  def facts(self) -> dict[str, Any]:
    """Facts about the model, for the page."""
    own = self._colorizer.complete(options.Settings())
    return {
      'name': self._name,
      'sha256': self._colorizer.digest,
      'reads_pins': self._colorizer.model.hint_share > 0,
      'pin_sizes': list(brush.REACHES),
      'scores_pins': self._colorizer.model.hint_share > 0,
      'max_bytes': MAX_BYTES,
      'defaults': {
        'model': options.Model().model,
        'temperature': own.temperature,
        'pin_size': brush.DEFAULT_SIZE,
        'adjustments': dataclasses.asdict(own.adjustments),
      },
    }

  def warm_up(self, wait: Callable[[int, int], None]) -> None:
    """Compiles what photographs need.

    Args:
      wait: is called with the number of shapes that are compiled, and of all,
        before each; it may wait until nobody needs the machine.
    """
    for index, (height, width) in enumerate(ASPECTS):
      wait(index, len(ASPECTS))
      blank = np.full((100 * height, 100 * width, 1), 128, np.uint8)
      network_input = self._colorizer.to_network_size(blank)
      with self._compiling('draw', network_input):
        self._colorizer.draw([network_input], options.Settings(samples=[0]))
      self._expect(network_input)
    terminal.say('Ready: no photograph waits for the compiler.')

  @contextlib.contextmanager
  def _compiling(
    self, program: str, network_input: network_size.NetworkInput
  ) -> Iterator:
    """Runs a program that may not be compiled yet; others wait for it."""
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
    with self._lock:
      done = self._compiled.get((program, network_input.grey_values.shape))
    return done is not None and done.is_set()

  def _expect(self, network_input: network_size.NetworkInput) -> Any:
    """See `Colorizer.expect`."""
    with self._compiling('expect', network_input):
      return self._colorizer.expect(network_input)

  def is_ready(
    self, opened: opened_photograph.Opened, recipe: sample_recipe.Recipe
  ) -> bool:
    """Whether a sample can be shown without waiting for the compiler."""
    is_compiled = self._is_compiled('draw', opened.network_input)
    return is_compiled or recipe in opened.sample_sets

  def open(self, data: bytes) -> opened_photograph.Opened:
    """Reads a photograph.

    Raises:
      RunError: it cannot be read.
    """
    opened = opened_photograph.read(data, self._colorizer)
    with self._lock:
      self._opened[opened.key] = opened
      kept = sum(len(one.data) for one in self._opened.values())
      while len(self._opened) > 1 and (
        len(self._opened) > MAX_PHOTOGRAPHS or kept > MAX_KEPT_BYTES
      ):
        kept -= len(self._opened.pop(next(iter(self._opened))).data)
    return opened

  def find(self, key: str) -> opened_photograph.Opened:
    """A photograph that was opened.

    Raises:
      GoneError: the photograph was evicted from memory.
    """
    with self._lock:
      if key not in self._opened:
        raise GoneError(
          'This photograph is no longer in memory: open it again.'
        )
      self._opened[key] = self._opened.pop(key)
      return self._opened[key]

  def _in_full(
    self, opened: opened_photograph.Opened
  ) -> image_files.Photograph:
    """A photograph with all its pixels; only the last one is kept."""
    with self._lock:
      if self._decoded and self._decoded[0] == opened.key:
        return self._decoded[1]
      self._decoded = None  # one at a time is in memory
    photograph = image_files.decode_photograph(opened.data)
    with self._lock:
      self._decoded = opened.key, photograph
    return photograph

  def read_pins(
    self, opened: opened_photograph.Opened, data: bytes
  ) -> dict[str, Any]:
    """Pins of a file for the page.

    Raises:
      UserError: it cannot be read, or a pin lies outside the photograph.
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
    """Draws a sample, or returns the cached one."""
    if recipe not in opened.sample_sets:
      network_input = self._with_pins(opened, recipe.pins)
      if recipe.pins:  # elsewhere it stays the version that it was without pins
        without = self._draw(opened, dataclasses.replace(recipe, pins=()))
        network_input = hint_files.anchored(network_input, without.chroma[0])
      with self._compiling('draw', network_input):
        (sample_set,) = self._colorizer.draw([network_input], recipe.settings())
      _keep(opened.sample_sets, recipe, sample_set, most=MAX_SAMPLE_SETS)
    return opened.sample_sets[recipe]

  @property
  def _saturation(self) -> float:
    """The model's own: where the slider stands at first."""
    return self._colorizer.recommended.saturation

  def _shown(self, chroma: np.ndarray) -> np.ndarray:
    """Drawn chroma [..., 2] as it is shown, Lab units; pins are meant so."""
    return self._saturation * chroma

  def _with_pins(
    self, opened: opened_photograph.Opened, pins: sample_recipe.Pins
  ) -> network_size.NetworkInput:
    """The photograph, with its pins as hints."""
    if not pins:
      return opened.network_input
    # By the photograph's own pixels, as the command line has it.
    return self._colorizer.add_hints(
      opened.network_input, pins, opened.size, saturation=self._saturation
    )

  def show(
    self, opened: opened_photograph.Opened, recipe: sample_recipe.Recipe
  ) -> tuple[dict[str, Any], bytes]:
    """Numbers of a sample, and a small JPEG of it without adjustments."""
    sample_set = self._draw(opened, recipe)
    numbers = {'bits_per_dim': drawn_samples.finite(sample_set.bits_per_dim[0])}
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
    """Scores how well a sample follows its pins, and suggests a correcting pin.

    What ran over is known where the same sample was drawn without pins.
    """
    plain = opened.sample_sets.get(dataclasses.replace(recipe, pins=()))
    chroma = self._shown(chroma)
    before = chroma if plain is None else self._shown(plain.chroma[0])
    shape = opened.network_input.map_shape
    luminance = self._colorizer.cell_luminance(opened.network_input)
    fine, cell_side = self._colorizer.brush_luminance(opened.network_input)
    strokes, _ = hint_files.strokes_of(
      recipe.pins, opened.size, fine.shape, cell_side=cell_side
    )
    found = pin_scores.score(strokes, fine, chroma, plain=before)
    cure = None
    if found.overrun:
      row, column = found.overrun
      swatch = palette.here(before[row, column], float(luminance[row, column]))
      height, width = opened.size
      x = int((column + 0.5) * width / shape[1])
      y = int((row + 0.5) * height / shape[0])
      point = hint_points.Point(x, y, swatch.pin)
      (cure,) = sample_recipe.pins_to_json([point])
    return {'taken': found.taken, 'spill': found.spill, 'cure': cure}

  def view(
    self, opened: opened_photograph.Opened, asked: screen_view.Asked
  ) -> bytes:
    """Renders the visible part of a photograph as JPEG."""
    if asked.kind == 'original':
      return encode('JPEG', self._part(opened, asked)[0])
    if asked.box is None:
      luminance, window = opened.network_input.luminance, None
    else:
      rgb, window = self._part(opened, asked)
      luminance = opened_photograph.luminance_of(rgb)
    part = dataclasses.replace(opened.network_input, luminance=luminance)
    if asked.kind == 'grey':
      return encode('JPEG', network_size.grey_picture(part))
    chroma = self._draw(opened, asked.recipe).chroma[0]
    rgb, _ = self._colorizer.render(
      part, chroma, asked.adjustments, window=window
    )
    return encode('JPEG', rgb)

  def _part(
    self, opened: opened_photograph.Opened, asked: screen_view.Asked
  ) -> tuple[np.ndarray, network_size.Window]:
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
    self, opened: opened_photograph.Opened, asked: screen_view.Saved
  ) -> bytes:
    """Samples at the photograph's size, as the command line writes them.

    Returns:
      A picture, or a zip archive of several.

    Raises:
      UserError: this format has no file of that size.
    """
    side = encoding.MAX_SIDES.get(SUFFIXES[asked.form], np.inf)
    height, width = opened.size
    if max(height, width * (1 + asked.is_beside)) > side:
      raise errors.UserError(
        f'{asked.form} has at most {side:,} pixels a side.'
      )
    files = [self._file(opened, recipe, asked) for recipe in asked.recipes]
    if not asked.archive_name:
      return files[0]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, 'w', zipfile.ZIP_STORED) as archived:
      for index, (recipe, data) in enumerate(
        zip(asked.recipes, files, strict=True)
      ):
        # Two versions of one sample may differ in their pins.
        same = [one.sample for one in asked.recipes[:index]]
        suffix = f'-{same.count(recipe.sample) + 1}' * (recipe.sample in same)
        archived.writestr(
          f'{asked.archive_name}.{recipe.sample}{suffix}.{SUFFIXES[asked.form]}',
          data,
        )
    return archive.getvalue()

  def _file(
    self,
    opened: opened_photograph.Opened,
    recipe: sample_recipe.Recipe,
    asked: screen_view.Saved,
  ) -> bytes:
    """A sample at the photograph's size."""
    photograph = self._in_full(opened)
    network_input = self._colorizer.to_network_size(
      photograph.rgb, photograph.alpha
    )
    chroma = self._draw(opened, recipe).chroma[0]
    rgb, _ = self._colorizer.render(network_input, chroma, asked.adjustments)
    alpha = photograph.alpha
    if asked.is_beside:
      rgb = np.concatenate([network_size.grey_picture(network_input), rgb], 1)
      alpha = None if alpha is None else np.concatenate([alpha, alpha], 1)
    return encode(asked.form, rgb, alpha=alpha, about=photograph.metadata)

  def palette(
    self,
    opened: opened_photograph.Opened,
    place: tuple[int, int],
    pins: sample_recipe.Pins,
    *,
    recipes: Sequence[sample_recipe.Recipe],
  ) -> dict[str, Any]:
    """Colours for a place: `likely`, `vivid`, and the one that is `here`.

    Args:
      opened: the photograph.
      place: x, y in its pixels.
      pins: hints elsewhere in it.
      recipes: of samples that are looked at, too; first the one that is shown.

    Raises:
      UserError: the place, or a pin, lies outside.
    """
    row, column = hint_files.cell_at(
      place, opened.size, opened.network_input.map_shape
    )
    shares = []
    expected = self._expected(opened, pins, is_needed=not recipes)
    if expected is not None:
      theta, luminance = expected
      shares.append(palette.bins_of(theta[row, column], luminance[row, column]))
    sample_sets = [self._draw(opened, recipe) for recipe in recipes]
    chroma = [
      sample_set.chroma[0, row, column]
      for sample_set in sample_sets
      if sample_set.network_input.hints is None
      or not sample_set.network_input.hints[row, column, 2]
    ]
    if chroma:
      shares.append(palette.bins_of_samples(np.stack(chroma)))
    height, width = opened.network_input.luminance.shape
    luminance = float(
      opened.network_input.luminance[
        place[1] * height // opened.size[0], place[0] * width // opened.size[1]
      ]
    )
    likely = []
    if shares:
      likely = palette.colours(
        np.mean(shares, 0), luminance, saturation=self._saturation
      )
    here = None
    if sample_sets:
      chroma_here = self._shown(sample_sets[0].chroma[0, row, column])
      here = palette.here(chroma_here, luminance)
    return {
      'likely': [dataclasses.asdict(one) for one in likely],
      'vivid': [dataclasses.asdict(one) for one in palette.vivid(luminance)],
      'here': here and dataclasses.asdict(here),
    }

  def _expected(
    self,
    opened: opened_photograph.Opened,
    pins: sample_recipe.Pins,
    is_needed: bool,
  ) -> Any:
    """Predictions of the embedding, see `Colorizer.expect`.

    Unless it is needed nobody waits for the compiler: None as long as that
    runs.
    """
    if pins in opened.expected:
      return opened.expected[pins]
    network_input = self._with_pins(opened, pins)
    if not (is_needed or self._is_compiled('expect', network_input)):
      threading.Thread(
        target=self._expect, args=(network_input,), daemon=True
      ).start()
      return None
    expected = self._expect(network_input)
    _keep(opened.expected, pins, expected, most=MAX_EXPECTED)
    return expected

  def by_difference(
    self,
    opened: opened_photograph.Opened,
    recipes: Sequence[sample_recipe.Recipe],
  ) -> list[int]:
    """Positions of samples: the most probable, then what differs most."""
    sample_sets = [self._draw(opened, recipe) for recipe in recipes]
    chroma = np.concatenate([sample_set.chroma for sample_set in sample_sets])
    return drawn_samples.choose(
      options.Settings(num_samples=len(recipes), rank='different'),
      np.concatenate([sample_set.bits_per_dim for sample_set in sample_sets]),
      drawn_samples.differences(chroma),
    )


def _keep(memory: dict, key: Any, value: Any, *, most: int) -> None:
  """Adds to a cache and evicts its oldest entry."""
  if len(memory) >= most:
    del memory[next(iter(memory))]
  memory[key] = value


def encode(form: str, rgb: np.ndarray, **more: Any) -> bytes:
  """Encodes a file in memory; see `encoding.write`."""
  file = io.BytesIO()
  encoding.write(file, form, rgb, **more)
  return file.getvalue()
