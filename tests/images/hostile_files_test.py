"""Damaged, huge, special and oddly named files: read or refused in one line."""

import contextlib
import io
import os
import resource
import signal
import struct
import subprocess
import sys
import time
import zlib
from unittest import mock

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from pic_jax.images import image_files
from pic_jax.runtime import errors
from tests import running

NUM_MUTATIONS = 40  # of each file of `INTACT_FILES`
MAX_SECONDS = 5  # for reading a file
MAX_GROWTH = 200 << 20  # bytes of resident memory


def saved(picture, form, **options):
  """Returns a Pillow image as the bytes of a file of the format `form`."""
  file = io.BytesIO()
  picture.save(file, form, **options)
  return file.getvalue()


def chunk(kind, data):
  """Builds a chunk of a PNG file."""
  checksum = struct.pack('>I', zlib.crc32(kind + data))
  return struct.pack('>I', len(data)) + kind + data + checksum


def png_of(width, height, compressed):
  """Builds an RGB PNG with 8 bits per channel from compressed pixels."""
  header = chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0))
  body = header + chunk(b'IDAT', compressed) + chunk(b'IEND', b'')
  return b'\x89PNG\r\n\x1a\n' + body


def intact_files():
  """Returns a file with metadata in each of five formats, keyed by format."""
  y, x = np.mgrid[:37, :53]
  rgb = np.stack([6 * y, 4 * x, 255 - 3 * y - 2 * x], -1).astype(np.uint8)
  picture = Image.fromarray(rgb)
  icc = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
  exif = Image.Exif()
  exif[0x0112], exif[0x010F] = 6, 'A maker of cameras'
  with_alpha = Image.fromarray(np.append(rgb, rgb[..., :1], -1))
  frames = [picture.rotate(90).quantize(16), picture.rotate(180).quantize(16)]
  return {
    'jpeg': saved(picture, 'JPEG', exif=exif, icc_profile=icc),
    'png': saved(with_alpha, 'PNG', exif=exif, icc_profile=icc),
    'webp': saved(with_alpha, 'WEBP', exif=exif, icc_profile=icc),
    'tiff': saved(picture, 'TIFF', compression='tiff_lzw', icc_profile=icc),
    'gif': saved(
      picture.quantize(16),
      'GIF',
      save_all=True,
      append_images=frames,
      transparency=3,
    ),
  }


INTACT_FILES = intact_files()


def mutate(data, rng):
  """Flips bits, cuts off the end, inserts bytes or overwrites the header."""
  data = bytearray(data)
  kind = rng.integers(5)
  if kind == 0:
    for at in rng.integers(0, len(data), rng.integers(1, 20)):
      data[at] ^= 1 << rng.integers(8)
  elif kind == 1:
    del data[rng.integers(1, len(data)) :]
  elif kind == 2:
    at = rng.integers(len(data))
    data[at:at] = rng.bytes(rng.integers(1, 50))
  elif kind == 3:
    for at in rng.integers(2, min(120, len(data)), rng.integers(1, 6)):
      data[at] = rng.integers(256)
  else:
    at = rng.integers(2, min(120, len(data)))
    data[at : at + 4] = (b'\xff' * 4, b'\0' * 4, b'\x7f' * 4)[rng.integers(3)]
  return bytes(data)


@contextlib.contextmanager
def deadline():
  """Fails after more than MAX_SECONDS; ends work that takes twice as long."""
  start = time.monotonic()

  def stop(*_):
    raise TimeoutError

  previous_handler = signal.signal(signal.SIGALRM, stop)
  signal.alarm(2 * MAX_SECONDS)
  try:
    yield
  finally:
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous_handler)
  assert time.monotonic() - start < MAX_SECONDS


def refusal(path, **options):
  """Returns the line that refuses `path`; checks time, memory and the line."""
  before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  with deadline(), pytest.raises(errors.RunError) as error:
    image_files.load_photograph(path, **options)
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  assert (peak - before) * 1024 < MAX_GROWTH
  line = str(error.value)
  assert line.isprintable() and line.endswith('.')
  line.encode()  # fails if there is an undecodable byte
  return line


@pytest.mark.parametrize('name', INTACT_FILES)
def test_a_damaged_file_is_read_or_refused_in_one_line(name, tmp_path, capfd):
  path = tmp_path / f'{name}.bin'
  path.write_bytes(INTACT_FILES[name])
  assert image_files.load_photograph(path).rgb.size
  before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  num_refused = 0
  for number in range(NUM_MUTATIONS):
    rng = np.random.default_rng([number, len(name)])
    path.write_bytes(mutate(INTACT_FILES[name], rng))
    try:
      with deadline():
        photograph = image_files.load_photograph(path, max_pixels=1_000_000)
    except errors.RunError as error:
      assert str(error).startswith(f'{path}: '), number
      assert str(error).isprintable() and len(str(error)) < 400, number
      num_refused += 1
      continue
    rgb, alpha = photograph.rgb, photograph.alpha
    assert rgb.dtype in (np.uint8, np.uint16) and rgb.shape[-1] in (1, 3)
    assert 0 < rgb.shape[0] * rgb.shape[1] <= 1_000_000
    assert alpha is None or alpha.shape == rgb.shape[:2]
    assert alpha is None or alpha.dtype == rgb.dtype
    assert all(note.isprintable() for note in photograph.notes)
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  assert (peak - before) * 1024 < MAX_GROWTH
  # Some of the mutations do damage.
  assert 0 < num_refused
  assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize(
  'kind',
  [OSError, SyntaxError, ValueError, struct.error, ZeroDivisionError]
  + [EOFError, TypeError, KeyError, IndexError, OverflowError],
)
def test_errors_of_decoders_become_one_line(kind, tmp_path, monkeypatch):
  path = tmp_path / 'a.png'
  path.write_bytes(INTACT_FILES['png'])
  for text in ('first line\nsecond', 'long' * 100, ''):
    failing = mock.Mock(side_effect=kind(text))
    monkeypatch.setattr(PngImagePlugin.PngImageFile, 'load_prepare', failing)
    line = refusal(path)
    assert 'damaged' in line and 'save it' in line
    assert len(line) < len(str(path)) + 130


def test_too_little_memory_is_not_damage(tmp_path, monkeypatch):
  path = tmp_path / 'a.png'
  path.write_bytes(INTACT_FILES['png'])
  failing = mock.Mock(side_effect=MemoryError)
  monkeypatch.setattr(PngImagePlugin.PngImageFile, 'load_prepare', failing)
  with pytest.raises(errors.DiskError, match='a.png: not enough memory'):
    image_files.load_photograph(path)


def test_a_photograph_with_a_damaged_profile_is_read(tmp_path):
  rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
  icc = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
  for number in range(100):
    rng = np.random.default_rng(number)
    damaged = mutate(icc, rng)
    path = tmp_path / 'a.png'
    path.write_bytes(saved(Image.fromarray(rgb), 'PNG', icc_profile=damaged))
    with deadline():
      assert image_files.load_photograph(path).rgb.shape[:2] == (5, 7)


def test_a_header_with_too_many_pixels_or_none_is_refused(tmp_path):
  path = tmp_path / 'bomb.png'
  limit = 'more than the limit of 64,000,000; scale it down'
  path.write_bytes(png_of(60_000, 60_000, zlib.compress(bytes(1000))))
  assert f'3,600,000,000 pixels, {limit}' in refusal(path)
  path.write_bytes(png_of(10_000, 10_000, zlib.compress(bytes(1000))))
  assert f'10000 x 10000 pixels, {limit}' in refusal(path)
  path.write_bytes(png_of(0, 5, zlib.compress(bytes(1000))))
  assert refusal(path).startswith(f'{path}: ')


@pytest.mark.parametrize('form', ['PNG', 'TIFF', 'GIF', 'WEBP', 'BMP', 'JPEG'])
def test_a_small_file_with_too_many_pixels_is_refused(form, tmp_path):
  path = tmp_path / 'flat'
  options = {'compression': 'tiff_lzw'} if form == 'TIFF' else {}
  picture = Image.new('RGB' if form != 'BMP' else '1', (1400, 1500))
  path.write_bytes(saved(picture, form, **options))
  line = refusal(path, max_pixels=2_099_999)
  for word in ('1400 x 1500', '2,099,999', 'scale it down'):
    assert word in line
  photograph = image_files.load_photograph(path, max_pixels=2_100_000)
  assert photograph.rgb.shape == (1500, 1400, 1)


def test_data_beyond_the_size_in_the_header_is_not_decompressed(tmp_path):
  path = tmp_path / 'a.png'
  packer = zlib.compressobj()
  data = b''.join(packer.compress(bytes(1 << 20)) for _ in range(300))
  path.write_bytes(png_of(3, 3, data + packer.flush()))
  before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  with deadline(), contextlib.suppress(errors.RunError):
    image_files.load_photograph(path)
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  assert (peak - before) * 1024 < MAX_GROWTH


def test_a_tile_with_too_many_pixels_is_refused(tmp_path):
  # Size, bits, compression, photometric interpretation, samples per pixel;
  # then size, offset and number of bytes of the tile.
  tags = [(256, 16), (257, 16), (258, 8), (259, 8), (262, 1), (277, 1)]
  tags += [(322, 32_000), (323, 32_000), (324, 8), (325, 100)]
  entries = b''.join(struct.pack('<HHII', tag, 4, 1, v) for tag, v in tags)
  head = struct.pack('<2sHI', b'II', 42, 108) + zlib.compress(bytes(9**5))
  data = head.ljust(108, b'\0') + struct.pack('<H', len(tags)) + entries
  path = tmp_path / 'tile.tif'
  path.write_bytes(data + bytes(4))
  assert refusal(path).startswith(f'{path}: ')


def test_files_that_are_not_photographs_are_refused(tmp_path):
  path = tmp_path / 'a.jpg'
  path.write_bytes(b'')
  assert 'empty' in refusal(path)
  for content in (b'\0', b'This is no photograph.', b'<svg/>', b'%PDF-1.7'):
    path.write_bytes(content)
    line = refusal(path)
    assert 'JPEG, PNG, WebP' in line and 'save it' in line
  path.write_bytes(saved(Image.new('RGB', (5, 7)), 'ICO'))
  assert 'JPEG, PNG, WebP' in refusal(path)
  with open(path, 'wb') as file:
    file.truncate(image_files.MAX_BYTES + 1)
  assert '200,000,000 bytes' in refusal(path)


def test_special_files_are_refused_without_waiting(tmp_path):
  os.mkfifo(tmp_path / 'fifo.png')
  (tmp_path / 'loop.png').symlink_to(tmp_path / 'loop.png')
  (tmp_path / 'dangling.png').symlink_to(tmp_path / 'nothing')
  assert 'not a regular file' in refusal(tmp_path / 'fifo.png')
  assert 'ymbolic link' in refusal(tmp_path / 'loop.png')
  assert 'No such file' in refusal(tmp_path / 'dangling.png')
  assert 'No such file' in refusal(tmp_path / 'missing.png')
  assert 'irectory' in refusal(tmp_path)
  assert 'not a regular file' in refusal('/dev/zero')
  assert 'not a regular file' in refusal('/dev/null')
  assert 'No such file' in refusal('')
  assert 'cannot be read' in refusal('null\0.png')
  assert 'too long' in refusal(tmp_path / ('n' * 300))


@pytest.mark.skipif(os.getuid() == 0, reason='root reads everything')
def test_an_unreadable_file_is_refused(tmp_path):
  path = tmp_path / 'a.png'
  path.write_bytes(INTACT_FILES['png'])
  path.chmod(0)
  assert 'ermission' in refusal(path)


# Names of files, each with its form in messages.
NAMES = {
  'line break': ('a\nb.png', 'a\\nb.png'),
  'escape': ('a\x1b[2Jb.png', 'a\\x1b[2Jb.png'),
  'right to left': ('a\u202eb.png', 'a\\u202eb.png'),
  'percent': ('%s %d {x}.png', '%s %d {x}.png'),
  'quotes': ('\'a\' "b" `c`.png', '\'a\' "b" `c`.png'),
  '200 characters': ('n' * 196 + '.png', 'n' * 196 + '.png'),
  'letters': ('Überraschung 写真.png', 'Überraschung 写真.png'),
  'undecodable': (os.fsdecode(b'a\xffb.png'), 'a\\xffb.png'),
}


@pytest.mark.parametrize('name', NAMES)
def test_a_file_with_any_name_is_written_read_and_refused_in_one_line(
  name, tmp_path
):
  given, shown = NAMES[name]
  path = tmp_path / given
  rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
  try:
    image_files.save_image(path, rgb)
  except errors.RunError:
    pytest.skip('this file system does not allow the name')
  np.testing.assert_array_equal(image_files.load_photograph(path).rgb, rgb)
  path.write_bytes(b'damaged')
  assert refusal(path).startswith(f'{tmp_path}/{shown}: ')


# Reads the given files, and prints a line for each that is refused.
PROGRAM = """
import sys
from pic_jax.images import image_files
from pic_jax.runtime import errors
for path in sys.argv[1:]:
  try:
    image_files.load_photograph(path)
  except errors.RunError as error:
    print('refused')
"""


def test_pillow_itself_prints_nothing(tmp_path):
  whole = saved(Image.new('RGB', (9, 9)), 'TIFF')
  # Pillow warns of too many samples (through `logging`) and of a broken tag.
  many_samples = whole.replace(
    struct.pack('<HHI', 277, 3, 1) + b'\3',
    struct.pack('<HHI', 277, 3, 1) + b'c',
  )
  broken_tag = whole.replace(
    struct.pack('<HHI', 258, 3, 3), struct.pack('<HHI', 258, 3, 10**6)
  )
  assert many_samples != whole != broken_tag
  (tmp_path / 'many.tif').write_bytes(many_samples)
  (tmp_path / 'far.tif').write_bytes(broken_tag)
  paths = [tmp_path / 'many.tif', tmp_path / 'far.tif']
  command = [sys.executable, '-W', 'always', '-c', PROGRAM, *paths]
  result = subprocess.run(command, capture_output=True, text=True)
  assert result.returncode == 0 and result.stderr == ''
  assert result.stdout == 'refused\nrefused\n'


def test_the_error_for_heic_names_the_remedy(tmp_path, monkeypatch):
  monkeypatch.setattr(image_files, '_has_heif', lambda: False)
  path = running.ROOT / 'tests' / 'cases' / 'heic_alone' / 'IMG_0001.HEIC'
  with pytest.raises(errors.RunError, match='pip install pillow-h'):
    image_files.load_photograph(path)


@pytest.mark.parametrize(
  'data,text',
  [
    (b'version https://git-lfs.github.com/spec/v1\noid', 'git lfs pull'),
    (b'\n<!DOCTYPE html><html>Log in</html>', 'web page'),
  ],
)
def test_the_error_names_what_is_in_place_of_a_photograph(data, text):
  with pytest.raises(errors.RunError, match=text):
    image_files.decode_photograph(data)
