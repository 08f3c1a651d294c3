"""XMP packets as cameras and editors write them: read, and changed in one place with every other byte as it was."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdream_core.photo.xmp import (
    NAMESPACE,
    PREFIX,
    has_gain_map,
    orientation_of,
    recipe_of,
    with_orientation,
    with_recipe,
    without_gain_map,
    without_recipe,
    without_thumbnails,
)

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

LIGHTROOM = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0-c000 1.000000, 0000/00/00-00:00:00        ">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="uuid:faf5bdd5-ba3d-11da-ad31-d33d75182f1b"
    xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
    xmlns:stRef="http://ns.adobe.com/xap/1.0/sType/ResourceRef#"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
   tiff:Make='Kamera "gut" &amp; teuer'
   tiff:Orientation="6"
   xmpMM:PreservedFileName="a.nef">
   <dc:subject>
    <rdf:Bag>
     <rdf:li>Käse</rdf:li>
     <rdf:li>a &lt; b</rdf:li>
    </rdf:Bag>
   </dc:subject>
   <xmpMM:Pantry>
    <rdf:Bag>
     <rdf:li>
      <rdf:Description tiff:Orientation="3"/>
     </rdf:li>
    </rdf:Bag>
   </xmpMM:Pantry>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
                                                                                                    
                                                                                                    
<?xpacket end="w"?>""".encode()  # noqa: W293

EXIFTOOL = b"""<?xpacket begin='\xef\xbb\xbf' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x='adobe:ns:meta/' x:xmptk='Image::ExifTool 12.76'>
<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>

 <rdf:Description rdf:about=''
  xmlns:t='http://ns.adobe.com/tiff/1.0/'>
  <t:Make>Box maker</t:Make>
  <t:Orientation> 8
  </t:Orientation>
 </rdf:Description>

 <rdf:Description rdf:about=''
  xmlns:xmp='http://ns.adobe.com/xap/1.0/'>
  <xmp:Rating>4</xmp:Rating>
 </rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end='w'?>"""

ULTRA_HDR = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 5.1.2">
  <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
    <rdf:Description rdf:about=""
        xmlns:Container="http://ns.google.com/photos/1.0/container/"
        xmlns:Item="http://ns.google.com/photos/1.0/container/item/"
        xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"
        xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"
      GCamera:MotionPhoto="1"
      hdrgm:Version="1.0">
      <hdrgm:GainMapMax>
        <rdf:Seq><rdf:li>3.5</rdf:li></rdf:Seq>
      </hdrgm:GainMapMax>
      <Container:Directory>
        <rdf:Seq>
          <rdf:li rdf:parseType="Resource">
            <Container:Item
              Item:Semantic="Primary"
              Item:Mime="image/jpeg"/>
          </rdf:li>
          <rdf:li rdf:parseType="Resource">
            <Container:Item
              Item:Semantic="GainMap"
              Item:Mime="image/jpeg"
              Item:Length="66171"/>
          </rdf:li>
          <rdf:li rdf:parseType="Resource">
            <Container:Item Item:Semantic="MotionPhoto" Item:Mime="video/mp4" Item:Length="4096"/>
          </rdf:li>
        </rdf:Seq>
      </Container:Directory>
    </rdf:Description>
  </rdf:RDF>
</x:xmpmeta>"""

ULTRA_HDR_WITHOUT = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 5.1.2">
  <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
    <rdf:Description rdf:about=""
        xmlns:Container="http://ns.google.com/photos/1.0/container/"
        xmlns:Item="http://ns.google.com/photos/1.0/container/item/"
        xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"
      GCamera:MotionPhoto="1">
      <Container:Directory>
        <rdf:Seq>
          <rdf:li rdf:parseType="Resource">
            <Container:Item
              Item:Semantic="Primary"
              Item:Mime="image/jpeg"/>
          </rdf:li>
          <rdf:li rdf:parseType="Resource">
            <Container:Item Item:Semantic="MotionPhoto" Item:Mime="video/mp4" Item:Length="4096"/>
          </rdf:li>
        </rdf:Seq>
      </Container:Directory>
    </rdf:Description>
  </rdf:RDF>
</x:xmpmeta>"""

APPLE = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 6.0.0">
   <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
      <rdf:Description rdf:about=""
            xmlns:HDRGainMap="http://ns.apple.com/HDRGainMap/1.0/"
            xmlns:xmp="http://ns.adobe.com/xap/1.0/">
         <HDRGainMap:HDRGainMapVersion>131072</HDRGainMap:HDRGainMapVersion>
         <xmp:CreatorTool>17.1</xmp:CreatorTool>
         <HDRGainMap:HDRGainMapHeadroom>2.5</HDRGainMap:HDRGainMapHeadroom>
      </rdf:Description>
   </rdf:RDF>
</x:xmpmeta>
"""

THUMBNAIL = b"""
   <xap:Thumbnails xmlns:xap="http://ns.adobe.com/xap/1.0/" xmlns:xapGImg="http://ns.adobe.com/xap/1.0/g/img/">
    <rdf:Alt>
     <rdf:li rdf:parseType="Resource">
      <xapGImg:width>256</xapGImg:width>
      <xapGImg:image>/9j/4AAQSkZJRgABAgEASABIAAD/&#xA;AAAA</xapGImg:image>
     </rdf:li>
    </rdf:Alt>
   </xap:Thumbnails>"""

PACKETS = {"Lightroom": LIGHTROOM, "exiftool": EXIFTOOL, "Ultra HDR": ULTRA_HDR, "Apple": APPLE}
RECIPE = "preset: \"monster\"\n\tlayers: {pool4: 1 < 2 & 3 > 2}\r\n  'Käse' 🧀 ]]> \n"

BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&c;</x:xmpmeta>'
)
UNREADABLE = [
    b"", b"   ", b"no xml", b"<a", b"<a/><b/>", b"<a/>", LIGHTROOM[:-400], BOMB, b"\xff\xfe<", b"\xff\xfe\0\xd8",
    LIGHTROOM.replace(b"K\xc3\xa4se", b"K\xe4se"), LIGHTROOM.replace(b"xmlns:tiff", b"xmlns:other"),
    b"<a>" * 1000 + b"</a>" * 999, EXIFTOOL + b" " * (16 << 20), LIGHTROOM.replace(b"<x:x", b"<!DOCTYPE a><x:x"),
]  # fmt: skip


def packet(inner: str, *, namespaces: str = "") -> bytes:
    return f'<rdf:RDF xmlns:rdf="{RDF}"{namespaces}>{inner}</rdf:RDF>'.encode()


def reserialised(xmp: bytes) -> bytes:
    """The packet as a program writes it that keeps content alone: prefixes become ns0, ns1…"""
    return ET.tostring(ET.fromstring(xmp))


@pytest.mark.parametrize("content", UNREADABLE)
def test_an_unreadable_packet_has_no_values_and_is_not_edited(content: bytes) -> None:
    assert orientation_of(content) is None
    assert recipe_of(content) is None
    assert not has_gain_map(content)
    for edit in (without_recipe, without_gain_map, without_thumbnails, lambda xmp: with_orientation(xmp, 1)):
        with pytest.raises(ValueError, match=r"."):
            edit(content)
    if content.strip():
        with pytest.raises(ValueError, match=r"."):
            with_recipe(content, "text")


# Orientation


@pytest.mark.parametrize("value", range(1, 9))
def test_only_the_digit_of_the_orientation_changes(value: int) -> None:
    assert orientation_of(LIGHTROOM) == 6
    assert orientation_of(EXIFTOOL) == 8
    attribute, element = with_orientation(LIGHTROOM, value), with_orientation(EXIFTOOL, value)
    assert (orientation_of(attribute), orientation_of(element)) == (value, value)
    assert attribute == LIGHTROOM.replace(b'tiff:Orientation="6"', b'tiff:Orientation="%d"' % value)
    assert element == EXIFTOOL.replace(b"<t:Orientation> 8", b"<t:Orientation> %d" % value)


def test_a_packet_without_orientation_gets_none() -> None:
    assert orientation_of(ULTRA_HDR) is None
    assert with_orientation(ULTRA_HDR, 1) is ULTRA_HDR


@pytest.mark.parametrize("text", ["0", "9", "", "six", "٣", "1 2"])
def test_an_invalid_orientation_is_none(text: str) -> None:
    assert orientation_of(LIGHTROOM.replace(b'Orientation="6"', f'Orientation="{text}"'.encode())) is None


@pytest.mark.parametrize("value", [0, 9, -1])
def test_no_other_orientation_is_written(value: int) -> None:
    with pytest.raises(ValueError, match="not an orientation"):
        with_orientation(LIGHTROOM, value)


def test_another_namespace_under_the_same_prefix_is_another_property() -> None:
    assert orientation_of(LIGHTROOM.replace(b"http://ns.adobe.com/tiff/1.0/", b"http://example.com/")) is None


# Recipe


@pytest.mark.parametrize("name", PACKETS)
def test_a_recipe_is_added_and_removed_without_a_trace(name: str) -> None:
    xmp = PACKETS[name]
    assert recipe_of(xmp) is None
    written = with_recipe(xmp, RECIPE)
    assert recipe_of(written) == RECIPE
    at = next(i for i, (a, b) in enumerate(zip(xmp, written, strict=False)) if a != b)
    assert written.startswith(xmp[:at])
    assert written.endswith(xmp[at:])
    assert without_recipe(written) == xmp
    assert without_recipe(xmp) == xmp
    ET.fromstring(written)


def test_the_new_description_is_about_the_same_thing() -> None:
    abouts = [
        element.get(f"{{{RDF}}}about")
        for element in ET.fromstring(with_recipe(LIGHTROOM, "x")).findall(f"{{{RDF}}}RDF/{{{RDF}}}Description")
    ]
    assert abouts == ["uuid:faf5bdd5-ba3d-11da-ad31-d33d75182f1b"] * 2


@pytest.mark.parametrize("name", PACKETS)
def test_an_older_recipe_is_replaced_where_it_is(name: str) -> None:
    older = with_recipe(PACKETS[name], "an older, rather longer recipe")
    assert with_recipe(older, RECIPE) == with_recipe(PACKETS[name], RECIPE)


@pytest.mark.parametrize("nothing", [None, b"", b" \n", b"\0\0"])
def test_without_a_packet_a_complete_one_is_made(nothing: bytes | None) -> None:
    written = with_recipe(nothing, RECIPE)
    assert recipe_of(written) == RECIPE
    assert written.startswith(b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta ')
    assert written.endswith(b'</x:xmpmeta>\n<?xpacket end="w"?>')
    assert without_recipe(written) is None
    assert orientation_of(written) is None
    assert f'xmlns:{PREFIX}="{NAMESPACE}"'.encode() in written


@pytest.mark.parametrize("name", PACKETS)
def test_a_recipe_survives_another_program(name: str) -> None:
    written = reserialised(with_recipe(PACKETS[name], RECIPE))
    assert PREFIX.encode() + b":" not in written
    assert recipe_of(written) == RECIPE.replace("\r\n", "\n")  # this one writes no carriage returns
    newer = with_recipe(written, "newer")
    assert recipe_of(newer) == "newer"
    assert newer.count(NAMESPACE.encode()) == written.count(NAMESPACE.encode())


def test_a_recipe_may_have_become_an_attribute() -> None:
    xmp = packet(f'<rdf:Description rdf:about="" xmlns:q="{NAMESPACE}" q:recipe=\'a&#xA;"b"\' q:other="o"/>')
    assert recipe_of(xmp) == 'a\n"b"'
    newer = with_recipe(xmp, RECIPE)
    assert recipe_of(newer) == RECIPE
    assert newer.startswith(xmp[: xmp.index(b"a&#xA;")])
    assert newer.endswith(b'\' q:other="o"/></rdf:RDF>')
    assert without_recipe(newer) == xmp.replace(b" q:recipe='a&#xA;\"b\"'", b"")


@pytest.mark.parametrize(
    "older",
    [
        "<q:recipe/>",
        "<q:recipe ></q:recipe>",
        "<q:recipe><![CDATA[a<b]]></q:recipe>",
        "<q:recipe rdf:parseType='Resource'><rdf:value>a</rdf:value></q:recipe>",
        "<q:recipe>one</q:recipe>\n<q:recipe>two</q:recipe>",
    ],
)
def test_a_recipe_of_any_form_is_replaced_by_one(older: str) -> None:
    xmp = packet(f'<rdf:Description xmlns:q="{NAMESPACE}">{older}<q:other>o</q:other></rdf:Description>')
    written = with_recipe(xmp, RECIPE)
    assert recipe_of(written) == RECIPE
    assert b"<q:other>o</q:other>" in written
    left = without_recipe(written)
    assert left is not None
    assert b"recipe>" not in left


@pytest.mark.parametrize(
    "xmp",
    [
        packet(""),
        f'<r:RDF xmlns:r="{RDF}"/>'.encode(),
        f'<RDF xmlns="{RDF}"><Description xmlns:r="{RDF}" r:about="&lt;x>"/></RDF>'.encode(),
        f'<RDF xmlns="{RDF}" />'.encode(),
        packet("<!-- a -->\n"),
        b"\xef\xbb\xbf<?xml version='1.0'?>\n" + packet("<rdf:Description/>") + b"\n\0\0\0",
    ],
)
def test_a_recipe_goes_into_whatever_is_a_packet(xmp: bytes) -> None:
    written = with_recipe(xmp, RECIPE)
    assert recipe_of(written) == RECIPE
    assert recipe_of(reserialised(written.rstrip(b"\0"))) is not None
    assert without_recipe(written) is None


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_other_encodings_are_read_and_become_utf8_where_changed(encoding: str, mark: str) -> None:
    text = LIGHTROOM.decode()
    declared = f"<?xml version='1.0' encoding='{encoding[:6].upper()}'?>" + text.removeprefix("\ufeff")
    for content in (text, declared):
        xmp = (mark + content).encode(encoding)
        assert orientation_of(xmp) == 6
        assert without_recipe(xmp) is xmp
        written = with_recipe(xmp, RECIPE)
        assert recipe_of(written) == RECIPE
        assert ET.fromstring(written).tag == "{adobe:ns:meta/}xmpmeta"
        assert without_recipe(written) == content.replace(encoding[:6].upper(), "UTF-8").encode()


@pytest.mark.parametrize("character", ["\0", "\x08", "\x0b", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_characters_that_xml_cannot_hold_are_refused(character: str) -> None:
    for xmp in (None, LIGHTROOM):
        with pytest.raises(ValueError, match=f"U\\+{ord(character):04X}"):
            with_recipe(xmp, f"a{character}b")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters=[*map(chr, range(32)), "\ufffe", "\uffff"])
               | st.sampled_from("\t\r\n<>&'\"]")), st.sampled_from([None, *PACKETS.values()]))  # fmt: skip
def test_any_text_comes_back_exactly(text: str, xmp: bytes | None) -> None:
    written = with_recipe(xmp, text)
    assert recipe_of(written) == text
    assert without_recipe(written) == xmp
    attribute = packet(f'<rdf:Description xmlns:q="{NAMESPACE}" q:recipe="older"/>')
    assert recipe_of(with_recipe(attribute, text)) == text


# Gain maps and thumbnails


def test_ultra_hdr_goes_and_the_rest_stays() -> None:
    assert has_gain_map(ULTRA_HDR)
    assert without_gain_map(ULTRA_HDR) == ULTRA_HDR_WITHOUT
    assert not has_gain_map(ULTRA_HDR_WITHOUT)
    assert without_gain_map(ULTRA_HDR_WITHOUT) is ULTRA_HDR_WITHOUT


def test_items_written_as_elements_are_found() -> None:
    item = '<rdf:li rdf:parseType="Resource"><c:Item rdf:parseType="Resource"><i:Semantic>{}</i:Semantic></c:Item></rdf:li>'
    namespaces = ' xmlns:c="http://ns.google.com/photos/1.0/container/" xmlns:i="http://ns.google.com/photos/1.0/container/item/"'
    around = "<rdf:Description><c:Directory><rdf:Seq>{}</rdf:Seq></c:Directory></rdf:Description>"
    both = around.format(item.format("Primary") + item.format("GainMap"))
    assert without_gain_map(packet(both, namespaces=namespaces)) == packet(
        around.format(item.format("Primary")), namespaces=namespaces
    )
    stray = '<rdf:Description i:Semantic="GainMap"/>'
    assert not has_gain_map(packet(stray, namespaces=namespaces))


def test_apples_gain_map_goes_and_the_rest_stays() -> None:
    assert has_gain_map(APPLE)
    without = without_gain_map(APPLE)
    assert without == b"".join(line for line in APPLE.splitlines(keepends=True) if b"HDRGainMap" not in line)
    assert not has_gain_map(without)


def test_other_packets_have_no_gain_map() -> None:
    for xmp in (LIGHTROOM, EXIFTOOL):
        assert not has_gain_map(xmp)
        assert without_gain_map(xmp) is xmp


def test_thumbnails_go_and_the_rest_stays() -> None:
    xmp = LIGHTROOM.replace(b"\n   <dc:subject>", THUMBNAIL + b"\n   <dc:subject>")
    assert xmp != LIGHTROOM
    assert without_thumbnails(xmp) == (LIGHTROOM, True)
    assert without_thumbnails(LIGHTROOM) == (LIGHTROOM, False)


# Hostile packets


@given(st.data(), st.sampled_from(list(PACKETS)))
def test_damage_raises_nothing_but_a_value_error(data: st.DataObject, name: str) -> None:
    xmp = bytearray(with_recipe(PACKETS[name], RECIPE))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(xmp) - 1))
        xmp[at] = data.draw(st.one_of(st.sampled_from(b"<>/\"'=:& \0"), st.integers(0, 255)))
    if data.draw(st.booleans()):
        del xmp[data.draw(st.integers(0, len(xmp))) :]
    content = bytes(xmp)
    orientation_of(content)
    recipe_of(content)
    has_gain_map(content)
    try:
        assert recipe_of(with_recipe(content, RECIPE)) == RECIPE
        assert not has_gain_map(without_gain_map(content))
        without_thumbnails(content)
        without_recipe(content)
        with_orientation(content, 1)
    except ValueError:
        pass


HEAD, TAIL = f'<rdf:RDF xmlns:rdf="{RDF}" xmlns:q="{NAMESPACE}">'.encode(), b"</rdf:RDF>"
ITEMS = (
    b'<c:Directory xmlns:c="http://ns.google.com/photos/1.0/container/" '
    b'xmlns:i="http://ns.google.com/photos/1.0/container/item/">'
)


@pytest.mark.parametrize(
    "content",
    [
        b"<a" + b" " * 15_000_000 + b"/>",
        b"<a>" * 300_000 + b"</a>" * 300_000,
        HEAD + b"<rdf:Description><q:recipe>x</q:recipe></rdf:Description>" * 50_000 + TAIL,
        HEAD + b"<rdf:Description>" + b"<q:recipe>x</q:recipe>" * 50_000 + b"</rdf:Description>" + TAIL,
        HEAD + ITEMS + b"<a i:Semantic='GainMap'>" * 50_000 + b"</a>" * 50_000 + b"</c:Directory>" + TAIL,
        b"".join(b'<a xmlns:x%d="u">' % number for number in range(50_000)) + b"</a>" * 50_000,
        HEAD + b"x<a/>" * 50_000 + TAIL,
        HEAD + b"<rdf:Description><q:recipe>" + b"&#65;" * 3_000_000 + b"</q:recipe></rdf:Description>" + TAIL,
    ],
    ids=["space", "too many", "many", "siblings", "deep", "prefixes", "mixed", "references"],
)
def test_large_packets_take_time_in_proportion(content: bytes) -> None:
    started = time.process_time()
    try:
        without_recipe(content)
        without_gain_map(content)
    except ValueError:
        pass
    assert time.process_time() - started < 20
