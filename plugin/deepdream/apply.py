"""One run of the filter: check the layer, dream it, put the result on the canvas."""

from __future__ import annotations

import queue
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import choices
import gi
import pixels
from plugin_errors import PluginError
from words import _

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp, GLib  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    import jobs
    from facts import Facts

POLL_S = 0.1
_STILL = _("choose DeepDream: last result to get the dream")


def run(
    procedure: Gimp.Procedure,
    run_mode: Gimp.RunMode,
    image: Gimp.Image,
    drawables: list[Gimp.Drawable],
    config: Gimp.ProcedureConfig,
    facts: Facts,
) -> Gimp.ValueArray:
    """Run the procedure: show the dialog if interactive, then dream; GIMP shows errors as one sentence."""
    try:
        drawable = _editable(drawables)
        part = _part_of(drawable)
        if run_mode == Gimp.RunMode.INTERACTIVE:
            if not _confirmed(procedure, config, drawable, part, facts):
                return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, GLib.Error())
            if not _exists(image, drawable):  # the user may have deleted it while the dialog was open
                raise PluginError(_("The layer no longer exists"), "", "gone")
            part = _part_of(_editable([drawable]))
        dream(image, drawable, part, {name: config.get_property(name) for name in choices.as_preset(facts)}, facts)
    except PluginError as error:
        return failed(procedure, str(error))
    except Exception as error:  # GIMP would show nothing at all
        traceback.print_exc()
        return failed(procedure, f"{type(error).__name__}: {error}")
    return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, GLib.Error())


def failed(procedure: Gimp.Procedure, text: str) -> Gimp.ValueArray:
    """Return values that make GIMP show a message, or pass it to the calling script."""
    error = GLib.Error.new_literal(Gimp.PlugIn.error_quark(), text, 0)
    return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, error)


def _part_of(drawable: Gimp.Drawable) -> pixels.Selected:
    """Return the part that the selection touches, or raise `PluginError`."""
    part = pixels.selected(drawable)
    if part is None:
        raise PluginError(
            _("The selection does not touch this layer"), _("select a part of it, or clear the selection"), "selection"
        )
    return part


def _exists(image: Gimp.Image, drawable: Gimp.Drawable) -> bool:
    return bool(image.is_valid() and drawable.is_valid() and _layer_of(drawable).is_valid())


def _confirmed(
    procedure: Gimp.Procedure,
    config: Gimp.ProcedureConfig,
    drawable: Gimp.Drawable,
    part: pixels.Selected,
    facts: Facts,
) -> bool:
    """Show the dialog and return whether the user confirmed it; without a display, return True."""
    gi.require_version("Gtk", "3.0")
    from gi.repository import Gtk

    if not Gtk.init_check(None)[0]:
        return True
    import dialog

    return dialog.confirmed(procedure, config, drawable, part, facts)


def _editable(drawables: list[Gimp.Drawable]) -> Gimp.Drawable:
    """Return the only drawable; raises `PluginError` when it cannot be changed, as scripts bypass the greyed menu."""
    if len(drawables) != 1:
        raise PluginError(_("DeepDream works on one layer"), _("select one layer"), "drawables")
    drawable = drawables[0]
    if drawable.is_group():
        raise PluginError(_("A layer group has no pixels of its own"), _("select a layer in it"), "group")
    if drawable.is_channel() and not drawable.is_layer_mask():
        raise PluginError(_("DeepDream works on layers, not on channels"), _("select a layer"), "channel")
    if drawable.is_indexed():
        raise PluginError(_("The image has indexed colours"), _("choose Image ▸ Mode ▸ RGB"), "indexed")
    item: Gimp.Item | None = _layer_of(drawable)
    while item is not None:
        if item.get_lock_content():
            raise PluginError(_("The layer's pixels are locked"), _("unlock them in the Layers dialog"), "locked")
        item = item.get_parent()
    return drawable


def dream(
    image: Gimp.Image, drawable: Gimp.Drawable, part: pixels.Selected, arguments: dict[str, Any], facts: Facts
) -> None:
    """Dream the part and put it on the drawable, or on a copy above it; where it raises `PluginError`, nothing changed."""
    import jobs  # late: the dialog opens sooner without it

    settings = choices.settings_of(arguments, facts)
    if settings["strength"] == 0:  # no conversion could leave every bit as it is
        if arguments["output"] == "new-layer":
            with _one_step(image):
                _copied_above(image, drawable, arguments["preset"])
            Gimp.displays_flush()
        return
    outer = part.outer
    shape = (outer.height, outer.width, pixels.channels(drawable))
    before = pixels.Surface.of(image, drawable, part)
    Gimp.progress_init(_("DeepDream"))
    job = jobs.Dreaming(
        facts, pixels.read(drawable, outer), "float32", shape, settings, priority="interactive",
        label=_where(drawable, part), forget=False,
    )  # fmt: skip
    job.start()
    dreamed = _followed(job)
    _check_unchanged(image, drawable, part, before)
    above = arguments["output"] == "new-layer"
    with _one_step(image):
        layer = _copied_above(image, drawable, arguments["preset"]) if above else _layer_of(drawable)
        try:
            pixels.write(image, layer.get_mask() if drawable.is_layer_mask() else layer, part, dreamed)
        except pixels.Refused as refused:
            if above:
                image.remove_layer(layer)
            raise PluginError(str(refused), _STILL, "refused") from None
    Gimp.displays_flush()
    Gimp.progress_end()
    job.acknowledge()
    if drawable.is_layer() and drawable.get_filters():
        Gimp.message(
            _("The layer has filters; the new layer shows the pixels beneath them.")
            if above
            else _("The layer has filters; DeepDream changed the pixels beneath them.")
        )


def _check_unchanged(image: Gimp.Image, drawable: Gimp.Drawable, part: pixels.Selected, before: pixels.Surface) -> None:
    """Raise `PluginError` when the layer or selection changed during the dream, which then no longer fits."""
    if not _exists(image, drawable):
        raise PluginError(_("The layer no longer exists"), _STILL, "gone")
    now = pixels.Surface.of(image, drawable, part)
    if now.layer != before.layer:
        raise PluginError(_("The layer changed during the dream"), _STILL, "changed")
    if now.selection != before.selection:
        raise PluginError(_("The selection changed during the dream"), _STILL, "changed")


@contextmanager
def _one_step(image: Gimp.Image) -> Iterator[None]:
    """Group all changes into one undo step."""
    image.undo_group_start()
    try:
        yield
    finally:
        image.undo_group_end()


def _layer_of(drawable: Gimp.Drawable) -> Gimp.Drawable:
    """Return the layer of a mask, or the drawable itself."""
    return Gimp.Layer.from_mask(drawable) if drawable.is_layer_mask() else drawable


def _where(drawable: Gimp.Drawable, part: pixels.Selected) -> str:
    """Return the layer's name and the places of the outer and inner regions on the image; "last result" reads this."""
    _ok, left, top = drawable.get_offsets()
    places = (
        f"{region.width}×{region.height}{left + region.x:+d}{top + region.y:+d}" for region in (part.outer, part.inner)
    )
    name = "".join(c if c.isprintable() else " " for c in drawable.get_name()[:100])
    return " ".join((name, *places))


def _followed(job: jobs.Dreaming) -> bytearray:
    """Show the job's progress until it ends; return the picture, or raise its `PluginError`.

    GIMP's Cancel kills this process; the helper then stops the job by itself.
    """
    while True:
        try:
            message = job.messages.get(timeout=POLL_S)
        except queue.Empty:
            while GLib.MainContext.default().iteration(False):
                pass
            continue
        if message.kind == "done":
            picture: bytearray = message.data
            return picture
        if message.kind == "failed":
            raise message.data
        _show(message)


def _show(message: jobs.Message) -> None:
    data = message.data
    if message.kind == "starting":
        Gimp.progress_set_text(_("Starting the DeepDream helper …"))
        Gimp.progress_pulse()
    elif message.kind == "queued":
        Gimp.progress_set_text(_("Waiting: {count} ahead").format(count=data["position"] - 1))
        Gimp.progress_pulse()
    elif message.kind == "running":
        Gimp.progress_set_text(_("Dreaming on {name}").format(name=data["name"]))
    elif message.kind == "progress":
        left = data["left_s"]
        text = _("Octave {octave} of {octaves}, step {iteration} of {iterations}").format(**data)
        if left is not None:
            text += _(", {time} left").format(time=clock(left))
        Gimp.progress_set_text(text)
        Gimp.progress_update(data["fraction"])


def clock(seconds: float) -> str:
    """Return a duration as people write it: `42 s`, `3:05 min`."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    return f"{int(seconds) // 60}:{int(seconds) % 60:02} min"


def _copied_above(image: Gimp.Image, drawable: Gimp.Drawable, preset: str) -> Gimp.Layer:
    """Return a copy of the drawable's layer right above it, named after the preset, without filters."""
    layer = _layer_of(drawable)
    copy = layer.copy()
    copy.set_name(_("DeepDream – {preset}").format(preset=preset))
    image.insert_layer(copy, layer.get_parent(), image.get_item_position(layer))
    for own in copy.get_filters():
        own.delete()
    return copy
