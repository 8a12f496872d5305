"""Measures whether pinned colours fill their objects and stay inside them.

  python scripts/measure_pins.py photos256_val.npy photos/ [--objects others]

Each object is coloured in eight versions, with one pin and with two.
Photographs come from arrays [N, H, W, 3] and from folders. An object whose
photograph is missing is skipped. The objects, and the colours and positions of
the pins, were chosen before any photograph was coloured. The brush and the
anchors were chosen with the objects `others`, and some later settings with
`nine` in view. docs/photographs.md has the scores of both.

Two scores are printed. "Taken" is the share of an object's pixels whose (a, b)
are within 20 Lab units of the pin's colour. That colour is first limited to the
gamut at the pixel's luminance. "Spill" tells how much nearer the pins bring the
colours outside the object to the pin's colour: the mean decrease of the
distance, in Lab units, compared with the same version without pins.
"""

import argparse
import pathlib
import sys
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

ROOT = pathlib.Path(__file__).parents[1]
# Appended, so PYTHONPATH may name a folder with another version of the package.
sys.path.append(str(ROOT))

from pic_jax import colorize  # noqa: E402
from pic_jax.images import color  # noqa: E402

NUM_VERSIONS = 8
NEAR = 20.0  # distance in (a, b) within which a pixel is taken, Lab units
FAILED = 0.3  # a version fails if a smaller share of the object is taken
# Coordinates of pins and outlines are in 256ths of a photograph's side.
UNITS = 256


class Object(NamedTuple):
  """An object to which a person would give a colour.

  Attributes:
    name: name that is printed.
    source: name of the .npy file of the photograph, without its ending; '' for
      an image file.
    item: index of the photograph in the array, or name of the image file.
    colour: colour of the pins, '#rrggbb'.
    pins: positions (x, y) of two pins on the object.
    outlines: polygons of points (x, y) that cover the object.
    around: polygons of parts that may or may not belong to the object. Their
      pixels are not scored, except those that `outlines` cover.
  """

  name: str
  source: str
  item: int | str
  colour: str
  pins: list[tuple[int, int]]
  outlines: list[list[tuple[int, int]]]
  around: list[list[tuple[int, int]]] = []


# fmt: off
NINE = (
  Object('car', 'photos256_val', 329, '#a02828', [(150, 115), (40, 120)], [[
    (0, 100), (60, 100), (100, 95), (190, 93), (250, 108), (256, 140),
    (230, 145), (170, 140), (150, 145), (165, 165), (245, 172), (256, 185),
    (250, 200), (150, 212), (142, 190), (138, 155), (118, 133), (95, 137),
    (78, 160), (0, 135)]], [
    [(0, 55), (30, 50), (100, 55), (170, 80), (190, 92), (256, 105),
     (256, 220), (150, 225), (60, 215), (0, 160)]]),
  Object('dress', 'photos256_val', 118, '#c81e1e', [(55, 170), (74, 78)], [[
    (58, 60), (72, 62), (84, 76), (82, 92), (72, 96), (66, 103), (72, 118),
    (73, 160), (74, 200), (81, 216), (76, 226), (44, 231), (38, 225),
    (33, 190), (29, 165), (22, 150), (40, 143), (44, 125), (47, 105),
    (58, 80)]]),
  Object('coat', 'photos256_val', 233, '#2e6b4a', [(160, 150), (160, 220)], [[
    (148, 65), (165, 75), (176, 105), (188, 190), (180, 198), (172, 190),
    (174, 245), (150, 243), (143, 225), (146, 180), (138, 150), (140, 130),
    (142, 100)]], [
    [(105, 60), (95, 75), (70, 150), (66, 240), (85, 240), (95, 150),
     (112, 90)],
    [(165, 75), (192, 150), (192, 200), (176, 200), (172, 150)]]),
  Object('boat', 'photos256_val', 114, '#b43c32', [(110, 105), (200, 105)], [[
    (52, 75), (75, 85), (110, 90), (160, 92), (200, 88), (235, 88), (242, 95),
    (238, 112), (180, 118), (100, 119), (65, 118)]], [
    [(40, 55), (60, 50), (110, 60), (145, 40), (200, 20), (245, 40),
     (250, 110), (60, 122)]]),
  Object('grass', 'photos256_val', 201, '#82a032', [(30, 225), (190, 180)], [[
    (0, 150), (40, 150), (45, 200), (130, 205), (150, 205), (160, 150),
    (185, 150), (215, 190), (215, 210), (256, 210), (256, 256), (0, 256)]], [
    [(0, 105), (45, 110), (45, 150), (0, 150)],
    [(160, 85), (185, 85), (215, 120), (220, 190), (185, 150), (160, 150)],
    [(75, 150), (120, 145), (125, 200), (60, 200)]]),
  Object('face', 'photos256_val', 305, '#c89682', [(130, 60), (75, 175)], [[
    (50, 40), (100, 10), (170, 15), (215, 60), (220, 130), (215, 190),
    (190, 235), (130, 250), (60, 220), (35, 140)]], [
    [(5, 115), (30, 115), (40, 60), (100, 8), (170, 12), (222, 60),
     (225, 120), (252, 118), (250, 180), (225, 205), (200, 256), (50, 256),
     (25, 205)]]),
  Object('suit', '', 'astronaut.png', '#c8501e', [(45, 160), (95, 230)], [
    [(60, 92), (33, 118), (12, 225), (55, 225), (62, 165), (90, 160),
     (110, 165), (120, 150), (85, 142), (66, 118)],
    [(70, 222), (108, 205), (116, 170), (124, 200), (124, 245), (85, 245)]], [
    [(60, 85), (85, 80), (95, 150), (150, 150), (152, 85), (180, 110),
     (182, 180), (140, 200), (130, 256), (10, 256), (12, 220)]]),
  Object('sky', 'photos256_val', 310, '#3c64a0', [(128, 80), (60, 150)], [[
    (0, 0), (256, 0), (256, 185), (0, 185)]], [
    [(0, 185), (256, 185), (256, 215), (0, 215)]]),
  Object('tree', 'photos256_val', 147, '#b42d32', [(170, 140), (100, 180)], [[
    (150, 85), (190, 80), (215, 120), (235, 170), (240, 195), (215, 210),
    (160, 215), (100, 212), (62, 190), (75, 155), (110, 155), (120, 125)]]),
)
OTHERS = (
  Object('bonnet', 'photos256_val', 155, '#a03232', [(100, 130), (200, 135)], [[
    (35, 110), (60, 105), (220, 105), (235, 125), (240, 150), (180, 160),
    (110, 150), (35, 150)]], [
    [(0, 130), (256, 130), (256, 240), (0, 240)]]),
  Object('sofa', 'photos256_val', 5, '#4b6e3c', [(120, 150), (100, 70)], [[
    (40, 40), (175, 35), (200, 80), (225, 125), (256, 135), (256, 200),
    (110, 205), (0, 185), (0, 110), (40, 90)]], [
    [(0, 25), (256, 25), (256, 210), (0, 195)]]),
  Object('trousers', 'photos256_val', 203, '#8c3220', [(115, 170), (125, 200)],
    [[(92, 125), (145, 125), (148, 200), (145, 225), (120, 230), (85, 225)]]),
  Object('cow', 'photos256_val', 186, '#c88c50', [(50, 150), (110, 160)], [[
    (0, 120), (60, 125), (100, 128), (125, 150), (145, 180), (135, 205),
    (115, 190), (0, 190)]], [
    [(125, 130), (150, 165), (150, 215), (115, 215), (0, 230), (0, 190)],
    [(140, 105), (225, 110), (225, 170), (140, 170)]]),
  Object('cheeks', 'photos256_val', 303, '#c8967d', [(130, 80), (100, 170)], [[
    (75, 60), (130, 40), (200, 70), (215, 120), (205, 180), (180, 230),
    (110, 230), (60, 190), (35, 150)]], [
    [(0, 130), (30, 125), (45, 60), (130, 35), (215, 70), (235, 190),
     (220, 256), (60, 256), (25, 190)]]),
  Object('bus', 'photos256_val', 99, '#b43228', [(40, 145), (145, 165)], [[
    (0, 125), (160, 145), (160, 185), (120, 190), (115, 160), (95, 160),
    (90, 178), (0, 165)]], [
    [(0, 70), (80, 60), (180, 50), (250, 45), (256, 60), (256, 195),
     (160, 205), (0, 180)]]),
  Object('evening', 'photos256_val', 136, '#3c6ea0', [(150, 180), (60, 220)], [[
    (0, 145), (110, 130), (256, 130), (256, 232), (0, 232)]], [
    [(0, 232), (256, 232), (256, 256), (0, 256)],
    [(110, 25), (160, 40), (150, 125), (40, 140)],
    [(175, 0), (256, 0), (256, 90), (210, 90)],
    [(0, 145), (110, 130), (256, 130), (256, 135), (0, 150)]]),
  Object('meadow', 'photos256_val', 202, '#6e9632', [(80, 225), (210, 235)], [[
    (0, 190), (150, 190), (160, 210), (256, 215), (256, 256), (0, 256)]]),
  Object('gown', 'photos256_val', 215, '#dc6e96', [(125, 180), (130, 100)], [[
    (110, 75), (150, 75), (152, 110), (145, 120), (155, 150), (155, 256),
    (98, 256), (97, 200), (105, 130)]]),
  Object('jacket', 'photos256_val', 223, '#32468c', [(120, 130), (115, 210)], [
    [(80, 68), (98, 62), (112, 95), (130, 95), (140, 62), (160, 78),
     (168, 140), (160, 152), (110, 150), (90, 150), (75, 168), (66, 160),
     (70, 115)],
    [(90, 178), (150, 175), (152, 256), (92, 256)]], [
    [(80, 150), (165, 150), (165, 180), (80, 180)]]),
)
# fmt: on


class Score(NamedTuple):
  """Scores of the versions of an object; see the module's docstring.

  Attributes:
    taken: [S] shares of the object's pixels, 0..1.
    spill: [S] mean decrease, outside the object, of the distance to the pin's
      colour, in Lab units.
  """

  taken: np.ndarray
  spill: np.ndarray


def find(thing: Object, sources: list[pathlib.Path]) -> np.ndarray | None:
  """Reads an object's photograph [H, W, 3] uint8; None if it is missing."""
  for source in sources:
    if source.suffix == '.npy' and source.stem == thing.source:
      return np.array(np.load(source, mmap_mode='r')[thing.item])
    if source.is_dir() and (source / str(thing.item)).exists():
      return colorize.load_image(str(source / str(thing.item)))
  return None


def mask_of(
  outlines: list[list[tuple[int, int]]], shape: tuple[int, int]
) -> np.ndarray:
  """Returns a mask [H, W] bool of the pixels inside polygons."""
  mask = Image.new('1', shape[::-1])
  for outline in outlines:
    points = [(x * shape[1] / UNITS, y * shape[0] / UNITS) for x, y in outline]
    ImageDraw.Draw(mask).polygon(points, fill=1)
  return np.asarray(mask)


def within_gamut(chroma: np.ndarray, luminance: np.ndarray) -> np.ndarray:
  """Limits a chroma to the sRGB gamut at each luminance of a map.

  Args:
    chroma: [2], (a, b) in Lab units.
    luminance: [H, W], L in 0..100.

  Returns:
    [H, W, 2], the chroma, made less saturated where it is out of gamut.
  """
  # Bisects the largest factor of the chroma that stays in the gamut.
  low, high = np.zeros(luminance.shape), np.ones(luminance.shape)
  for _ in range(12):
    middle = (low + high) / 2
    lab = np.concatenate([luminance[..., None], middle[..., None] * chroma], -1)
    is_inside = np.asarray(color.is_in_gamut(lab.astype(np.float32)))
    low = np.where(is_inside, middle, low)
    high = np.where(is_inside, high, middle)
  is_whole = high == 1  # no factor below 1 was out of gamut
  return np.where(is_whole, 1, low)[..., None] * chroma


def measure(
  versions: np.ndarray,
  plain: np.ndarray,
  wanted: np.ndarray,
  *,
  mask: np.ndarray,
  outside: np.ndarray,
) -> Score:
  """Scores versions that have pins.

  Args:
    versions: [S, H, W, 2], chroma of the versions with pins, in Lab units.
    plain: [S, H, W, 2], chroma of the same versions without pins.
    wanted: [H, W, 2], chroma of the pins, limited to the gamut at each pixel.
    mask: [H, W] bool, pixels of the object.
    outside: [H, W] bool, pixels outside the object.
  """
  distance = np.linalg.norm(versions - wanted, axis=-1)
  plain_distance = np.linalg.norm(plain - wanted, axis=-1)
  taken = (distance < NEAR)[:, mask].mean(1)
  return Score(taken, (plain_distance - distance)[:, outside].mean(1))


def measure_object(
  colorizer: colorize.Colorizer,
  thing: Object,
  rgb: np.ndarray,
  *,
  pin_size: str,
) -> tuple[list[Score], np.ndarray]:
  """Colours a photograph with 0, 1 and 2 pins on its object, and scores it.

  Args:
    colorizer: the model.
    thing: the object.
    rgb: [H, W, 3] uint8, the photograph.
    pin_size: 'S', 'M' or 'L'; '' for the default.

  Returns:
    The scores with one pin and with two, and a sheet [3 H, S W, 3] uint8 of all
    versions, with a row for each number of pins.
  """
  height, width = rgb.shape[:2]
  mask = mask_of(thing.outlines, (height, width))
  outside = ~(mask | mask_of(thing.around, (height, width)))
  colour = tuple(bytes.fromhex(thing.colour[1:]))
  pins = [
    (x * width / UNITS, y * height / UNITS, colour, *filter(None, [pin_size]))
    for x, y in thing.pins
  ]
  pictures = [
    colorizer(rgb, num_samples=NUM_VERSIONS, hints=pins[:count])
    for count in range(3)
  ]
  chroma = [np.asarray(color.rgb_to_lab(x))[..., 1:] for x in pictures]
  luminance = np.asarray(color.rgb_to_lab(rgb))[..., 0]
  wanted = within_gamut(
    np.asarray(color.rgb_to_lab(np.array(colour, np.uint8)))[1:], luminance
  )
  scores = [
    measure(x, chroma[0], wanted, mask=mask, outside=outside)
    for x in chroma[1:]
  ]
  sheet = np.concatenate([np.concatenate(x, 1) for x in pictures])
  return scores, sheet


def to_text(scores: list[Score]) -> str:
  """Formats the scores of one or more objects as a line."""
  taken = np.concatenate([score.taken for score in scores])
  spill = np.concatenate([score.spill for score in scores])
  return (
    f'taken {100 * taken.mean():3.0f} %, worst {100 * taken.min():3.0f} %, '
    f'below 30 %: {(taken < FAILED).sum()}/{len(taken)}, '
    f'spill {spill.mean():4.1f}'
  )


def main() -> None:
  """Prints two lines for each object, and two for all objects."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument(
    'sources', nargs='+', type=pathlib.Path, help='.npy files and folders'
  )
  parser.add_argument('--model', default='photos')
  parser.add_argument('--objects', choices=('nine', 'others'), default='nine')
  parser.add_argument(
    '--size', choices=('', 'S', 'M', 'L'), default='', help='size of the brush'
  )
  parser.add_argument('--sheets', type=pathlib.Path, help='folder for pictures')
  options = parser.parse_args()
  colorizer = colorize.Colorizer.load(options.model)
  all_scores = []
  for thing in NINE if options.objects == 'nine' else OTHERS:
    rgb = find(thing, options.sources)
    if rgb is None:
      print(f'{thing.name}: skipped, {thing.source or thing.item} is missing.')
      continue
    scores, sheet = measure_object(colorizer, thing, rgb, pin_size=options.size)
    all_scores.append(scores)
    for count, score in enumerate(scores, 1):
      print(f'{thing.name:9} {count} pin(s): {to_text([score])}', flush=True)
    if options.sheets:
      options.sheets.mkdir(parents=True, exist_ok=True)
      Image.fromarray(sheet).save(options.sheets / f'{thing.name}.png')
  for count, scores in enumerate(zip(*all_scores, strict=True), 1):
    print(f'all       {count} pin(s): {to_text(list(scores))}')


if __name__ == '__main__':
  main()
