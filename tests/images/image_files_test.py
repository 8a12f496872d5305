"""Reading of unusual photographs, and writing of pictures.

Each unusual file is built here, byte by byte if Pillow cannot write it. Its
pixels are compared with the values that the file format specifies.
"""

import errno
import io
import struct
import zlib
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image, ImageCms, JpegImagePlugin, PngImagePlugin

from pic_jax.images import encoding, image_files, tiling, to_srgb
from pic_jax.runtime import errors

D50 = (0.9642, 1.0, 0.8249)
# Primaries of sRGB and of a wider space. The columns are red, green and blue,
# and the rows are X, Y and Z under D50.
SRGB = np.array(
  [
    [0.4360747, 0.3850649, 0.1430804],
    [0.2225045, 0.7168786, 0.0606169],
    [0.0139322, 0.0971045, 0.7141733],
  ]
)
WIDE = np.array(
  [
    [0.60974, 0.20528, 0.14919],
    [0.31111, 0.62567, 0.06322],
    [0.01947, 0.06087, 0.74457],
  ]
)
GAMMA = 563 / 256  # ICC stores a gamma in steps of 1 / 256
SRGB_ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()


class Case(NamedTuple):
  """A file, and the photograph that must be read from it.

  Attributes:
    data: contents of the file.
    rgb: [H, W, 3], or [H, W] for grey; 0..255, or 0..65535 if uint16.
    alpha: [H, W] in 0..255, or None.
    notes: notes for the user.
    atol: tolerance of `rgb`, in steps of 8 bits.
    name: name of the file.
  """

  data: bytes
  rgb: np.ndarray
  alpha: np.ndarray | None = None
  notes: tuple[str, ...] = ()
  atol: float = 0
  name: str = 'photograph.png'


def random_levels(*shape, dtype=np.uint8):
  """Draws random pixel values of the whole range, the same in each call."""
  top = np.iinfo(dtype).max
  return np.random.default_rng(0).integers(0, top, shape, dtype, endpoint=True)


def saved(array, form='PNG', **options):
  """Returns an array or a Pillow image as a file of the format `form`."""
  file = io.BytesIO()
  picture = array if isinstance(array, Image.Image) else Image.fromarray(array)
  picture.save(file, form, **options)
  return file.getvalue()


def chunk(kind, data):
  """Builds a chunk of a PNG file."""
  checksum = struct.pack('>I', zlib.crc32(kind + data))
  return struct.pack('>I', len(data)) + kind + data + checksum


def png(width, height, bits, color, lines, extra=b'', interlace=0):
  """Builds a PNG.

  `color` is the colour type, and `lines` are the pixels from `lines_of`.
  `extra` holds chunks that precede the pixels.
  """
  header = struct.pack('>IIBBBBB', width, height, bits, color, 0, 0, interlace)
  body = chunk(b'IHDR', header) + extra + chunk(b'IDAT', zlib.compress(lines))
  return b'\x89PNG\r\n\x1a\n' + body + chunk(b'IEND', b'')


def lines_of(rows):
  """Returns the lines of a PNG, without filters, from big-endian [H, ...]."""
  rows = rows.view(np.uint8).reshape(len(rows), -1)
  return np.pad(rows, ((0, 0), (1, 0))).tobytes()


def tiff(data, width, height, bits, photometric, *, tags=None, **more):
  """Builds a little-endian TIFF without compression, one strip per plane.

  `more` may hold `samples`, the samples per pixel, and `planes`, which is equal
  to `samples` by default.
  """
  samples = more.pop('samples', 1)
  planes = more.pop('planes', samples)
  size = len(data) // planes
  tags = {256: [width], 257: [height], 258: [bits], 259: [1], **(tags or {})}
  tags |= {262: [photometric], 277: [samples], 278: [height]}
  tags |= {273: [8 + i * size for i in range(planes)], 279: [size] * planes}
  tags |= {284: [2 if planes > 1 else 1]}
  table_end = 8 + len(data) + 2 + 12 * len(tags) + 4
  entries, long_values = b'', b''
  for tag, values in sorted(tags.items()):
    packed = struct.pack(f'<{len(values)}I', *values)
    entries += struct.pack('<HHI', tag, 4, len(values))
    if len(values) > 1:
      entries += struct.pack('<I', table_end + len(long_values))
      long_values += packed
    else:
      entries += packed
  head = struct.pack('<2sHI', b'II', 42, 8 + len(data)) + data
  return head + struct.pack('<H', len(tags)) + entries + bytes(4) + long_values


def profile(space, tags, pcs=b'XYZ '):
  """Builds a monitor profile (ICC.1:2001-04, sec. 6.1 and 6.2)."""
  tags = {b'cprt': b'text\0\0\0\0-\0', b'wtpt': xyz(D50), **tags}
  tags[b'desc'] = b'desc\0\0\0\0\0\0\0\2-\0' + bytes(78)
  table, body, table_end = b'', b'', 128 + 4 + 12 * len(tags)
  for tag, data in tags.items():
    table += tag + struct.pack('>II', table_end + len(body), len(data))
    body += data + bytes(-len(data) % 4)
  head = struct.pack(
    '>I4sI4s4s4s', table_end + len(body), b'', 2 << 24, b'mntr', space, pcs
  )
  head += bytes(12) + b'acsp' + bytes(28)
  head += struct.pack('>3i', *(round(65536 * v) for v in D50))
  return head.ljust(128, b'\0') + struct.pack('>I', len(tags)) + table + body


def xyz(values):
  """Returns X, Y and Z as the contents of an ICC tag."""
  return b'XYZ \0\0\0\0' + struct.pack(
    '>3i', *(round(65536 * v) for v in values)
  )


def gamma_curve():
  """Returns the curve of `GAMMA` as the contents of an ICC tag."""
  return b'curv\0\0\0\0\0\0\0\1' + struct.pack('>H', round(256 * GAMMA))


def color_profile(primaries):
  """Builds an RGB profile with `GAMMA`; for the primaries see `SRGB`."""
  tags = {b'rXYZ': xyz(primaries[:, 0]), b'gXYZ': xyz(primaries[:, 1])}
  tags |= {b'bXYZ': xyz(primaries[:, 2])}
  tags |= {tag: gamma_curve() for tag in (b'rTRC', b'gTRC', b'bTRC')}
  return profile(b'RGB ', tags)


def ink_profile():
  """Builds a CMYK profile with L* = 100 (1 - K), which ignores C, M and Y."""
  corners = np.zeros((2, 2, 2, 2, 3), np.uint8)
  corners[..., 0, :], corners[..., 1, :] = (255, 128, 128), (0, 128, 128)
  ramp = np.arange(256, dtype=np.uint8).tobytes()
  identity = struct.pack('>9i', *(65536 * (i % 4 == 0) for i in range(9)))
  table = b'mft1\0\0\0\0' + bytes((4, 3, 2, 0)) + identity
  table += 4 * ramp + corners.tobytes() + 3 * ramp
  return profile(b'CMYK', {b'A2B0': table, b'A2B1': table}, b'Lab ')


def srgb_of(linear):
  """Converts linear light in 0..1 to sRGB in 0..1 (IEC 61966-2-1)."""
  linear = np.clip(linear, 0, 1)
  root = 1.055 * linear ** (1 / 2.4) - 0.055
  return np.where(linear <= 0.0031308, 12.92 * linear, root)


def grey16_png():
  levels = random_levels(5, 7, dtype=np.uint16)
  return Case(saved(levels), levels)


def grey16_tiff():
  levels = random_levels(5, 7, dtype=np.uint16)
  return Case(saved(levels, 'TIFF'), levels, name='a.tif')


def grey16_tiff_compressed():
  levels = random_levels(5, 7, dtype=np.uint16)
  return Case(saved(levels, 'TIFF', compression='tiff_adobe_deflate'), levels)


def grey16_tiff_in_big_endian():
  levels = random_levels(5, 7, dtype=np.uint16)
  picture = Image.frombytes('I;16B', (7, 5), levels.astype('>u2').tobytes())
  data = saved(picture, 'TIFF')
  assert data.startswith(b'MM')
  return Case(data, levels)


def grey16_tiff_where_white_is_0():
  levels = random_levels(5, 7, dtype=np.uint16)
  return Case(tiff(levels.tobytes(), 7, 5, 16, 0), 65535 - levels)


def grey12_tiff():
  levels = random_levels(5, 8, dtype=np.uint16) >> 4
  levels[0, :2] = 0, 4095
  bits = np.unpackbits(levels.astype('>u2').view(np.uint8).reshape(5, 8, 2), -1)
  data = np.packbits(bits.reshape(5, 8, 16)[..., 4:]).tobytes()
  expected = np.round(levels * (65535 / 4095)).astype(np.uint16)
  return Case(tiff(data, 8, 5, 12, 1), expected)


def grey32_tiff_with_16_bit_values():
  levels = random_levels(5, 7, dtype=np.uint16)
  return Case(tiff(levels.astype('<u4').tobytes(), 7, 5, 32, 1), levels)


def grey16_with_a_transparent_level():
  levels = random_levels(5, 7, dtype=np.uint16)
  key = int(levels[2, 3])
  data = png(
    7,
    5,
    16,
    0,
    lines_of(levels.astype('>u2')),
    chunk(b'tRNS', levels[2, 3:4].astype('>u2').tobytes()),
  )
  alpha = np.where(levels == key, 0, 255).astype(np.uint8)
  return Case(data, levels, alpha)


def grey2_with_a_transparent_level():
  rows = np.array([[0b00011011], [0b11100100]], np.uint8)
  data = png(4, 2, 2, 0, lines_of(rows), chunk(b'tRNS', b'\0\1'))
  grey = np.array([[0, 85, 170, 255], [255, 170, 85, 0]], np.uint8)
  return Case(data, grey, np.where(grey == 85, 0, 255).astype(np.uint8))


def one_bit():
  bits = random_levels(5, 11) & 1
  return Case(png(11, 5, 1, 0, lines_of(np.packbits(bits, 1))), 255 * bits)


def palette():
  indices, colors = random_levels(5, 7) % 4, random_levels(4, 3)
  extra = chunk(b'PLTE', colors.tobytes())
  return Case(png(7, 5, 8, 3, lines_of(indices), extra), colors[indices])


def palette_with_transparency():
  indices, colors = random_levels(5, 7) % 4, random_levels(4, 3)
  alphas = np.array([255, 0, 77, 255], np.uint8)
  extra = chunk(b'PLTE', colors.tobytes()) + chunk(b'tRNS', alphas.tobytes())
  data = png(7, 5, 8, 3, lines_of(indices), extra)
  return Case(data, colors[indices], alphas[indices])


def grey_and_alpha():
  both = random_levels(5, 7, 2)
  return Case(png(7, 5, 8, 4, lines_of(both)), both[..., 0], both[..., 1])


def opaque_alpha():
  rgba = random_levels(5, 7, 4)
  rgba[..., 3] = 255
  return Case(png(7, 5, 8, 6, lines_of(rgba)), rgba[..., :3])


def colour_with_a_transparent_level():
  rgb = random_levels(5, 7, 3)
  key = b''.join(bytes((0, level)) for level in rgb[2, 3])
  alpha = np.full((5, 7), 255, np.uint8)
  alpha[2, 3] = 0
  data = png(7, 5, 8, 2, lines_of(rgb), chunk(b'tRNS', key))
  return Case(data, rgb, alpha)


def colour16():
  rgb = random_levels(5, 7, 3, dtype=np.uint16)
  data = png(7, 5, 16, 2, lines_of(rgb.astype('>u2')))
  note = 'colours of 16 bits per channel read with 8'
  return Case(data, rgb, notes=(note,))


def colour16_with_alpha():
  rgba = random_levels(5, 7, 4, dtype=np.uint16)
  data = png(7, 5, 16, 6, lines_of(rgba.astype('>u2')))
  alpha = np.round(rgba[..., 3] / 257)
  return colour16()._replace(data=data, rgb=rgba[..., :3], alpha=alpha)


def grey16_with_alpha():
  both = random_levels(5, 7, 2, dtype=np.uint16)
  data = png(7, 5, 16, 4, lines_of(both.astype('>u2')))
  alpha = np.round(both[..., 1] / 257)
  return colour16()._replace(data=data, rgb=both[..., 0], alpha=alpha)


def colour16_tiff():
  rgb = random_levels(5, 7, 3, dtype=np.uint16)
  data = tiff(rgb.tobytes(), 7, 5, 16, 2, samples=3, planes=1)
  return colour16()._replace(data=data)


def grey16_of_another_gamma():
  levels = random_levels(5, 7, dtype=np.uint16)
  gamma = chunk(b'gAMA', struct.pack('>I', 100_000))
  data = png(7, 5, 16, 0, lines_of(levels.astype('>u2')), gamma)
  expected = np.round(65535 * srgb_of(levels / 65535)).astype(np.uint16)
  return Case(data, expected, notes=("applied the file's gamma of 1",))


def colour16_with_a_transparent_level():
  rgb = random_levels(5, 7, 3, dtype=np.uint16)
  key = chunk(b'tRNS', rgb[2, 3].astype('>u2').tobytes())
  data = png(7, 5, 16, 2, lines_of(rgb.astype('>u2')), key)
  alpha = np.full((5, 7), 255, np.uint8)
  alpha[2, 3] = 0
  return colour16()._replace(data=data, alpha=alpha)


def colour_of_equal_channels():
  grey = random_levels(5, 7)
  return Case(saved(np.stack([grey] * 3, -1)), grey)


INKS_NOTE = 'inks without a colour profile: colours are approximate'


def inks():
  cmyk = random_levels(5, 7, 4)
  ink = cmyk.astype(np.float64) / 255
  rgb = 255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])
  data = saved(Image.fromarray(cmyk, 'CMYK'), 'TIFF')
  return Case(data, rgb, notes=(INKS_NOTE,), atol=1)  # it is rounded twice


def inks_in_a_jpeg():
  cmyk = np.zeros((16, 48, 4), np.uint8)
  cmyk[:, 16:32] = 0, 255, 255, 0  # red
  cmyk[:, 32:] = 0, 0, 0, 255
  rgb = np.full((16, 48, 3), 255)
  rgb[:, 16:32], rgb[:, 32:] = (255, 0, 0), 0
  data = saved(Image.fromarray(cmyk, 'CMYK'), 'JPEG', quality=100)
  assert b'Adobe' in data  # so the inks are stored inverted
  # All blocks of 8 x 8 pixels are flat, so the only error is rounding.
  return Case(data, rgb, notes=(INKS_NOTE,), atol=2)


def srgb_profile():
  rgb = random_levels(5, 7, 3)
  return Case(saved(rgb, icc_profile=SRGB_ICC), rgb)


def gamma_profile():
  rgb = random_levels(19, 23, 3)
  expected = 255 * srgb_of((rgb / 255) ** GAMMA)  # up to 7 off `rgb`
  data = saved(rgb, icc_profile=color_profile(SRGB))
  return Case(data, expected, atol=2)


def wide_gamut():
  rgb = random_levels(19, 23, 3)
  light = (rgb / 255) ** GAMMA @ WIDE.T @ np.linalg.inv(SRGB).T
  # Little CMS rounds to 15 bits between its steps. The sRGB curve is steep near
  # black, where this error grows to two levels.
  return Case(
    saved(rgb, icc_profile=color_profile(WIDE)), 255 * srgb_of(light), atol=2
  )


def wide_gamut_and_alpha():
  case, alpha = wide_gamut(), random_levels(19, 23)
  rgba = np.append(random_levels(19, 23, 3), alpha[..., None], -1)
  data = saved(rgba, icc_profile=color_profile(WIDE))
  return case._replace(data=data, alpha=alpha)


def grey_profile():
  grey = np.arange(256, dtype=np.uint8)[None]
  icc = profile(b'GRAY', {b'kTRC': gamma_curve()})
  expected = 255 * srgb_of((grey / 255) ** GAMMA)
  return Case(saved(grey, icc_profile=icc), expected, atol=2)


def grey16_with_a_profile():
  grey = np.linspace(0, 65535, 4099).round().astype(np.uint16)[None]
  icc = profile(b'GRAY', {b'kTRC': gamma_curve()})
  expected = 255 * srgb_of((grey / 65535) ** GAMMA)
  # Near black the error is up to two levels, as in `wide_gamut`.
  return Case(saved(grey, icc_profile=icc), expected, atol=2)


def grey_with_srgb():
  grey = np.arange(256, dtype=np.uint8)[None]
  return Case(saved(grey, icc_profile=SRGB_ICC), grey)


def grey16_with_srgb():
  grey = 257 * np.arange(256, dtype=np.uint16)[None]
  return Case(saved(grey, icc_profile=SRGB_ICC), grey)


def grey16_with_a_wide_gamut():
  grey = np.linspace(0, 65535, 4099).round().astype(np.uint16)[None]
  expected = 255 * srgb_of((grey / 65535) ** GAMMA)
  data = saved(grey, icc_profile=color_profile(WIDE))
  # The 16-bit values are first rounded to 8 bits. Near black, the conversion
  # may turn a difference of one level into five.
  return Case(data, expected, atol=6)


def inks_with_a_profile():
  cmyk = random_levels(16, 16, 4)
  cmyk[..., 3] = np.arange(256).reshape(16, 16)
  lightness = 100 * (1 - cmyk[..., 3] / 255)
  cube = ((lightness + 16) / 116) ** 3
  light = np.where(lightness > 8, cube, lightness / 903.2963)
  data = saved(Image.fromarray(cmyk, 'CMYK'), 'TIFF', icc_profile=ink_profile())
  return Case(data, 255 * srgb_of(light), atol=2)


def damaged_profile():
  rgb = random_levels(5, 7, 3)
  data = saved(rgb, icc_profile=SRGB_ICC[:200])
  return Case(data, rgb, notes=('damaged colour profile ignored',))


def profile_of_another_space():
  rgb = random_levels(5, 7, 3)
  lab = ImageCms.ImageCmsProfile(ImageCms.createProfile('LAB')).tobytes()
  note = "colour profile of another space ('Lab') ignored"
  return Case(saved(rgb, icc_profile=lab), rgb, notes=(note,))


def gif_of_three_frames():
  first, second = random_levels(2, 5, 7, 3) & 0xE0
  frames = [Image.fromarray(a).quantize(64) for a in (second, first)]
  data = saved(
    Image.fromarray(first).quantize(64),
    'GIF',
    save_all=True,
    append_images=frames,
  )
  return Case(data, first, notes=('first of 3 frames',), name='a.gif')


def png_of_two_frames():
  first, second = random_levels(2, 5, 7, 3)
  more = [Image.fromarray(second)]
  data = saved(first, save_all=True, append_images=more)
  return Case(data, first, notes=('first of 2 frames',))


def tiff_of_two_pages():
  first, second = random_levels(2, 5, 7, 3)
  more = [Image.fromarray(second)]
  data = saved(first, 'TIFF', save_all=True, append_images=more)
  return Case(data, first, notes=('page 1 of 2, the largest',))


def tiff_with_predictor():
  rgb = random_levels(5, 7, 3)
  return Case(
    saved(rgb, 'TIFF', compression='tiff_lzw', tiffinfo={317: 2}), rgb
  )


def one_pixel():
  return Case(saved(random_levels(1, 1, 3)), random_levels(1, 1, 3))


def one_column():
  return Case(saved(random_levels(5000, 1, 3)), random_levels(5000, 1, 3))


def two_long_rows():
  return Case(saved(random_levels(2, 20000, 3)), random_levels(2, 20000, 3))


def png_named_jpg():
  return Case(
    saved(random_levels(5, 7, 3)), random_levels(5, 7, 3), name='a.jpg'
  )


def suffix_in_capitals():
  return Case(
    saved(random_levels(5, 7, 3)), random_levels(5, 7, 3), name='A.PNG'
  )


def bmp():
  return Case(saved(random_levels(5, 7, 3), 'BMP'), random_levels(5, 7, 3))


def bmp_of_windows():
  """A BITMAPV4HEADER with a mask for alpha, although every alpha is 0."""
  rgb = random_levels(5, 7, 3)
  head = struct.pack('<IiiHHIIiiII', 108, 7, 5, 1, 32, 3, 4 * 35, 0, 0, 0, 0)
  head += struct.pack('<4I', 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
  head = head.ljust(108, b'\0')
  levels = np.pad(rgb[::-1, :, ::-1], ((0, 0), (0, 0), (0, 1))).tobytes()
  size = struct.pack('<IHHI', 14 + 108 + len(levels), 0, 0, 14 + 108)
  return Case(b'BM' + size + head + levels, rgb)


def transparent_everywhere():
  rgba = random_levels(5, 7, 4)
  rgba[..., 3] = 0
  notes = ('all of its pixels are transparent',)
  white = np.full((5, 7), 255, np.uint8)
  return Case(saved(rgba), white, rgba[..., 3], notes)


def png_of_long_texts():
  """An XMP packet of three megabytes, compressed, as Photoshop writes it."""
  texts = PngImagePlugin.PngInfo()
  texts.add_itxt('XML:com.adobe.xmp', ' ' * 3_000_000, zip=True)
  rgb = random_levels(5, 7, 3)
  return Case(saved(rgb, pnginfo=texts), rgb)


def webp():
  rgba = random_levels(5, 7, 4)
  data = saved(rgba, 'WEBP', lossless=True, exact=True)
  return Case(data, rgba[..., :3], rgba[..., 3])


def interlaced():
  rgb = random_levels(13, 11, 3)
  # The passes of Adam7, each as (top, left, row step, column step).
  passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)]
  passes += [(2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
  lines = b''.join(
    lines_of(np.ascontiguousarray(rgb[top::row_step, left::column_step]))
    for top, left, row_step, column_step in passes
  )
  return Case(png(11, 13, 8, 2, lines, interlace=1), rgb)


def damaged_exif():
  rgb = random_levels(5, 7, 3)
  data = saved(rgb, exif=b'Exif\0\0no tags here')
  return Case(data, rgb, notes=('damaged EXIF data ignored',))


CASES = [
  grey16_png,
  grey16_tiff,
  grey16_tiff_compressed,
  grey16_tiff_in_big_endian,
  grey16_tiff_where_white_is_0,
  grey12_tiff,
  grey32_tiff_with_16_bit_values,
  grey16_with_a_transparent_level,
  grey2_with_a_transparent_level,
  one_bit,
  palette,
  palette_with_transparency,
  grey_and_alpha,
  opaque_alpha,
  colour_with_a_transparent_level,
  colour16,
  colour16_with_a_transparent_level,
  colour16_with_alpha,
  colour16_tiff,
  grey16_with_alpha,
  grey16_of_another_gamma,
  colour_of_equal_channels,
  inks,
  inks_in_a_jpeg,
  srgb_profile,
  gamma_profile,
  wide_gamut,
  wide_gamut_and_alpha,
  grey_profile,
  grey_with_srgb,
  grey16_with_srgb,
  grey16_with_a_wide_gamut,
  grey16_with_a_profile,
  inks_with_a_profile,
  damaged_profile,
  profile_of_another_space,
  gif_of_three_frames,
  png_of_two_frames,
  tiff_of_two_pages,
  tiff_with_predictor,
  one_pixel,
  one_column,
  two_long_rows,
  png_named_jpg,
  suffix_in_capitals,
  bmp,
  bmp_of_windows,
  transparent_everywhere,
  png_of_long_texts,
  webp,
  interlaced,
  damaged_exif,
]


@pytest.mark.parametrize('build', CASES, ids=lambda build: build.__name__)
@pytest.mark.parametrize('strip_pixels', [1 << 20, 16], ids=['whole', 'strips'])
def test_an_unusual_file_is_read_with_the_right_pixels(
  build, strip_pixels, tmp_path, monkeypatch
):
  monkeypatch.setattr(to_srgb, 'STRIP_PIXELS', strip_pixels)
  case = build()
  path = tmp_path / case.name
  path.write_bytes(case.data)
  photograph = image_files.load_photograph(path)
  expected = case.rgb if case.rgb.ndim == 3 else case.rgb[..., None]
  if case.rgb.dtype == np.uint16:  # read as 8 bits
    expected = np.round(expected / 257)
  if case.alpha is not None:  # invisible pixels are white
    expected = np.where(case.alpha[..., None] > 0, expected, 255)
  assert photograph.rgb.dtype == np.uint8
  assert photograph.rgb.shape == expected.shape
  difference = photograph.rgb.astype(np.float64) - expected
  # Expected pixels with a tolerance may be fractions, so 0.5 is added to it.
  assert np.abs(difference).max() <= case.atol + 0.5 * (case.atol > 0)
  if case.alpha is None:
    assert photograph.alpha is None
  else:
    assert photograph.alpha.dtype == photograph.rgb.dtype
    np.testing.assert_array_equal(photograph.alpha, case.alpha)
  assert photograph.notes == case.notes
  assert image_files.load_image(path).shape == (*expected.shape[:2], 3)


def turned(rgb, orientation):
  """Turns [H, W, C] upright by its EXIF orientation (EXIF 2.32)."""
  return {
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.transpose(a, (1, 0, 2)),
    6: lambda a: np.rot90(a, 3),
    7: lambda a: np.rot90(np.transpose(a, (1, 0, 2)), 2),
    8: lambda a: np.rot90(a, 1),
  }.get(orientation, lambda a: a)(rgb)


@pytest.mark.parametrize('form', ['PNG', 'TIFF', 'WEBP', 'JPEG'])
@pytest.mark.parametrize('orientation', [1, 2, 3, 4, 5, 6, 7, 8, 99, 0])
def test_photographs_are_turned_upright(orientation, form, tmp_path):
  exif = Image.Exif()
  exif[0x0112] = orientation
  y, x = np.mgrid[:40, :56]
  rgb = np.stack([3 * y + 60, 2 * x + 80, 180 - y - x], -1).astype(np.uint8)
  options = {'lossless': True} if form == 'WEBP' else {}
  path = tmp_path / 'photograph'
  path.write_bytes(saved(rgb, form, exif=exif, **options))
  if form == 'JPEG':  # lossy, so the stored pixels are expected
    with Image.open(path) as picture:
      rgb = np.asarray(picture)
  photograph = image_files.load_photograph(path)
  np.testing.assert_array_equal(photograph.rgb, turned(rgb, orientation))
  assert photograph.rgb.flags.c_contiguous and photograph.notes == ()


def test_alpha_turns_with_its_photograph(tmp_path):
  exif = Image.Exif()
  exif[0x0112] = 6
  rgba = random_levels(5, 7, 4)
  (tmp_path / 'a.png').write_bytes(saved(rgba, exif=exif))
  photograph = image_files.load_photograph(tmp_path / 'a.png')
  np.testing.assert_array_equal(photograph.alpha, np.rot90(rgba[..., 3], 3))


@pytest.mark.parametrize(
  'data, reason',
  [
    (saved(np.ones((5, 7), np.float32), 'TIFF'), 'floating-point'),
    (saved(Image.new('LAB', (7, 5)), 'TIFF'), 'Lab'),
    (tiff(np.full(35, 70_000, '<u4').tobytes(), 7, 5, 32, 1), '32-bit'),
    (tiff(bytes(2 * 35 * 3), 7, 5, 16, 2, samples=3), 'separate planes'),
    (tiff(bytes(35), 7, 5, 8, 1, tags={254: [1], 330: [0]}), 'raw'),
    (tiff(bytes(35), 7, 5, 8, 1, tags={50706: [0x401]}), 'raw'),
  ],
  ids=['float', 'lab', '32 bits', '16 bits in planes', 'preview', 'dng'],
)
def test_unsupported_pixel_formats_are_refused(data, reason, tmp_path):
  path = tmp_path / 'a.tif'
  path.write_bytes(data)
  with pytest.raises(errors.RunError, match=reason) as error:
    image_files.load_photograph(path)
  assert str(error.value).startswith(f'{path}: ') and 'save it' in str(error)


def test_load_image_rounds_to_8_bits_and_shows_transparency_on_white(tmp_path):
  levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
  (tmp_path / 'deep.png').write_bytes(saved(levels))
  grey = image_files.load_image(tmp_path / 'deep.png')
  assert (grey == grey[..., :1]).all()
  np.testing.assert_array_equal(grey[..., 0], np.round(levels / 257))
  rgba = random_levels(41, 43, 4)
  (tmp_path / 'a.png').write_bytes(saved(rgba))
  opacity = rgba[..., 3:] / 255
  expected = rgba[..., :3] * opacity + 255 * (1 - opacity)
  rgb = image_files.load_image(tmp_path / 'a.png')
  np.testing.assert_allclose(rgb, expected, atol=0.5 + 1e-9)


@pytest.mark.parametrize('suffix', ['.png', '.webp'])
@pytest.mark.parametrize('channels', [1, 3])
def test_8_bit_pictures_and_alpha_round_trip(suffix, channels, tmp_path):
  rgb, alpha = random_levels(5, 7, channels), random_levels(7, 5).T
  rgb[0, 0], alpha[0, 0] = 255, 0  # invisible, so it is read as white
  path = tmp_path / 'new folder' / f'a{suffix}'
  image_files.save_image(path, rgb, alpha)
  photograph = image_files.load_photograph(path)
  np.testing.assert_array_equal(photograph.rgb, rgb)
  np.testing.assert_array_equal(photograph.alpha, alpha)
  image_files.save_image(path, rgb)
  assert image_files.load_photograph(path).alpha is None
  assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize('suffix', ['.jpg', '.jpeg'])
def test_jpeg_shows_transparency_on_white_and_keeps_chroma_resolution(
  suffix, tmp_path
):
  rgb = np.zeros((16, 32, 3), np.uint8)
  rgb[..., 0] = 255
  alpha = np.full((16, 32), 255, np.uint8)
  alpha[:, 8:16], alpha[:, 16:] = 51, 0
  image_files.save_image(tmp_path / f'a{suffix}', rgb, alpha)
  expected = np.full((16, 32, 3), 255.0)
  expected[:, :8, 1:], expected[:, 8:16, 1:] = 0, 255 * 4 / 5
  # The blocks are flat, so the only error is the rounding of YCbCr.
  result = image_files.load_image(tmp_path / f'a{suffix}')
  np.testing.assert_allclose(result, expected, atol=3)
  with Image.open(tmp_path / f'a{suffix}') as picture:
    assert JpegImagePlugin.get_sampling(picture) == 0  # 4:4:4


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
  path, rgb = tmp_path / 'a\n.png', random_levels(5, 7, 3)
  image_files.save_image(path, rgb)
  before = path.read_bytes()

  def fill_disk(file, *_, **__):
    file.write(b'half')
    raise OSError(errno.ENOSPC, 'No space left on device')

  with monkeypatch.context() as patch:
    patch.setattr(encoding, 'write', fill_disk)
    with pytest.raises(errors.RunError, match='No space') as error:
      image_files.save_image(path, rgb)
  assert '\n' not in str(error.value) and 'a\\n.png' in str(error.value)

  def interrupt(file, *_, **__):
    file.write(b'half')
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(encoding, 'write', interrupt)
    with pytest.raises(KeyboardInterrupt):
      image_files.save_image(path, rgb)
  assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_picture_that_cannot_be_written_is_refused_with_the_reason(tmp_path):
  rgb = random_levels(5, 7, 3)
  (tmp_path / 'file').write_text('')
  (tmp_path / 'folder.png').mkdir()
  wide = np.zeros((1, 16384, 3), np.uint8)
  for path, picture, reason in (
    (tmp_path / 'a.gif', rgb, 'unknown suffix'),
    (tmp_path / 'a', rgb, 'unknown suffix'),
    (tmp_path / 'file' / 'a.png', rgb, 'cannot be written'),
    (tmp_path / 'folder.png', rgb, 'cannot be written'),
    (tmp_path / 'null\0.png', rgb, 'cannot be written'),
    (tmp_path / 'wide.webp', wide, '16383'),
  ):
    with pytest.raises(errors.RunError, match=reason):
      image_files.save_image(path, picture)
  assert len(list(tmp_path.iterdir())) == 2


def test_tile_places_pictures_with_gaps():
  rows = np.arange(6, dtype=np.uint8).reshape(2, 3, 1, 1, 1)
  rows = np.broadcast_to(rows, (2, 3, 4, 5, 3))
  picture = tiling.tile(rows, scale=2)
  assert picture.shape == (2 * 8 + 2, 3 * 10 + 4, 3)
  assert (picture[10:, 12:22] == 4).all() and (picture[8:10] == 255).all()
  # By default, small pictures are enlarged, here to a height of 64.
  assert tiling.tile(rows).shape == (2 * 64 + 2, 3 * 80 + 4, 3)
