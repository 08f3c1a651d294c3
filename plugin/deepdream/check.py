"""Check installation: shows what is installed, whether the helper answers, and on which device it dreams."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import connection
import gi
from plugin_errors import PluginError
from words import _

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp, GLib  # noqa: E402

if TYPE_CHECKING:
    from facts import Facts


def run(procedure: Gimp.Procedure, facts: Facts) -> Gimp.ValueArray:
    """Run the procedure: show one message."""
    version = f"{Gimp.MAJOR_VERSION}.{Gimp.MINOR_VERSION}.{Gimp.MICRO_VERSION}"
    lines = [_("Plug-in {version} in GIMP {gimp}").format(version=facts.version, gimp=version)]
    try:
        helper = connection.connect(facts)
        lines.append(
            _("Helper {version}, port {port}, log {log}").format(
                version=helper.version, port=helper.endpoint.port, log=helper.endpoint.log
            )
        )
        lines += [_about(worker) for worker in connection.call(helper.status)["workers"]]
    except PluginError as error:
        lines.append(f"✗ {error}")
    except Exception as error:  # GIMP would show nothing at all
        traceback.print_exc()
        lines.append(f"✗ {type(error).__name__}: {error}")
    Gimp.message("\n".join(lines))
    return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, GLib.Error())


def _about(worker: dict[str, object]) -> str:
    name = worker["name"] or _("model not loaded yet")
    return _("Device {device} ({name}), {precision}, weights {weights}").format(
        device=worker["device"], name=name, precision=worker["precision"],
        weights=worker["weights"]["name"],  # type: ignore[index]
    )  # fmt: skip
