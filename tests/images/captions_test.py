"""Captions and copyright notices are kept in outputs; other metadata is not."""

import pathlib

import pytest
from PIL import Image, IptcImagePlugin, PngImagePlugin

from pic_jax.images import captions, image_files
from tests import running, tiny

CASES = pathlib.Path(running.ROOT) / 'tests' / 'cases' / 'captions'
TEXTS = {
  'iptc.jpg': ['Market day, 1931', 'A. Photographer', '(c) Town archive'],
  'jpeg_comment.jpg': ['The mill in 1931'],
  'png_title.png': ['Die Mühle', '1931'],
  'user_comment.jpg': ['The mill in 1931'],
  'windows_explorer.jpg': ['Grandmother', 'The mill, 1931', 'Family'],
  'xmp.jpg': ['The mill, 1931', 'A. Photographer'],
}


@pytest.mark.parametrize('name', TEXTS)
def test_captions_are_kept_in_every_format(name, tmp_path):
  path = CASES / name
  for suffix in ('png', 'jpg', 'webp', 'png'):  # each from the previous file
    photograph = image_files.load_photograph(path)
    path = tmp_path / f'{suffix}_of_{path.stem}.{suffix}'
    image_files.save_image(
      path, photograph.rgb, None, about=photograph.metadata
    )
    data = path.read_bytes()
    for text in TEXTS[name]:
      forms = (text.encode(), text.encode('utf-16-le'))
      assert any(form in data for form in forms), (suffix, text)
    # No resolution is invented.
    with Image.open(path) as image:
      assert 'dpi' not in photograph.metadata
      assert not image.info.get('jfif_unit')


def test_a_jpeg_keeps_its_iptc_and_a_png_its_texts(tmp_path):
  photograph = image_files.load_photograph(CASES / 'iptc.jpg')
  image_files.save_image(
    tmp_path / 'a.jpg', photograph.rgb, None, about=photograph.metadata
  )
  with Image.open(tmp_path / 'a.jpg') as image:
    found = IptcImagePlugin.getiptcinfo(image)
  assert found[(2, 120)] == b'Market day, 1931'
  photograph = image_files.load_photograph(CASES / 'png_title.png')
  image_files.save_image(
    tmp_path / 'a.png', photograph.rgb, None, about=photograph.metadata
  )
  with Image.open(tmp_path / 'a.png') as image:
    assert image.text['Title'] == 'Die Mühle'
    assert image.text['Creation Time'] == '1931'


def xmp_of(packet: bytes, notes: list[str]) -> bytes:
  """Returns the XMP that outputs get from a photograph with an XMP packet."""
  image = Image.new('L', (1, 1))
  image.info['xmp'] = packet
  return captions.read(image, notes).get('xmp', b'')


def packet_of(body: str, head: str = '') -> bytes:
  """Builds an XMP packet with the properties `body`, after the text `head`."""
  namespaces = ''.join(
    f' xmlns:{prefix}="{uri}"' for prefix, uri in captions.NAMESPACES.items()
  )
  return (
    f'{head}<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    f'xmlns:rdf="{captions.RDF}"><rdf:Description{namespaces}>{body}'
    '</rdf:Description></rdf:RDF></x:xmpmeta>'
  ).encode()


def test_xmp_about_the_file_its_editing_and_its_position_is_removed():
  kept = xmp_of(
    packet_of(
      '<photoshop:City>Graz</photoshop:City>'
      '<photoshop:History>layers</photoshop:History>'
      '<exif:GPSLatitude>47</exif:GPSLatitude>'
      '<dc:format>image/tiff</dc:format>'
    ),
    [],
  )
  assert b'Graz' in kept
  for word in (b'layers', b'GPS', b'tiff'):
    assert word not in kept


def test_locations_are_kept_without_coordinates():
  kept = xmp_of(
    packet_of(
      '<Iptc4xmpExt:LocationCreated><rdf:Bag>'
      '<rdf:li exif:GPSAltitude="353" rdf:parseType="Resource">'
      '<Iptc4xmpExt:City>Graz</Iptc4xmpExt:City>'
      '<exif:GPSLatitude>47,4.2N</exif:GPSLatitude>'
      '<exif:GPSLongitude>15,26.3E</exif:GPSLongitude>'
      '</rdf:li></rdf:Bag></Iptc4xmpExt:LocationCreated>'
    ),
    [],
  )
  assert b'Graz' in kept
  assert b'GPS' not in kept and b'47,4' not in kept and b'353' not in kept


def test_nested_xmp_properties_are_kept_only_once():
  kept = xmp_of(
    packet_of(
      '<Iptc4xmpExt:LocationShown><rdf:Bag><rdf:li><rdf:Description '
      'photoshop:City="Graz"><dc:title>Clock</dc:title></rdf:Description>'
      '</rdf:li></rdf:Bag></Iptc4xmpExt:LocationShown>'
    ),
    [],
  )
  assert kept.count(b'Graz') == kept.count(b'Clock') == 1


def test_texts_by_software_do_not_count_towards_the_limit():
  image = Image.new('L', (1, 1))
  image.text = {'Raw profile type exif': 'x' * 100_000, 'Title': 'Mill'}
  assert b'Mill' in captions.read(image, []).get('xmp', b'')


def test_hostile_captions_do_no_harm():
  bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]>'
  assert not xmp_of(packet_of('<dc:title>&a;</dc:title>', bomb), [])
  deep = '<dc:title>' * 5000 + '</dc:title>' * 5000
  assert not xmp_of(packet_of(deep), [])
  notes = []
  long = f'<dc:title>{"x" * 70_000}</dc:title>'
  assert not xmp_of(packet_of(long), notes)
  assert notes == ['captions of more than 60,000 bytes left out']


def test_text_is_kept_without_characters_that_xml_forbids(tmp_path):
  texts = PngImagePlugin.PngInfo()
  texts.add_text('Title', 'a\x01b')
  rgb = tiny.images(1, 12, 16)[0]
  Image.fromarray(rgb).save(tmp_path / 'a.png', pnginfo=texts)
  about = image_files.load_photograph(tmp_path / 'a.png').metadata
  assert b'>ab<' in about['xmp']
