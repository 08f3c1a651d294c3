"""One run of the filter: check the layers, dream them, put the results on the canvas."""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple

import canvas
import choices
import fresh
import gi
import guides
import kinds
import opacity
import recipe
from order import Order
from plugin_errors import PluginError
from progress import Progress
from words import _

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp, GLib  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import jobs
    import linked
    import pixels
    from facts import Facts
    from order import Begun, Ordered


def run(
    procedure: Gimp.Procedure,
    run_mode: Gimp.RunMode,
    image: Gimp.Image,
    drawables: list[Gimp.Drawable],
    config: Gimp.ProcedureConfig,
    facts: Facts,
) -> Gimp.ValueArray:
    """Run the procedure: show the dialog if interactive, then dream; GIMP shows errors as one sentence."""

    def work() -> bool:
        chosen = kinds.checked(drawables)
        parts = [canvas.part_of(drawable) for drawable in chosen]
        begun = None

        def ordered(arguments: Mapping[str, Any]) -> tuple[Callable[[], canvas.Target], dict[str, Any]]:
            settings = choices.settings_of(arguments, facts)
            return lambda: canvas.Target(image, chosen[0], arguments["output"]), settings

        if run_mode == Gimp.RunMode.INTERACTIVE:
            wanted, begun = confirmed(procedure, config, chosen, parts[0], facts, ordered)
            if not wanted:
                return False
        else:
            fresh.update(facts)
        check_exist(image, chosen)  # the user may have deleted one while the dialog was open
        arguments = {name: config.get_property(name) for name in choices.as_preset(facts)}
        if run_mode == Gimp.RunMode.WITH_LAST_VALS:
            arguments = choices.with_known_preset(arguments, facts)
        kinds.check_arguments(chosen, arguments)
        settings = choices.settings_of(arguments, facts)
        targets = [canvas.Target(image, drawable, arguments["output"]) for drawable in chosen]
        if arguments["output"] == "linked-layer":
            dream_linked(targets, arguments, settings, facts, begun)
        else:
            dream(targets, arguments, settings, facts, begun)
        return True

    return answered(procedure, work)


def answered(procedure: Gimp.Procedure, work: Callable[[], bool]) -> Gimp.ValueArray:
    """Do the work and return a procedure's values: success, an error, or cancelled where the work returns False."""
    try:
        done = work()
    except PluginError as error:
        return failed(procedure, str(error))
    except Exception as error:  # GIMP would show nothing at all
        traceback.print_exc()
        return failed(procedure, f"{type(error).__name__}: {error}")
    status = Gimp.PDBStatusType.SUCCESS if done else Gimp.PDBStatusType.CANCEL
    return procedure.new_return_values(status, GLib.Error())


def failed(procedure: Gimp.Procedure, text: str) -> Gimp.ValueArray:
    """Return values that make GIMP show a message, or pass it to the calling script."""
    error = GLib.Error.new_literal(Gimp.PlugIn.error_quark(), text, 0)
    return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, error)


def check_exist(image: Gimp.Image, drawables: list[Gimp.Drawable]) -> None:
    """Raise `PluginError` when one of them was deleted."""
    if not all(canvas.exists(image, drawable) for drawable in drawables):
        raise PluginError(_("The layer no longer exists"), "", "gone")


def confirmed(
    procedure: Gimp.Procedure,
    config: Gimp.ProcedureConfig,
    drawables: list[Gimp.Drawable],
    part: pixels.Selected,
    facts: Facts,
    ordered: Ordered,
    *,
    where: bool = True,
) -> tuple[bool, Begun | None]:
    """Show the dialog, which previews the first; return whether the user confirmed it, and the preview's job.

    `ordered` tells what OK would dream with the arguments. Without a display, return True.
    """
    gi.require_version("Gtk", "3.0")
    from gi.repository import Gtk

    if not Gtk.init_check(None)[0]:
        return True, None
    import dialog

    return dialog.confirmed(procedure, config, drawables, part, facts, ordered, where=where)


class _Dreamed(NamedTuple):
    """A target with its dream; `carries`: at full strength, as the layer's opacity is to be the strength."""

    target: canvas.Target
    job: jobs.Dreaming | None = None
    picture: bytearray | None = None
    carries: bool = False


def dream(
    targets: list[canvas.Target],
    arguments: Mapping[str, Any],
    settings: dict[str, Any],
    facts: Facts,
    begun: Begun | None = None,
) -> None:
    """Dream all targets in turn, then put them on the canvas in one undo step.

    Until all are dreamed nothing changes, so Cancel and a `PluginError` leave the image as it was. `begun`: a preview's job
    for the first target, which is gone on from where it dreams the very same, and cancelled otherwise.
    """
    if settings["strength"] == 0:  # no conversion could leave every bit as it is
        dreamed = [_Dreamed(target) for target in targets]
        if begun is not None:
            begun.job.cancel()
    else:
        dreamed = _dreamed(targets, arguments, settings, facts, begun)
    for target in targets:
        target.check()
    if settings["strength"] or not all(target.replaces for target in targets):  # GIMP takes an empty step for a change
        with canvas.one_step(targets[0].image):
            for one in dreamed:
                _put(one, arguments, settings, facts)
    Gimp.displays_flush()
    Gimp.progress_end()
    for one in dreamed:
        if one.job:
            one.job.acknowledge()
    _tell_of_filters(targets)


def _dreamed(
    targets: list[canvas.Target],
    arguments: Mapping[str, Any],
    settings: dict[str, Any],
    facts: Facts,
    begun: Begun | None,
) -> list[_Dreamed]:
    pictures, progress, dreamed = guides.read(arguments, settings), Progress(len(targets)), []
    for target in targets:
        target.check()
        own, carries = opacity.ordered(target, settings)
        job = _job(target, own, pictures, facts, begun)
        begun = None
        dreamed.append(_Dreamed(target, job, progress.follow(job), carries))
    return dreamed


def _job(
    target: canvas.Target,
    settings: dict[str, Any],
    pictures: Sequence[jobs.Guide],
    facts: Facts,
    begun: Begun | None,
    *,
    previews: bool = False,
) -> jobs.Dreaming:
    """Return a job that dreams the target: the preview's, if that is for the very same, else a new one."""
    samples = target.read()
    if begun is not None:
        if begun.order == Order.of(target.image, target.drawable, target.part, settings, pictures, samples):
            begun.job.take_over(target.label, previews=previews)
            return begun.job
        begun.job.cancel()
    import jobs  # late: the dialog opens sooner without it

    job = jobs.Dreaming(
        facts, samples, "float32", target.shape, settings, priority="interactive", guides=pictures, label=target.label,
        previews=previews, forget=False,
    )  # fmt: skip
    job.start()
    return job


def dream_linked(
    targets: list[canvas.Target],
    arguments: Mapping[str, Any],
    settings: dict[str, Any],
    facts: Facts,
    begun: Begun | None = None,
) -> None:
    """Dream targets into files that link layers show while they grow.

    The layers are new ones, which come in one undo step; or there is one target, which has an earlier dream.
    """
    import linked

    pictures = guides.read(arguments, settings) if settings["strength"] else []
    progress, name, onto = Progress(len(targets)), _name(arguments, settings), targets[0].onto
    waiting: list[linked.LinkedDream] = []
    try:
        if onto is not None:
            waiting = [linked.LinkedDream(targets[0], name)]
        else:
            with canvas.one_step(targets[0].image):
                for target in targets:
                    waiting.append(linked.LinkedDream(target, name))
                    _keep_linked(waiting[-1], facts, arguments, settings)
        while waiting:
            file, used, job = waiting[0], settings, None
            file.target.check()
            if not settings["strength"]:
                file.wait(file.write(None))
            else:
                job = _job(file.target, settings, pictures, facts, begun, previews=True)
                begun = None
                dreamed = progress.follow(job, file.grow)
                file.target.check()
                file.wait(file.write(dreamed))
                used = dict(job.settings)
            if onto is not None:
                with canvas.one_step(file.target.image):
                    canvas.move_to(onto, file.target.drawable)
                    _rename(onto, recipe.read(onto, facts), name)
                    _keep_linked(file, facts, arguments, used)
            elif used != settings:  # with the channels that the helper picked
                with canvas.no_step(file.target.image):
                    _keep_linked(file, facts, arguments, used)
            if job:
                job.acknowledge()
            del waiting[0]
    except BaseException:
        for file in waiting:
            file.give_up()
        raise
    Gimp.progress_end()


def _keep_linked(
    file: linked.LinkedDream, facts: Facts, arguments: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    target = file.target
    used = recipe.of(target.image, facts, arguments, settings, target.drawable, file=file.path.name)
    recipe.attach(file.layer, used)


def _name(arguments: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    return _("DeepDream – {preset}, seed {seed}").format(preset=arguments["preset"], seed=settings["seed"])


def _rename(layer: Gimp.Drawable, before: recipe.Recipe | None, name: str) -> None:
    """Give an earlier dream, whose recipe was `before`, a new name, unless a person has given it one."""
    if before is None:
        return
    own = [_name(before.arguments, before.settings), before.file]  # opening an XCF, GIMP 3.2.6 names links like files
    if any(re.fullmatch(re.escape(one) + r"( #\d+)?", layer.get_name()) for one in own if one):
        layer.set_name(name)


def _put(one: _Dreamed, arguments: Mapping[str, Any], settings: dict[str, Any], facts: Facts) -> None:
    """Put one dream on the canvas, with its recipe."""
    target = one.target
    name = _name(arguments, settings)
    goal = target.put(one.picture, name)
    before = recipe.read(goal, facts) if target.onto is not None else None
    _rename(goal, before, name)
    if one.carries:
        opacity.carry(goal, settings["strength"])
    elif before and before.opacity and opacity.is_strength(goal):
        opacity.carry(goal, 1.0)
    used = {**(one.job.settings if one.job else settings), "strength": settings["strength"]}
    source = None if target.replaces or not target.drawable.is_layer() else target.drawable
    recipe.attach(goal, recipe.of(target.image, facts, arguments, used, source, opacity=one.carries))


def _tell_of_filters(targets: list[canvas.Target]) -> None:
    for target in targets:
        if target.drawable.is_layer() and target.drawable.get_filters():
            Gimp.message(
                _("The layer has filters; DeepDream changed the pixels below them.")
                if target.replaces
                else _("The layer has filters; the new layer shows the pixels below them.")
            )
