"""Where a dream is read from and goes to on the canvas: one drawable, or a new layer above it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import gi
import kinds
import pixels
from plugin_errors import PluginError
from words import _

gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Gegl, Gimp  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

STILL = _("choose DeepDream: last result to get the dream")


class Target:
    """A drawable to dream, with the part inside the selection, and where its dream goes.

    `output`: the argument. `onto`: an earlier dream of the drawable, whose pixels the new one replaces; None otherwise.
    Raises `PluginError` when the selection does not touch the drawable, or the earlier dream has another place.
    """

    def __init__(
        self, image: Gimp.Image, drawable: Gimp.Drawable, output: str, onto: Gimp.Drawable | None = None
    ) -> None:
        self.image, self.drawable, self.onto = image, drawable, onto
        self.replaces = onto is None and kinds.is_replaced(drawable, output)
        self.links = output == "linked-layer"
        self.part = part_of(drawable)
        self.shape = (self.part.outer.height, self.part.outer.width, pixels.channels(drawable))
        self._before = pixels.Surface.of(image, drawable, self.part)
        self._covered = onto is not None and onto.is_valid() and _size(onto) == _size(drawable)
        self.check()

    def read(self) -> bytearray:
        """Return the part and its surroundings as the helper takes them."""
        return pixels.read(self.drawable, self.part.outer)

    @property
    def label(self) -> str:
        """The layer's name and the places of the outer and inner regions on the image; "last result" reads this."""
        _ok, left, top = self.drawable.get_offsets()
        places = (
            f"{region.width}×{region.height}{left + region.x:+d}{top + region.y:+d}"
            for region in (self.part.outer, self.part.inner)
        )
        name = "".join(c if c.isprintable() else " " for c in self.drawable.get_name()[:100])
        return " ".join((name, *places))

    def check(self) -> None:
        """Raise `PluginError` when the layer changed since the beginning, or the selection through which it is written."""
        if not exists(self.image, self.drawable) or (self.onto is not None and not exists(self.image, self.onto)):
            raise PluginError(_("The layer no longer exists"), STILL, "gone")
        kinds.checked([self.drawable if self.onto is None else self.onto])
        now = pixels.Surface.of(self.image, self.drawable, self.part)
        if now.layer != self._before.layer:
            raise PluginError(_("The layer changed during the dream"), STILL, "changed")
        if not self.links and now.selection != self._before.selection:
            raise PluginError(_("The selection changed during the dream"), STILL, "changed")
        if self.onto is not None and self._covered and (
            [*self.onto.get_offsets()] != [*self.drawable.get_offsets()]
        ):  # fmt: skip
            raise PluginError(
                _("The dreamed layer no longer covers the layer that it was dreamed from"),
                _("undo what moved it, or dream that layer as a new one"),
                "moved",
            )

    def put(self, dreamed: bytearray | None, name: str) -> Gimp.Drawable:
        """Put the dream, or with None the pixels as they are, where it goes; return the drawable that has it now.

        A new layer gets the name. To be called within `one_step`. Raises `PluginError` when GIMP refuses the change.
        """
        goal, new = self.drawable, None
        if self.onto is not None:
            goal = self.onto
            _begin_again(self.image, self.drawable, goal)
        elif not self.replaces:
            goal, new = _above(self.image, self.drawable, name)
        elif kinds.is_live(goal) and hasattr(goal, "rasterize"):  # before GIMP 3.2, painting on it does that
            goal.rasterize()
        try:
            if dreamed is not None:
                pixels.write(self.image, goal, self.part, dreamed, self.shape[2])
        except pixels.Refused as refused:
            if new is not None:
                (self.image.remove_channel if new.is_channel() else self.image.remove_layer)(new)
            raise PluginError(str(refused), STILL, "refused") from None
        return goal


@contextmanager
def one_step(image: Gimp.Image) -> Iterator[None]:
    """Group all changes into one undo step."""
    image.undo_group_start()
    try:
        yield
    finally:
        image.undo_group_end()


@contextmanager
def no_step(image: Gimp.Image) -> Iterator[None]:
    """Make changes that belong to an undo step before."""
    image.undo_freeze()
    try:
        yield
    finally:
        image.undo_thaw()


def part_of(drawable: Gimp.Drawable) -> pixels.Selected:
    """Return the part that the selection touches, or raise `PluginError`."""
    part = pixels.selected(drawable)
    if part is None:
        outside = _("The selection does not touch “{name}”").format(name=drawable.get_name())
        raise PluginError(outside, _("select a part of it, or clear the selection"), "selection")
    return part


def exists(image: Gimp.Image, drawable: Gimp.Drawable) -> bool:
    """Return whether the image and the drawable, or its layer, are still there."""
    return bool(image.is_valid() and drawable.is_valid() and kinds.layer_of(drawable).is_valid())


def _size(drawable: Gimp.Drawable) -> tuple[int, int]:
    return drawable.get_width(), drawable.get_height()


def _begin_again(image: Gimp.Image, source: Gimp.Drawable, onto: Gimp.Drawable) -> None:
    """Give an earlier dream size and pixels of what it was dreamed from; a text or a group may have grown."""
    if _size(onto) != _size(source):
        onto.resize(*_size(source), 0, 0)
        move_to(onto, source)
    if source.has_alpha() and not onto.has_alpha():
        onto.add_alpha()
    shadow, whole = onto.get_shadow_buffer(), _whole(source)
    source.get_buffer().copy(whole, Gegl.AbyssPolicy.NONE, shadow, whole)
    shadow.flush()
    with _unselected(image):
        merged = onto.merge_shadow(True)
    if not merged:
        raise PluginError(Gimp.get_pdb().get_last_error(), STILL, "refused")


@contextmanager
def _unselected(image: Gimp.Image) -> Iterator[None]:
    """Let nothing be selected, and afterwards what was, with the same layers or channels chosen in GIMP's dialogs."""
    if Gimp.Selection.is_empty(image):
        yield
        return
    layers, channels = image.get_selected_layers(), image.get_selected_channels()
    with no_step(image):
        selection = Gimp.Selection.save(image)
        Gimp.Selection.none(image)
    try:
        yield
    finally:
        with no_step(image):
            image.select_item(Gimp.ChannelOps.REPLACE, selection)
            image.remove_channel(selection)
        if channels:
            image.set_selected_channels(channels)
        else:
            image.set_selected_layers(layers)


def move_to(layer: Gimp.Drawable, other: Gimp.Drawable) -> None:
    """Give a layer the place of another one."""
    layer.set_offsets(*list(other.get_offsets())[-2:])


def _above(image: Gimp.Image, drawable: Gimp.Drawable, name: str) -> tuple[Gimp.Drawable, Gimp.Item]:
    """Insert a copy right above a layer or channel, without filters; return what the dream goes to, and the copy."""
    item = kinds.layer_of(drawable)
    if kinds.is_bare_channel(item):
        copy = item.copy()
        image.insert_channel(copy, item.get_parent(), image.get_item_position(item))
    else:
        plain = item.is_group() or kinds.is_live(item)
        copy = _plain(image, item) if plain else item.copy()
        image.insert_layer(copy, item.get_parent(), image.get_item_position(item))
        if plain:
            copy_pixels(item, copy)
            copy_mask(item, copy)
        for own in copy.get_filters():
            own.delete()
    copy.set_name(name)
    return (copy.get_mask() if drawable.is_layer_mask() else copy), copy


def _plain(image: Gimp.Image, layer: Gimp.Layer) -> Gimp.Layer:
    """Return an empty layer of the same size, place and mode, whatever kind of layer it is."""
    new = Gimp.Layer.new(image, layer.get_name(), *_size(layer), layer.type(), 100.0, Gimp.LayerMode.NORMAL)
    look_like(new, layer)
    return new


def look_like(new: Gimp.Layer, layer: Gimp.Layer) -> None:
    """Give a new layer the place, visibility, opacity and mode of another, which may be a group."""
    move_to(new, layer)
    new.set_visible(layer.get_visible())
    new.set_opacity(layer.get_opacity())
    if layer.get_mode() != Gimp.LayerMode.PASS_THROUGH:
        new.set_mode(layer.get_mode())


def copy_mask(layer: Gimp.Layer, new: Gimp.Layer) -> None:
    """Give a new layer of the same size a mask like that of another layer, if that has one."""
    mask = layer.get_mask()
    if mask:
        new.add_mask(new.create_mask(Gimp.AddMaskType.WHITE))
        copy_pixels(mask, new.get_mask())
        new.set_apply_mask(layer.get_apply_mask())


def copy_pixels(source: Gimp.Drawable, goal: Gimp.Drawable) -> None:
    """Copy all pixels to a new drawable of the same size."""
    whole, buffer = _whole(source), goal.get_buffer()
    source.get_buffer().copy(whole, Gegl.AbyssPolicy.NONE, buffer, whole)
    buffer.flush()
    goal.update(0, 0, whole.width, whole.height)


def _whole(drawable: Gimp.Drawable) -> Gegl.Rectangle:
    return Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())
