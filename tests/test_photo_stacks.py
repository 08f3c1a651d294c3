"""Pictures of a TIFF that are not where one looks first: slices behind one directory, large ones below a thumbnail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from deepdream_core.errors import OutputError, PictureError
from deepdream_core.photo import Photo, WriteOptions, check_target, read_photo, write_photo
from deepdream_core.photo.stacks import slices_of

if TYPE_CHECKING:
    from pathlib import Path

SLICES = np.random.default_rng(1).integers(0, 65_536, (5, 24, 32)).astype(np.uint16)
COLOURED = np.random.default_rng(2).integers(0, 256, (3, 24, 32, 3)).astype(np.uint8)


def read(path: Path) -> Photo:
    return read_photo(path, max_megapixels=10)


def changed(photo: Photo) -> Photo:
    return photo.with_frames([frame.with_floats(frame.floats() * np.float32(0.5)) for frame in photo.frames])


def behind_one_directory(path: Path, description: str, *, order: Any = "<") -> Path:
    with tifffile.TiffWriter(path, byteorder=order) as writer:
        writer.write(SLICES[0], metadata=None, description=description)
    with tifffile.TiffFile(path) as tiff:  # its samples are the last thing in the file
        assert tiff.pages.first.dataoffsets[0] + SLICES[0].nbytes == path.stat().st_size
    with path.open("ab") as file:
        file.write(SLICES[1:].astype(f"{order}u2").tobytes())
    return path


def directory_each(path: Path, description: str) -> Path:
    with tifffile.TiffWriter(path) as writer:
        for samples in SLICES:
            writer.write(samples, metadata=None, description=description, contiguous=False)
    return path


IMAGEJ = "ImageJ=1.54f\nimages=5\nslices=5\nunit=um\nspacing=0.5\nmin=0.0\nmax=65535.0\n"
SHAPED = '{"shape": [5, 24, 32], "axes": "ZYX", "truncated": true}'


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "description", [IMAGEJ, SHAPED, "shape=(5, 24, 32)"], ids=["ImageJ", "tifffile", "old tifffile"]
)
def test_slices_behind_one_directory_are_all_read_and_written(order: str, description: str, tmp_path: Path) -> None:
    photo = read(behind_one_directory(tmp_path / "a.tif", description, order=order))
    assert np.array_equal(np.stack([frame.samples[..., 0] for frame in photo.frames]), SLICES)
    dream = changed(photo)
    receipt = write_photo(dream, tmp_path / "b.tif", WriteOptions(strict=True), overwrite=False)
    assert "frames kept: 5 pages" in [str(entry) for entry in receipt]
    expected = np.stack([frame.samples[..., 0] for frame in dream.frames])
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        assert tiff.series[0].kind == ("imagej" if description == IMAGEJ else "shaped")
        assert np.array_equal(tiff.asarray(), expected)
        first = tiff.pages.first.dataoffsets[0]
    # ImageJ looks at the first directory, and then behind its samples
    raw = np.frombuffer((tmp_path / "b.tif").read_bytes(), "<u2", SLICES.size, first).reshape(SLICES.shape)
    assert np.array_equal(raw, expected)
    assert len(read(tmp_path / "b.tif").frames) == 5


@pytest.mark.parametrize("description", [IMAGEJ, '{"shape": [5, 24, 32]}'], ids=["ImageJ", "tifffile"])
def test_slices_with_a_directory_each_follow_each_other_in_the_result(description: str, tmp_path: Path) -> None:
    photo = read(directory_each(tmp_path / "a.tif", description))
    assert len(photo.frames) == 5
    dream = changed(photo)
    write_photo(dream, tmp_path / "b.tif", overwrite=False)
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        assert np.array_equal(tiff.asarray(), np.stack([frame.samples[..., 0] for frame in dream.frames]))
        offsets = [page.dataoffsets[0] for page in tiff.pages]
    assert np.diff(offsets).tolist() == [SLICES[0].nbytes] * 4
    assert len(read(tmp_path / "b.tif").frames) == 5


@pytest.mark.parametrize("axes", ["TZCYX", "CYX"])
def test_tifffile_reads_its_imagej_stack_back_as_one(axes: str, tmp_path: Path) -> None:
    stack = SLICES[:4].reshape(*{5: (1, 2, 2), 3: (4,)}[len(axes)], 24, 32)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": axes, "unit": "um"})
    dream = changed(read(tmp_path / "a.tif"))
    write_photo(dream, tmp_path / "b.tif", overwrite=False)
    with tifffile.TiffFile(tmp_path / "a.tif") as before, tifffile.TiffFile(tmp_path / "b.tif") as after:
        assert (after.series[0].axes, after.series[0].shape) == (before.series[0].axes, before.series[0].shape)
        assert after.asarray().tobytes() == np.stack([frame.samples for frame in dream.frames]).tobytes()


@pytest.mark.parametrize(
    "options", [{"imagej": True}, {"ome": True, "metadata": {"axes": "TYXS"}}, {"compression": "zlib"}]
)
def test_coloured_and_compressed_series_stay_series(options: dict[str, Any], tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COLOURED, photometric="rgb", **options)
    dream = changed(read(tmp_path / "a.tif"))
    write_photo(dream, tmp_path / "b.tif", WriteOptions(strict=True), overwrite=False)
    with tifffile.TiffFile(tmp_path / "a.tif") as before, tifffile.TiffFile(tmp_path / "b.tif") as after:
        assert (after.series[0].kind, after.series[0].axes) == (before.series[0].kind, before.series[0].axes)
        assert np.array_equal(after.asarray(), np.stack([frame.samples for frame in dream.frames]))


def test_a_description_of_missing_slices_is_removed_and_reported(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", SLICES[0], metadata=None, description=IMAGEJ)
    photo = changed(read(tmp_path / "a.tif"))
    assert len(photo.frames) == 1
    with pytest.raises(OutputError, match="ImageJ's description dropped"):
        check_target(photo, tmp_path / "b.tif", WriteOptions(strict=True), overwrite=False)
    receipt = write_photo(photo, tmp_path / "b.tif", overwrite=False)
    assert "ImageJ's description dropped: it describes other pictures than these" in [str(entry) for entry in receipt]
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        assert tiff.pages.first.description == ""


def test_undescribed_slices_are_reported(tmp_path: Path) -> None:
    large = np.random.default_rng(3).integers(0, 65_536, (3, 200, 200)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", large[0], metadata=None)
    whole = (tmp_path / "a.tif").read_bytes()
    assert read(tmp_path / "a.tif").changes == ()
    (tmp_path / "a.tif").write_bytes(whole + large[1:].tobytes())
    photo = read(tmp_path / "a.tif")
    hidden = len(whole) + 80_000
    told = [entry.part for entry in photo.changes]
    assert len(told) == 1
    assert told[0].endswith("bytes that no directory refers to")
    assert 160_000 <= int(told[0].split()[0].replace(",", "")) <= hidden
    with pytest.raises(OutputError, match="no directory refers to"):
        check_target(photo, tmp_path / "b.tif", WriteOptions(strict=True), overwrite=False)


def test_slices_count_for_the_limit_and_the_other_formats(tmp_path: Path) -> None:
    source = behind_one_directory(tmp_path / "a.tif", IMAGEJ)
    with pytest.raises(PictureError, match="5 pages together"):
        read_photo(source, max_megapixels=0.003)
    with pytest.raises(OutputError, match="only the first of 5 pages"):
        check_target(read(source), tmp_path / "b.png", WriteOptions(strict=True), overwrite=False)


def test_what_descriptions_say() -> None:
    page = (24, 32, 1)
    assert slices_of("A sunny day", page) == 1
    assert slices_of("ImageJ=1.54f\nunit=um", page) == 1
    assert slices_of('{"shape": [2, 5, 24, 32]}', page) == 10
    assert slices_of('{"shape": [24, 32]}', page) == 1
    assert [slices_of(text, page) for text in ('{"shape": [5, 24, 30]}', '{"shape": "x"}', '{"shape": [0]}')] == [
        0,
        0,
        0,
    ]


def test_a_picture_below_its_thumbnail_is_the_picture(tmp_path: Path) -> None:
    large, small = COLOURED[0].repeat(8, 0).repeat(8, 1), COLOURED[0]
    tags = [(271, 2, 4, "Box", True), (274, 3, 1, 6, True)]
    for name, kind in (("ep.tif", 1), ("unmarked.tif", 0)):
        with tifffile.TiffWriter(tmp_path / name) as writer:
            own: dict[str, Any] = {"photometric": "rgb", "metadata": None}
            writer.write(small, subifds=2, subfiletype=kind, extratags=tags, **own)
            writer.write(large, subfiletype=0, **own)
            writer.write(large[::2, ::2], subfiletype=1, **own)
        photo = read(tmp_path / name)
        assert len(photo.frames) == 1
        assert np.array_equal(photo.frames[0].samples, np.rot90(large, -1))  # the page above says how to turn it
        assert "reduced copies dropped: they showed the old picture" in [str(entry) for entry in photo.changes]
        write_photo(changed(photo), tmp_path / f"b-{name}", WriteOptions(strict=True), overwrite=False)
        with tifffile.TiffFile(tmp_path / f"b-{name}") as tiff:
            assert tiff.pages.first.shape == (256, 192, 3)
            assert tiff.pages.first.tags.valueof(271) == "Box"
            assert int(tiff.pages.first.subfiletype) == 0


def test_two_pictures_of_one_size_below_a_thumbnail_are_reported(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(COLOURED[0][:12, :16], photometric="rgb", subifds=2, subfiletype=1, metadata=None)
        writer.write(COLOURED[1], photometric="rgb", metadata=None)
        writer.write(COLOURED[2], photometric="rgb", metadata=None)
    photo = read(tmp_path / "a.tif")
    assert np.array_equal(photo.frames[0].samples, COLOURED[1])
    with pytest.raises(OutputError, match="pictures below a page dropped"):
        check_target(photo, tmp_path / "b.tif", WriteOptions(strict=True), overwrite=False)


def test_raw_below_a_thumbnail_is_refused_as_raw(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(COLOURED[0][:12, :16], photometric="rgb", subifds=1, subfiletype=1, metadata=None)
        writer.write(SLICES[0], photometric="cfa", metadata=None)
    with pytest.raises(PictureError, match="is camera RAW"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize(("tag", "program"), [(33629, "MetaMorph"), (43314, "NIH Image")])
def test_stacks_with_slices_elsewhere_are_refused(tag: int, program: str, tmp_path: Path) -> None:
    tags = [(tag, 4, 6, (5, 0, 0, 0, 0, 0), True)]
    tifffile.imwrite(tmp_path / "a.tif", SLICES[0], metadata=None, extratags=tags)
    with pytest.raises(
        PictureError, match=f"is a {program} stack, which DeepDream cannot read — save it as TIFF with ImageJ"
    ):
        read(tmp_path / "a.tif")
