"""The presets as a grid of pictures with names, like GIMP's choice of brushes and patterns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import gi
from words import _

gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, GdkPixbuf, GLib, Gtk, Pango  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from facts import Facts

FOLDER = Path(__file__).resolve().parent / "thumbnails"
WIDTH, HEIGHT = 120, 80
"""Room for a picture in the grid, in px."""
SMALL = 2
"""The picture on the button is this many times smaller."""
COLUMNS = 4
GAP = 6
TALLEST = 400
"""Height in px from which the grid scrolls: it must fit into the dialog's window."""


class Gallery:
    """A button that shows the chosen preset, and opens the grid of all; `chosen` is called with a preset's name."""

    def __init__(self, facts: Facts, chosen: Callable[[str], None]) -> None:
        self._facts, self._chosen = facts, chosen
        self._names = facts.by_family()
        self._files = {file.stem: file for file in FOLDER.glob("*.png")}
        self._small = Gtk.Box()
        self._small.set_size_request(WIDTH // SMALL, HEIGHT // SMALL)
        self._loading = 0
        self._name = Gtk.Label(xalign=0, ellipsize=Pango.EllipsizeMode.END)
        row = Gtk.Box(orientation=Gtk.Orientation.HORIZONTAL, spacing=GAP)
        row.pack_start(self._small, False, False, 0)
        row.pack_start(self._name, True, True, 0)
        row.pack_start(Gtk.Image.new_from_icon_name("pan-down-symbolic", Gtk.IconSize.BUTTON), False, False, 0)
        self.widget = Gtk.Button()
        self.widget.add(row)
        self.widget.connect("clicked", lambda _button: self._open())
        self._grid = Gtk.FlowBox(
            homogeneous=True, min_children_per_line=COLUMNS, max_children_per_line=COLUMNS,
            selection_mode=Gtk.SelectionMode.BROWSE,
        )  # fmt: skip
        self._grid.connect("child-activated", self._activated)
        self._popover = Gtk.Popover.new(self.widget)

    def show(self, preset: str) -> None:
        """Show this preset as the chosen one."""
        if self._name.get_text() == preset:
            return
        self._name.set_text(preset)
        if (
            not self._loading
        ):  # the first picture of a process can take 0.2 s where glycin decodes it in another process
            self._loading = GLib.idle_add(self._load_small, priority=GLib.PRIORITY_LOW + 1)

    def end(self) -> None:
        """Stop loading."""
        if self._loading:
            GLib.source_remove(self._loading)

    def _load_small(self) -> bool:
        self._loading = 0
        for old in self._small.get_children():
            self._small.remove(old)
        self._small.add(self._picture(self._name.get_text(), SMALL))
        self._small.show_all()
        return False

    def _open(self) -> None:
        if not self._popover.get_child():  # only when needed: the dialog opens sooner
            self._fill()
            self.widget.get_toplevel().connect("key-press-event", self._pressed)
        self._popover.popup()
        child = self._grid.get_child_at_index(self._names.index(self._name.get_text()))
        self._grid.select_child(child)
        child.child_focus(Gtk.DirectionType.TAB_FORWARD)  # grab_focus() would leave the grid's cursor where it was

    def _pressed(self, _dialog: Gtk.Dialog, event: Gdk.EventKey) -> bool:
        """Let Escape close the grid and not the dialog, even before the grid has the focus."""
        if event.keyval != Gdk.KEY_Escape or not self._popover.get_visible():
            return False
        self._popover.popdown()
        return True

    def _fill(self) -> None:
        for name in self._names:
            self._grid.add(self._cell(name))
        scrolled = Gtk.ScrolledWindow(
            hscrollbar_policy=Gtk.PolicyType.NEVER, propagate_natural_height=True, max_content_height=TALLEST
        )
        scrolled.add(self._grid)
        scrolled.show_all()
        self._popover.add(scrolled)

    def _cell(self, preset: str) -> Gtk.FlowBoxChild:
        about = self._facts.presets[preset]
        family = _(about["family"]) if about.get("family") else ""
        name = Gtk.Label(label=preset, ellipsize=Pango.EllipsizeMode.END, max_width_chars=1)
        below = Gtk.Label(
            label=f"<small>{GLib.markup_escape_text(family)}</small>",
            use_markup=True,
            ellipsize=Pango.EllipsizeMode.END,
            max_width_chars=1,
        )
        below.get_style_context().add_class("dim-label")
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)
        for widget in (self._picture(preset, 1), name, below):
            box.pack_start(widget, False, False, 0)
        child = Gtk.FlowBoxChild()
        child.add(box)
        child.set_tooltip_text(_(about["description"]))
        child.get_accessible().set_name(f"{preset}, {family}" if family else preset)
        return child

    def _picture(self, preset: str, smaller: int) -> Gtk.Widget:
        """Return a preset's picture, or an empty space of its size."""
        width, height = WIDTH // smaller, HEIGHT // smaller
        picture = Gtk.Frame()
        if file := self._files.get(preset):
            try:
                pixbuf = GdkPixbuf.Pixbuf.new_from_file_at_scale(str(file), width, height, True)
                picture = Gtk.Image.new_from_pixbuf(pixbuf)
            except GLib.Error:  # damaged or deleted
                pass
        picture.set_size_request(width, height)
        return picture

    def _activated(self, _grid: Gtk.FlowBox, child: Gtk.FlowBoxChild) -> None:
        self._popover.popdown()
        self._chosen(self._names[child.get_index()])
