"""`docs/helper-api.md`: its examples run as they stand there, and what it lists is what there is."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helper_process import running_helper

from deepdream_core.helper import app, worker
from deepdream_core.helper.schemas import JobRequest
from deepdream_core.link import errors, wire
from deepdream_core.settings import EARLIER, DreamSettings

PAGE = Path(__file__).parent.parent / "docs" / "helper-api.md"
TEXT = PAGE.read_text(encoding="utf-8")
SOURCES = [ast.parse(path.read_text(encoding="utf-8")) for path in Path(app.__file__).parent.glob("*.py")]
DEFAULTS = yaml.safe_load((PAGE.parent.parent / "config.yaml").read_text(encoding="utf-8"))


def table(first_cell: str) -> list[list[str]]:
    """The rows, as texts without backticks, of the table whose head begins so."""
    head = f"| {first_cell} |"
    rows = TEXT[TEXT.index(f"\n{head}") + 1 :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip().replace("`", "") for cell in row.strip("|").split("|")] for row in rows]


def constants(call: ast.Call) -> list[object]:
    return [argument.value if isinstance(argument, ast.Constant) else None for argument in call.args]


def calls_to(name: str) -> list[ast.Call]:
    nodes = [node for tree in SOURCES for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [node for node in nodes if name == getattr(node.func, "id", getattr(node.func, "attr", None))]


@pytest.mark.skipif(os.name != "posix", reason="the examples are for a POSIX shell")
@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("bash"), reason="the examples need curl and bash")
def test_the_examples_work_one_after_another(tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    script = "set -eu\n" + "\n".join(f"{block}\necho\necho '=== {number}'" for number, block in enumerate(blocks, 1))
    work = tmp_path / "work"
    work.mkdir()
    with running_helper(tmp_path / "helper") as helper:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=work, env={**helper.environ, "PATH": path}, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        said = [part.strip() for part in re.split(r"^=== \d+$", done.stdout, flags=re.MULTILINE)]
        assert helper.process.wait(60) == 0, "the last call ended it"
    found, hello, status, _, _, events, result, housekeeping, rest = said
    port = found.rpartition(":")[2]
    assert found == f"http://127.0.0.1:{port}"
    assert hello == "it is the helper"
    assert json.loads(status)["jobs"] == []
    names = re.findall(r"^event: (\w+)$", events, re.MULTILINE)
    assert [name for name in names if name != "queued"] == ["running", "progress", "progress", "progress", "done"]
    assert json.loads(result.splitlines()[0])["state"] == "done"
    assert result.splitlines()[1] == "(64, 96, 3) uint8"
    warm, after = (json.loads(line) for line in housekeeping.splitlines())
    assert warm["workers"][0]["device"] == "cpu"
    assert after["workers"][0]["state"] == "ready"
    assert after["jobs"] == []
    assert rest == ""
    assert (work / "so-far.npy").stat().st_size == (work / "picture.npy").stat().st_size


def test_the_calls_are_those_of_the_application() -> None:
    verbs = {"get", "post", "put", "patch", "delete"}
    there = {
        f"{verb.upper()} {path}"
        for verb in verbs
        for path in (constants(call)[0] for call in calls_to(verb) if call.args)
        if isinstance(path, str) and path.startswith("/v1/")
    }
    assert {row[0] for row in table("call")} == there


def test_the_keys_of_a_job_are_those_that_are_taken() -> None:
    told = {name for row in table("key") for name in row[0].split(", ")}
    assert told == set(JobRequest.model_fields)


def test_an_earlier_client_gets_the_same_as_before() -> None:
    before = re.search(r"picture: without (.*?) these are (.*?), and", TEXT, re.DOTALL)
    assert before
    values = before[2].replace(" and", ",").split(", ")
    defaults = DreamSettings().model_dump()
    other = {key: value for key, value in EARLIER.items() if value != defaults[key]}
    assert dict(zip(re.findall(r"`(\w+)`", before[1]), map(yaml.safe_load, values), strict=True)) == other


def test_the_schema_names_every_setting_with_its_range() -> None:
    from deepdream_core.helper.schemas import JobRequest

    settings = JobRequest.model_json_schema()["properties"]["settings"]
    assert settings["properties"] == DreamSettings.model_json_schema()["properties"]
    assert settings["additionalProperties"] is False
    assert settings["properties"]["natural"]["maximum"] == 1


def test_the_events_are_those_of_the_protocol() -> None:
    rows = table("event")
    assert [row[0] for row in rows] == [*wire.EVENTS, *wire.ENDINGS]
    assert set(re.findall(r"\w+", rows[-1][1])) - {"why", "or"} == set(errors.CANCELLED_WHY)


def test_the_refusals_are_those_of_the_code() -> None:
    raised = [[*constants(call), None, None][:2] for call in calls_to("RefusalError")]
    known = {(status, code) for status, code in raised if isinstance(status, int) and isinstance(code, str)}
    by_warm = {(503, "worker_died"), (503, "internal")}  # a failure's code, as the page says
    by_parser = {(400, "invalid")}
    by_framework = {(404, "not_found"), (405, "method")}
    assert {(int(row[1]), row[0]) for row in table("code")} == (known | by_framework) - by_warm - by_parser


def test_the_failures_are_those_of_the_code() -> None:
    codes = [word.value for call in calls_to("apply") for word in call.keywords if word.arg == "code"]
    given = {code.value for code in codes if isinstance(code, ast.Constant)}
    assert given
    assert {row[0] for row in table("failure")} == {*worker.CODES.values(), "internal", *given}


def test_the_limits_and_their_defaults_are_those_of_the_configuration() -> None:
    for key, default, _ in table("`config.yaml`"):
        section, _, name = key.partition(".")
        assert str(DEFAULTS[section][name]) == default, key
    assert {row[0] for row in table("`config.yaml`")} >= {f"helper.{name}" for name in DEFAULTS["helper"]}


def test_the_seconds_of_the_rules_are_those_of_the_protocol() -> None:
    rules = " ".join(TEXT[TEXT.index("## Rules") : TEXT.index("## Limits")].split())
    assert f"cancels the job after {wire.REATTACH_WITHIN_S:g} s" in rules
    assert f"such a connection {wire.ATTACH_WITHIN_S:g} s after its last upload" in rules


def test_the_page_has_no_path_of_this_machine() -> None:
    assert str(PAGE.parent.parent) not in TEXT
    assert not re.search(r"(?<![\w.])/(tmp|work|home|Users)/", TEXT)
