"""Author, resolution and text of a photograph, in every format."""

import pytest
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin

from pic_jax.images import image_files, metadata
from tests import tiny


def test_any_alphabet_and_the_resolution_are_kept_in_every_format(tmp_path):
  rgb = tiny.images(1, 12, 16)[0]
  exif = Image.Exif()
  exif[ExifTags.Base.Artist] = 'Jörg 写真'.encode()
  about = {'exif': exif, 'dpi': (300, 300)}
  Image.fromarray(rgb).save(tmp_path / 'a.jpg', **about)
  name = 'a.jpg'
  for form in ('webp', 'png', 'jpg'):  # each from the previous file
    about = image_files.load_photograph(tmp_path / name).metadata
    name = f'b.{form}'
    image_files.save_image(tmp_path / name, rgb, about=about)
    with Image.open(tmp_path / name) as image:
      tags = image.getexif()
      artist = tags[ExifTags.Base.Artist].encode('latin-1').decode()
      assert artist == 'Jörg 写真'
      assert abs(tags[ExifTags.Base.XResolution] - 300) < 1


@pytest.mark.parametrize('unknown', [1, 2])  # across, down
def test_a_resolution_of_0_over_0_counts_as_missing(tmp_path, unknown):
  rgb = tiny.images(1, 12, 16)[0]
  exif = Image.Exif()
  exif[ExifTags.Base.ResolutionUnit] = metadata.INCH
  values = [(72, 1), (72, 1)]
  values[unknown - 1] = (0, 0)
  for tag, value in zip(metadata.RESOLUTION, values, strict=True):
    exif[tag] = TiffImagePlugin.IFDRational(*value)
  Image.fromarray(rgb).save(tmp_path / 'a.webp', exif=exif)
  about = image_files.load_photograph(tmp_path / 'a.webp').metadata
  assert 'dpi' not in about
  image_files.save_image(tmp_path / 'a.png', rgb, about=about)


@pytest.mark.parametrize('form', ['JPEG', 'MPO'])
def test_a_jpeg_without_a_resolution_gets_none(form, tmp_path):
  picture = Image.fromarray(tiny.images(1, 12, 16)[0])
  exif = Image.Exif()
  exif[ExifTags.Base.Make] = 'Phone'
  more = {'save_all': True, 'append_images': [picture]} if form == 'MPO' else {}
  picture.save(tmp_path / 'a.jpg', form, exif=exif, **more)
  about = image_files.load_photograph(tmp_path / 'a.jpg').metadata
  assert 'dpi' not in about


def test_text_that_is_too_long_for_a_jpeg_does_not_prevent_saving(tmp_path):
  rgb = tiny.images(1, 12, 16)[0]
  texts = PngImagePlugin.PngInfo()
  texts.add_text('Description', 'x' * 70_000)
  Image.fromarray(rgb).save(tmp_path / 'long.png', pnginfo=texts)
  about = image_files.load_photograph(tmp_path / 'long.png').metadata
  image_files.save_image(tmp_path / 'long.jpg', rgb, about=about)
  assert (tmp_path / 'long.jpg').is_file()
