"""Presets as pictures with names, below the headings of their families; arrow keys, typing and clicks find one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gi
from words import _, capitalized

gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, GdkPixbuf, GLib, Gtk, Pango  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from facts import Facts

GAP = 6


class Grid:
    """All presets with room for a picture of `size` (width, height in px); `taken` is called with the one that is chosen.

    `search` is the entry to type into, `widget` holds it and the presets.
    """

    def __init__(
        self, facts: Facts, size: tuple[int, int], columns: int, tallest: int, taken: Callable[[str], None]
    ) -> None:
        self._facts, self._size, self._columns, self._taken = facts, size, columns, taken
        self._families: list[tuple[Gtk.Label, Gtk.FlowBox]] = []
        self._children: dict[str, Gtk.FlowBoxChild] = {}
        self._images: dict[str, Gtk.Image] = {}
        self.search = Gtk.SearchEntry(placeholder_text=_("Search presets"))
        self.search.get_accessible().set_name(_("Search presets"))
        self.search.connect("search-changed", lambda _entry: self._sift())
        self.search.connect("activate", lambda _entry: self._take_first())
        self.search.connect("key-press-event", self._down)
        self._all = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)
        scrolled = Gtk.ScrolledWindow(
            hscrollbar_policy=Gtk.PolicyType.NEVER, propagate_natural_height=True, max_content_height=tallest
        )
        scrolled.add(self._all)
        self._all.set_focus_vadjustment(scrolled.get_vadjustment())
        self.widget = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=GAP)
        self.widget.pack_start(self.search, False, False, 0)
        self.widget.pack_start(scrolled, True, True, 0)
        self.widget.connect("key-press-event", self._typed)
        self.fill()

    @property
    def names(self) -> list[str]:
        """The presets in their order."""
        return list(self._children)

    def fill(self) -> None:
        """Lay out the presets that exist now, without pictures."""
        for old in self._all.get_children():
            self._all.remove(old)
        self._families, self._children, self._images = [], {}, {}
        for family, names in self._facts.families().items():
            heading = Gtk.Label(xalign=0, margin_top=GAP)
            heading.set_markup(f"<b>{GLib.markup_escape_text(_heading(family))}</b>")
            box = Gtk.FlowBox(
                homogeneous=True, min_children_per_line=self._columns, max_children_per_line=self._columns,
                selection_mode=Gtk.SelectionMode.SINGLE,
            )  # fmt: skip
            box.get_accessible().set_name(_heading(family))
            box.connect("child-activated", lambda _box, child: self._taken(child.get_name()))
            box.connect("selected-children-changed", self._selected)
            box.connect("keynav-failed", self._leave)
            for name in names:
                box.add(self._cell(name))
            self._families.append((heading, box))
            self._all.pack_start(heading, False, False, 0)
            self._all.pack_start(box, False, False, 0)
        self.widget.show_all()

    def show(self, name: str, picture: GdkPixbuf.Pixbuf) -> None:
        """Show a preset's picture."""
        self._images[name].set_from_pixbuf(picture)
        self._images[name].set_opacity(1)

    def complain(self, name: str, why: str) -> None:
        """Show that there is no picture of a preset, and why."""
        self._images[name].set_from_icon_name("dialog-warning-symbolic", Gtk.IconSize.BUTTON)
        self._children[name].set_tooltip_text(why)

    def clear(self) -> None:
        """Show no picture and no complaint, and find all presets."""
        self.search.set_text("")
        for name, image in self._images.items():
            image.set_from_icon_name("content-loading-symbolic", Gtk.IconSize.BUTTON)
            image.set_opacity(0.5)
            self._children[name].set_tooltip_text(capitalized(_(self._facts.presets[name]["description"])))

    def select(self, name: str) -> None:
        """Go to a preset, if it still exists."""
        child = self._children.get(name)
        if child is None:
            return
        child.get_parent().select_child(child)
        child.child_focus(Gtk.DirectionType.TAB_FORWARD)  # grab_focus() would leave the grid's cursor where it was

    def _cell(self, preset: str) -> Gtk.FlowBoxChild:
        about = self._facts.presets[preset]
        image = self._images[preset] = Gtk.Image()
        image.set_size_request(*self._size)
        name = Gtk.Label(label=preset, ellipsize=Pango.EllipsizeMode.END, max_width_chars=1)
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)
        box.pack_start(image, False, False, 0)
        box.pack_start(name, False, False, 0)
        child = self._children[preset] = Gtk.FlowBoxChild(name=preset)
        child.add(box)
        child.set_tooltip_text(capitalized(_(about["description"])))
        child.get_accessible().set_name(f"{preset}, {_heading(about.get('family') or '')}")
        child.get_accessible().set_description(_(about["description"]))
        return child

    def _sift(self) -> None:
        """Show only the presets in whose name, sentence or family the typed words occur."""
        words = self.search.get_text().casefold().split()
        for heading, box in self._families:
            for child in box.get_children():
                about = self._facts.presets[child.get_name()]
                text = " ".join((child.get_name(), _(about["description"]), _heading(about.get("family") or "")))
                child.set_visible(all(word in text.casefold() for word in words))
            heading.set_visible(bool(_visible(box)))
            box.set_visible(bool(_visible(box)))

    def _best(self) -> Gtk.FlowBoxChild | None:
        """Return the first of the presets that are found; one whose name begins with what was typed comes first."""
        found = [child for _heading, box in self._families for child in _visible(box)]
        typed = self.search.get_text().strip().casefold()
        return min(found, key=lambda child: not child.get_name().casefold().startswith(typed), default=None)

    def _take_first(self) -> None:
        self._sift()  # the entry waits a moment before it tells of a change
        best = self._best()
        if best is not None:
            self._taken(best.get_name())

    def _down(self, _entry: Gtk.SearchEntry, event: Gdk.EventKey) -> bool:
        """Let Down go to what is found; Up would go to whatever is last in the window."""
        best = self._best()
        if event.keyval in (Gdk.KEY_Up, Gdk.KEY_KP_Up):
            return True
        if event.keyval not in (Gdk.KEY_Down, Gdk.KEY_KP_Down) or best is None:
            return False
        self.select(best.get_name())
        return True

    def _typed(self, _widget: Gtk.Widget, event: Gdk.EventKey) -> bool:
        """Let letters go to the entry, wherever the focus is; it would take Return too."""
        letter = Gdk.keyval_to_unicode(event.keyval) > ord(" ")
        if self.search.has_focus() or not letter or not self.search.handle_event(event):
            return False
        self.search.grab_focus_without_selecting()
        return True

    def _selected(self, box: Gtk.FlowBox) -> None:
        if box.get_selected_children():
            for _heading, other in self._families:
                if other is not box:
                    other.unselect_all()

    def _leave(self, box: Gtk.FlowBox, direction: Gtk.DirectionType) -> bool:
        """Go on in the family above or below when an arrow key reaches a family's edge."""
        back = direction in (Gtk.DirectionType.UP, Gtk.DirectionType.LEFT)
        if not back and direction not in (Gtk.DirectionType.DOWN, Gtk.DirectionType.RIGHT):
            return False
        boxes = [other for _heading, other in self._families if _visible(other)]
        place = boxes.index(box) + (-1 if back else 1)
        if place == len(boxes):
            return True
        if place < 0:
            self.search.grab_focus()
            return True
        children, column = _visible(boxes[place]), _visible(box).index(box.get_focus_child()) % self._columns
        last = len(children) - 1
        row = last // self._columns * self._columns if back else 0
        sideways = direction in (Gtk.DirectionType.LEFT, Gtk.DirectionType.RIGHT)
        self.select(children[(last if back else 0) if sideways else min(row + column, last)].get_name())
        return True


def _heading(family: str) -> str:
    return capitalized(_(family) if family else _("your own"))


def _visible(box: Gtk.FlowBox) -> list[Gtk.FlowBoxChild]:
    return [child for child in box.get_children() if child.get_visible()]
