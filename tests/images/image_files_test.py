"""One loader for every photograph that a user may have, and one writer.

Each unusual file is built here, from bytes where Pillow cannot write it, and
compared pixel by pixel with what its format says.
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
# Rows X, Y, Z under D50 of the primaries: sRGB, and a wider space.
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
GAMMA = 563 / 256
SRGB_ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()


class Case(NamedTuple):
  """A file, and what it must become; `rgb` [H, W] means grey."""

  data: bytes
  rgb: np.ndarray
  alpha: np.ndarray | None = None
  notes: tuple[str, ...] = ()
  atol: float = 0
  name: str = 'photograph.png'


def levels_of(*shape, dtype=np.uint8):
  top = np.iinfo(dtype).max
  return np.random.default_rng(0).integers(0, top, shape, dtype, endpoint=True)


def saved(array, form='PNG', **options):
  file = io.BytesIO()
  picture = array if isinstance(array, Image.Image) else Image.fromarray(array)
  picture.save(file, form, **options)
  return file.getvalue()


def chunk(kind, data):
  check = struct.pack('>I', zlib.crc32(kind + data))
  return struct.pack('>I', len(data)) + kind + data + check


def png(width, height, bits, color, lines, extra=b'', interlace=0):
  header = struct.pack('>IIBBBBB', width, height, bits, color, 0, 0, interlace)
  body = chunk(b'IHDR', header) + extra + chunk(b'IDAT', zlib.compress(lines))
  return b'\x89PNG\r\n\x1a\n' + body + chunk(b'IEND', b'')


def lines_of(rows):
  """PNG lines of filter 0 from [H, ...] big-endian numbers."""
  rows = rows.view(np.uint8).reshape(len(rows), -1)
  return np.pad(rows, ((0, 0), (1, 0))).tobytes()


def tiff(data, width, height, bits, photometric, *, tags=None, **more):
  """A little-endian TIFF without compression, one strip per plane."""
  samples = more.pop('samples', 1)
  planes = more.pop('planes', samples)
  size = len(data) // planes
  tags = {256: [width], 257: [height], 258: [bits], 259: [1], **(tags or {})}
  tags |= {262: [photometric], 277: [samples], 278: [height]}
  tags |= {273: [8 + i * size for i in range(planes)], 279: [size] * planes}
  tags |= {284: [2 if planes > 1 else 1]}
  far_at = 8 + len(data) + 2 + 12 * len(tags) + 4
  entries, far = b'', b''
  for tag, values in sorted(tags.items()):
    packed = struct.pack(f'<{len(values)}I', *values)
    entries += struct.pack('<HHI', tag, 4, len(values))
    if len(values) > 1:
      entries += struct.pack('<I', far_at + len(far))
      far += packed
    else:
      entries += packed
  head = struct.pack('<2sHI', b'II', 42, 8 + len(data)) + data
  return head + struct.pack('<H', len(tags)) + entries + bytes(4) + far


def profile(space, tags, pcs=b'XYZ '):
  """A monitor profile (ICC.1:2001-04, sec. 6.1 and 6.2)."""
  tags = {b'cprt': b'text\0\0\0\0-\0', b'wtpt': xyz(D50), **tags}
  tags[b'desc'] = b'desc\0\0\0\0\0\0\0\2-\0' + bytes(78)
  table, body, at = b'', b'', 128 + 4 + 12 * len(tags)
  for tag, data in tags.items():
    table += tag + struct.pack('>II', at + len(body), len(data))
    body += data + bytes(-len(data) % 4)
  head = struct.pack(
    '>I4sI4s4s4s', at + len(body), b'', 2 << 24, b'mntr', space, pcs
  )
  head += bytes(12) + b'acsp' + bytes(28)
  head += struct.pack('>3i', *(round(65536 * v) for v in D50))
  return head.ljust(128, b'\0') + struct.pack('>I', len(tags)) + table + body


def xyz(values):
  return b'XYZ \0\0\0\0' + struct.pack(
    '>3i', *(round(65536 * v) for v in values)
  )


def gamma_curve():
  return b'curv\0\0\0\0\0\0\0\1' + struct.pack('>H', round(256 * GAMMA))


def color_profile(primaries):
  tags = {b'rXYZ': xyz(primaries[:, 0]), b'gXYZ': xyz(primaries[:, 1])}
  tags |= {b'bXYZ': xyz(primaries[:, 2])}
  tags |= {tag: gamma_curve() for tag in (b'rTRC', b'gTRC', b'bTRC')}
  return profile(b'RGB ', tags)


def ink_profile():
  """CMYK whose L* is 100 (1 - K), without regard to the other inks."""
  corners = np.zeros((2, 2, 2, 2, 3), np.uint8)
  corners[..., 0, :], corners[..., 1, :] = (255, 128, 128), (0, 128, 128)
  ramp = np.arange(256, dtype=np.uint8).tobytes()
  identity = struct.pack('>9i', *(65536 * (i % 4 == 0) for i in range(9)))
  table = b'mft1\0\0\0\0' + bytes((4, 3, 2, 0)) + identity
  table += 4 * ramp + corners.tobytes() + 3 * ramp
  return profile(b'CMYK', {b'A2B0': table, b'A2B1': table}, b'Lab ')


def srgb_of(linear):
  """Linear light 0..1 to sRGB 0..1 (IEC 61966-2-1)."""
  linear = np.clip(linear, 0, 1)
  root = 1.055 * linear ** (1 / 2.4) - 0.055
  return np.where(linear <= 0.0031308, 12.92 * linear, root)


def grey16_png():
  levels = levels_of(5, 7, dtype=np.uint16)
  return Case(saved(levels), levels)


def grey16_tiff():
  levels = levels_of(5, 7, dtype=np.uint16)
  return Case(saved(levels, 'TIFF'), levels, name='a.tif')


def grey16_tiff_packed():
  levels = levels_of(5, 7, dtype=np.uint16)
  return Case(saved(levels, 'TIFF', compression='tiff_adobe_deflate'), levels)


def grey16_tiff_of_big_endian():
  levels = levels_of(5, 7, dtype=np.uint16)
  picture = Image.frombytes('I;16B', (7, 5), levels.astype('>u2').tobytes())
  data = saved(picture, 'TIFF')
  assert data.startswith(b'MM')
  return Case(data, levels)


def grey16_tiff_where_white_is_0():
  levels = levels_of(5, 7, dtype=np.uint16)
  return Case(tiff(levels.tobytes(), 7, 5, 16, 0), 65535 - levels)


def grey12_tiff():
  levels = levels_of(5, 8, dtype=np.uint16) >> 4
  levels[0, :2] = 0, 4095
  bits = np.unpackbits(levels.astype('>u2').view(np.uint8).reshape(5, 8, 2), -1)
  data = np.packbits(bits.reshape(5, 8, 16)[..., 4:]).tobytes()
  expected = np.round(levels * (65535 / 4095)).astype(np.uint16)
  return Case(tiff(data, 8, 5, 12, 1), expected)


def grey32_tiff_of_16_bits():
  levels = levels_of(5, 7, dtype=np.uint16)
  return Case(tiff(levels.astype('<u4').tobytes(), 7, 5, 32, 1), levels)


def grey16_with_a_transparent_level():
  levels = levels_of(5, 7, dtype=np.uint16)
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
  bits = levels_of(5, 11) & 1
  return Case(png(11, 5, 1, 0, lines_of(np.packbits(bits, 1))), 255 * bits)


def palette():
  indices, colors = levels_of(5, 7) % 4, levels_of(4, 3)
  extra = chunk(b'PLTE', colors.tobytes())
  return Case(png(7, 5, 8, 3, lines_of(indices), extra), colors[indices])


def palette_with_transparency():
  indices, colors = levels_of(5, 7) % 4, levels_of(4, 3)
  alphas = np.array([255, 0, 77, 255], np.uint8)
  extra = chunk(b'PLTE', colors.tobytes()) + chunk(b'tRNS', alphas.tobytes())
  data = png(7, 5, 8, 3, lines_of(indices), extra)
  return Case(data, colors[indices], alphas[indices])


def grey_and_alpha():
  both = levels_of(5, 7, 2)
  return Case(png(7, 5, 8, 4, lines_of(both)), both[..., 0], both[..., 1])


def opaque_alpha():
  rgba = levels_of(5, 7, 4)
  rgba[..., 3] = 255
  return Case(png(7, 5, 8, 6, lines_of(rgba)), rgba[..., :3])


def colour_with_a_transparent_level():
  rgb = levels_of(5, 7, 3)
  key = b''.join(bytes((0, level)) for level in rgb[2, 3])
  alpha = np.full((5, 7), 255, np.uint8)
  alpha[2, 3] = 0
  data = png(7, 5, 8, 2, lines_of(rgb), chunk(b'tRNS', key))
  return Case(data, rgb, alpha)


def colour16():
  rgb = levels_of(5, 7, 3, dtype=np.uint16)
  data = png(7, 5, 16, 2, lines_of(rgb.astype('>u2')))
  note = 'colours of 16 bits per channel read with 8'
  return Case(data, rgb, notes=(note,))


def colour16_with_alpha():
  rgba = levels_of(5, 7, 4, dtype=np.uint16)
  data = png(7, 5, 16, 6, lines_of(rgba.astype('>u2')))
  alpha = np.round(rgba[..., 3] / 257)
  return colour16()._replace(data=data, rgb=rgba[..., :3], alpha=alpha)


def grey16_with_alpha():
  both = levels_of(5, 7, 2, dtype=np.uint16)
  data = png(7, 5, 16, 4, lines_of(both.astype('>u2')))
  alpha = np.round(both[..., 1] / 257)
  return colour16()._replace(data=data, rgb=both[..., 0], alpha=alpha)


def colour16_tiff():
  rgb = levels_of(5, 7, 3, dtype=np.uint16)
  data = tiff(rgb.tobytes(), 7, 5, 16, 2, samples=3, planes=1)
  return colour16()._replace(data=data)


def grey16_of_another_gamma():
  levels = levels_of(5, 7, dtype=np.uint16)
  gamma = chunk(b'gAMA', struct.pack('>I', 100_000))
  data = png(7, 5, 16, 0, lines_of(levels.astype('>u2')), gamma)
  expected = np.round(65535 * srgb_of(levels / 65535)).astype(np.uint16)
  return Case(data, expected, notes=("applied the file's gamma of 1",))


def colour16_with_a_transparent_level():
  rgb = levels_of(5, 7, 3, dtype=np.uint16)
  key = chunk(b'tRNS', rgb[2, 3].astype('>u2').tobytes())
  data = png(7, 5, 16, 2, lines_of(rgb.astype('>u2')), key)
  alpha = np.full((5, 7), 255, np.uint8)
  alpha[2, 3] = 0
  return colour16()._replace(data=data, alpha=alpha)


def colour_of_equal_channels():
  grey = levels_of(5, 7)
  return Case(saved(np.stack([grey] * 3, -1)), grey)


INKS = 'inks without a colour profile: colours are approximate'


def inks():
  cmyk = levels_of(5, 7, 4)
  ink = cmyk.astype(np.float64) / 255
  rgb = 255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])
  data = saved(Image.fromarray(cmyk, 'CMYK'), 'TIFF')
  return Case(data, rgb, notes=(INKS,), atol=1)  # two roundings


def inks_in_a_jpeg():
  cmyk = np.zeros((16, 48, 4), np.uint8)
  cmyk[:, 16:32] = 0, 255, 255, 0  # red
  cmyk[:, 32:] = 0, 0, 0, 255
  rgb = np.full((16, 48, 3), 255)
  rgb[:, 16:32], rgb[:, 32:] = (255, 0, 0), 0
  data = saved(Image.fromarray(cmyk, 'CMYK'), 'JPEG', quality=100)
  assert b'Adobe' in data  # inks are stored inverted
  # Flat blocks of 8 x 8: only the rounding of the transform is left.
  return Case(data, rgb, notes=(INKS,), atol=2)


def srgb_profile():
  rgb = levels_of(5, 7, 3)
  return Case(saved(rgb, icc_profile=SRGB_ICC), rgb)


def gamma_profile():
  rgb = levels_of(19, 23, 3)
  expected = 255 * srgb_of((rgb / 255) ** GAMMA)  # up to 7 levels from `rgb`
  data = saved(rgb, icc_profile=color_profile(SRGB))
  return Case(data, expected, atol=2)


def wide_gamut():
  rgb = levels_of(19, 23, 3)
  light = (rgb / 255) ** GAMMA @ WIDE.T @ np.linalg.inv(SRGB).T
  # Little CMS rounds to 15 bits between its steps, which the steep start of
  # the sRGB curve makes two levels.
  return Case(
    saved(rgb, icc_profile=color_profile(WIDE)), 255 * srgb_of(light), atol=2
  )


def wide_gamut_and_alpha():
  case, alpha = wide_gamut(), levels_of(19, 23)
  rgba = np.append(levels_of(19, 23, 3), alpha[..., None], -1)
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
  # Off by two levels next to black, as in `wide_gamut`.
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
  # Next to black, one level of 255 may become five.
  return Case(data, expected, atol=6)


def inks_with_a_profile():
  cmyk = levels_of(16, 16, 4)
  cmyk[..., 3] = np.arange(256).reshape(16, 16)
  lightness = 100 * (1 - cmyk[..., 3] / 255)
  cube = ((lightness + 16) / 116) ** 3
  light = np.where(lightness > 8, cube, lightness / 903.2963)
  data = saved(Image.fromarray(cmyk, 'CMYK'), 'TIFF', icc_profile=ink_profile())
  return Case(data, 255 * srgb_of(light), atol=2)


def damaged_profile():
  rgb = levels_of(5, 7, 3)
  data = saved(rgb, icc_profile=SRGB_ICC[:200])
  return Case(data, rgb, notes=('damaged colour profile ignored',))


def profile_of_another_space():
  rgb = levels_of(5, 7, 3)
  lab = ImageCms.ImageCmsProfile(ImageCms.createProfile('LAB')).tobytes()
  note = "colour profile of another space ('Lab') ignored"
  return Case(saved(rgb, icc_profile=lab), rgb, notes=(note,))


def gif_of_three_frames():
  first, second = levels_of(2, 5, 7, 3) & 0xE0
  frames = [Image.fromarray(a).quantize(64) for a in (second, first)]
  data = saved(
    Image.fromarray(first).quantize(64),
    'GIF',
    save_all=True,
    append_images=frames,
  )
  return Case(data, first, notes=('first of 3 frames',), name='a.gif')


def png_of_two_frames():
  first, second = levels_of(2, 5, 7, 3)
  more = [Image.fromarray(second)]
  data = saved(first, save_all=True, append_images=more)
  return Case(data, first, notes=('first of 2 frames',))


def tiff_of_two_pages():
  first, second = levels_of(2, 5, 7, 3)
  more = [Image.fromarray(second)]
  data = saved(first, 'TIFF', save_all=True, append_images=more)
  return Case(data, first, notes=('page 1 of 2, the largest',))


def tiff_with_predictor():
  rgb = levels_of(5, 7, 3)
  return Case(
    saved(rgb, 'TIFF', compression='tiff_lzw', tiffinfo={317: 2}), rgb
  )


def one_pixel():
  return Case(saved(levels_of(1, 1, 3)), levels_of(1, 1, 3))


def one_column():
  return Case(saved(levels_of(5000, 1, 3)), levels_of(5000, 1, 3))


def two_long_rows():
  return Case(saved(levels_of(2, 20000, 3)), levels_of(2, 20000, 3))


def png_named_jpg():
  return Case(saved(levels_of(5, 7, 3)), levels_of(5, 7, 3), name='a.jpg')


def suffix_in_capitals():
  return Case(saved(levels_of(5, 7, 3)), levels_of(5, 7, 3), name='A.PNG')


def bmp():
  return Case(saved(levels_of(5, 7, 3), 'BMP'), levels_of(5, 7, 3))


def bmp_of_windows():
  """BITMAPV4HEADER with a mask of alpha, and 0 in every alpha."""
  rgb = levels_of(5, 7, 3)
  head = struct.pack('<IiiHHIIiiII', 108, 7, 5, 1, 32, 3, 4 * 35, 0, 0, 0, 0)
  head += struct.pack('<4I', 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
  head = head.ljust(108, b'\0')
  levels = np.pad(rgb[::-1, :, ::-1], ((0, 0), (0, 0), (0, 1))).tobytes()
  size = struct.pack('<IHHI', 14 + 108 + len(levels), 0, 0, 14 + 108)
  return Case(b'BM' + size + head + levels, rgb)


def transparent_everywhere():
  rgba = levels_of(5, 7, 4)
  rgba[..., 3] = 0
  notes = ('all of its pixels are transparent',)
  white = np.full((5, 7), 255, np.uint8)
  return Case(saved(rgba), white, rgba[..., 3], notes)


def png_of_long_texts():
  """A packet of some megabytes, compressed, as Photoshop writes it."""
  texts = PngImagePlugin.PngInfo()
  texts.add_itxt('XML:com.adobe.xmp', ' ' * 3_000_000, zip=True)
  rgb = levels_of(5, 7, 3)
  return Case(saved(rgb, pnginfo=texts), rgb)


def webp():
  rgba = levels_of(5, 7, 4)
  data = saved(rgba, 'WEBP', lossless=True, exact=True)
  return Case(data, rgba[..., :3], rgba[..., 3])


def interlaced():
  rgb = levels_of(13, 11, 3)
  passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)]
  passes += [(2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
  lines = b''.join(
    lines_of(np.ascontiguousarray(rgb[top::down, left::right]))
    for top, left, down, right in passes
  )
  return Case(png(11, 13, 8, 2, lines, interlace=1), rgb)


def damaged_exif():
  rgb = levels_of(5, 7, 3)
  data = saved(rgb, exif=b'Exif\0\0no tags here')
  return Case(data, rgb, notes=('damaged EXIF data ignored',))


CASES = [
  grey16_png,
  grey16_tiff,
  grey16_tiff_packed,
  grey16_tiff_of_big_endian,
  grey16_tiff_where_white_is_0,
  grey12_tiff,
  grey32_tiff_of_16_bits,
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
@pytest.mark.parametrize('strip', [1 << 20, 16], ids=['whole', 'strips'])
def test_an_unusual_file_gives_its_levels(build, strip, tmp_path, monkeypatch):
  monkeypatch.setattr(to_srgb, 'STRIP_PIXELS', strip)
  case = build()
  path = tmp_path / case.name
  path.write_bytes(case.data)
  photograph = image_files.load_photograph(path)
  expected = case.rgb if case.rgb.ndim == 3 else case.rgb[..., None]
  if case.rgb.dtype == np.uint16:  # it is rounded to 8 bits
    expected = np.round(expected / 257)
  if case.alpha is not None:  # what nobody sees is white
    expected = np.where(case.alpha[..., None] > 0, expected, 255)
  assert photograph.rgb.dtype == np.uint8
  assert photograph.rgb.shape == expected.shape
  difference = photograph.rgb.astype(np.float64) - expected
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
  if form == 'JPEG':  # lossy: takes what is stored, which Pillow does not turn
    with Image.open(path) as picture:
      rgb = np.asarray(picture)
  photograph = image_files.load_photograph(path)
  np.testing.assert_array_equal(photograph.rgb, turned(rgb, orientation))
  assert photograph.rgb.flags.c_contiguous and photograph.notes == ()


def test_alpha_turns_with_its_photograph(tmp_path):
  exif = Image.Exif()
  exif[0x0112] = 6
  rgba = levels_of(5, 7, 4)
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
def test_pixels_of_other_kinds_are_refused(data, reason, tmp_path):
  path = tmp_path / 'a.tif'
  path.write_bytes(data)
  with pytest.raises(errors.RunError, match=reason) as error:
    image_files.load_photograph(path)
  assert str(error.value).startswith(f'{path}: ') and 'save it' in str(error)


def test_load_image_rounds_to_8_bits_and_puts_over_white(tmp_path):
  levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
  (tmp_path / 'deep.png').write_bytes(saved(levels))
  grey = image_files.load_image(tmp_path / 'deep.png')
  assert (grey == grey[..., :1]).all()
  np.testing.assert_array_equal(grey[..., 0], np.round(levels / 257))
  rgba = levels_of(41, 43, 4)
  (tmp_path / 'a.png').write_bytes(saved(rgba))
  share = rgba[..., 3:] / 255
  over = rgba[..., :3] * share + 255 * (1 - share)
  rgb = image_files.load_image(tmp_path / 'a.png')
  np.testing.assert_allclose(rgb, over, atol=0.5 + 1e-9)


@pytest.mark.parametrize('suffix', ['.png', '.webp'])
@pytest.mark.parametrize('channels', [1, 3])
def test_8_bits_and_alpha_come_back(suffix, channels, tmp_path):
  rgb, alpha = levels_of(5, 7, channels), levels_of(7, 5).T
  rgb[0, 0], alpha[0, 0] = 255, 0  # white, as nobody sees it
  path = tmp_path / 'new folder' / f'a{suffix}'
  image_files.save_image(path, rgb, alpha)
  photograph = image_files.load_photograph(path)
  np.testing.assert_array_equal(photograph.rgb, rgb)
  np.testing.assert_array_equal(photograph.alpha, alpha)
  image_files.save_image(path, rgb)
  assert image_files.load_photograph(path).alpha is None
  assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize('suffix', ['.jpg', '.jpeg'])
def test_jpeg_puts_over_white_and_keeps_its_chroma(suffix, tmp_path):
  rgb = np.zeros((16, 32, 3), np.uint8)
  rgb[..., 0] = 255
  alpha = np.full((16, 32), 255, np.uint8)
  alpha[:, 8:16], alpha[:, 16:] = 51, 0
  image_files.save_image(tmp_path / f'a{suffix}', rgb, alpha)
  expected = np.full((16, 32, 3), 255.0)
  expected[:, :8, 1:], expected[:, 8:16, 1:] = 0, 255 * 4 / 5
  # Flat blocks: the rounding of YCbCr.
  result = image_files.load_image(tmp_path / f'a{suffix}')
  np.testing.assert_allclose(result, expected, atol=3)
  with Image.open(tmp_path / f'a{suffix}') as picture:
    assert JpegImagePlugin.get_sampling(picture) == 0


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
  path, rgb = tmp_path / 'a\n.png', levels_of(5, 7, 3)
  image_files.save_image(path, rgb)
  before = path.read_bytes()

  def full(file, *_, **__):
    file.write(b'half')
    raise OSError(errno.ENOSPC, 'No space left on device')

  with monkeypatch.context() as patch:
    patch.setattr(encoding, 'write', full)
    with pytest.raises(errors.RunError, match='No space') as error:
      image_files.save_image(path, rgb)
  assert '\n' not in str(error.value) and 'a\\n.png' in str(error.value)

  def interrupted(file, *_, **__):
    file.write(b'half')
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(encoding, 'write', interrupted)
    with pytest.raises(KeyboardInterrupt):
      image_files.save_image(path, rgb)
  assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_named(tmp_path):
  rgb = levels_of(5, 7, 3)
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


def test_grid_places_pictures_with_gaps():
  rows = np.arange(6, dtype=np.uint8).reshape(2, 3, 1, 1, 1)
  rows = np.broadcast_to(rows, (2, 3, 4, 5, 3))
  picture = tiling.tile(rows, scale=2)
  assert picture.shape == (2 * 8 + 2, 3 * 10 + 4, 3)
  assert (picture[10:, 12:22] == 4).all() and (picture[8:10] == 255).all()
  # Small pictures are enlarged, to a height of 64 here.
  assert tiling.tile(rows).shape == (2 * 64 + 2, 3 * 80 + 4, 3)
