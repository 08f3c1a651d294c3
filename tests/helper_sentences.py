"""The sentences of client, helper and engine that can reach a GIMP window, read from the source.

An f-string is a template: `f"{path}: cannot be read: {error.strerror or error}"` is `{path}: cannot be read: {strerror}`.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_folder import connection

if TYPE_CHECKING:
    from collections.abc import Iterator

CORE = Path(__file__).resolve().parent.parent / "deepdream_core"

SOURCES = (
    "link/client.py", "link/connection.py", "link/endpoint.py", "link/errors.py", "link/helper_client.py",
    "link/helper_start.py", "link/private_files.py", "link/service_endpoint.py", "link/user_folders.py",
    "helper/activation.py", "helper/admission.py", "helper/app.py", "helper/devices.py", "helper/dispatcher.py",
    "helper/door.py", "helper/endpoint.py", "helper/schemas.py", "helper/serve.py", "helper/streams.py",
    "helper/upstream.py", "helper/worker.py", "helper/worker_job.py", "helper/worker_process.py",
    "engine/device.py", "engine/dream.py", "engine/engine.py", "engine/gradient.py", "engine/weights.py",
    "config.py", "declaration.py", "errors.py", "layers.py", "objective_values.py", "settings.py",
)  # fmt: skip
"""What a dream in GIMP runs through. A helper that does not start prints errors of its config.yaml and weights."""

ERRORS = {
    "NoHelper", "HelperNotStarted", "HelperVersion", "HelperLost", "WireError", "RefusalError", "HelperError", "JobFailed",
    "SettingsError", "PictureError", "WeightsError", "DeviceError", "OutOfMemoryError", "NumericError", "ValueError",
}  # fmt: skip
REPORTS = {"apply", "append", "_text"}
"""Functions that get a sentence as `what`, `next_step`, a note or a default."""
RETURNS = {"nearest", "reason", "death_in_words"}
"""Functions whose result is part of a sentence."""
MISTAKES = {
    "link/client.py": ("cannot be a client's name", "version {version},"),
    "link/connection.py": ("a buffer", "not a buffer"),
    "link/endpoint.py": ("a nonce",),
    "helper/serve.py": ("helper.log",),
    "helper/streams.py": ("and an NPY header", " of {dtype} take ", "send what was"),
    "link/helper_client.py": ("one of the priorities", "a label of", "mask and mask_dtype", "a guide of", "cannot be sent"),
    "helper/door.py": (
        "is not a JSON number", "the body is", "the body cannot", "this key is given twice", "the nonce", "a body",
        "are allowed", "send another", "see openapi",
    ),
    "helper/schemas.py": ("contains characters", "is not a picture's", "1 to 4 channels"),
    "helper/worker_job.py": ("the start", "the mask"),
    "helper/app.py": ("see openapi.json", "see /v1/openapi.json"),
    "config.py": ("is given twice", "a key must be", "}config.yaml", "presets.{name}"),
    "engine/weights.py": ("block{",),
}  # fmt: skip
"""Parts of further sentences that only a mistake of the plug-in or of its tests can bring about."""

MORE = {"run `{command}`": "machine/reinstall.py"}
"""What other rooms put into these."""


@cache
def sentences() -> dict[str, str]:
    """Return each template and the file it is from, in the order of `SOURCES`."""
    found: dict[str, str] = {}
    for source in SOURCES:
        for text in _Reader(source).sentences():
            mistake = any(part in text for part in MISTAKES.get(source, ()))
            if not mistake and sum(map(str.isalpha, re.sub(r"\{\w*\}", "", text))) > 2:
                found.setdefault(text, source)
    return {**found, **MORE}


class _Reader:
    """What the errors in a file say."""

    def __init__(self, source: str) -> None:
        self._tree = ast.parse((CORE / source).read_text("utf-8"))
        self._functions = {
            node.name: node
            for node in ast.walk(self._tree)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        }
        self._seen: set[int] = set()

    def sentences(self) -> Iterator[str]:
        for scope in (*self._functions.values(), self._tree):
            for node in ast.walk(scope):
                if isinstance(node, ast.Call):
                    for expression in self._said_by(node):
                        yield from self._texts(expression, scope)
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
                    names = getattr(node.targets[0], "elts", [])
                    for name, value in zip(names, node.value.elts, strict=False):
                        if ast.unparse(name) in ("what", "step"):
                            yield from self._texts(value, scope)
        for statement in self._tree.body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "CANCELLED_WHY":
                yield from (text for value in ast.walk(statement.value) for text in self._texts(value, self._tree))
        for name in RETURNS & self._functions.keys():
            yield from self._returned(self._functions[name])

    def _said_by(self, call: ast.Call) -> Iterator[ast.expr]:
        name = ast.unparse(call.func).rpartition(".")[2]
        values = [*call.args, *(keyword.value for keyword in call.keywords)]
        if name == "RefusalError" and len(call.args) > 1 and getattr(call.args[1], "value", "") in connection.MISTAKES:
            return
        if name in ERRORS:
            yield from values[2 if name == "RefusalError" else 0 :]
        elif name in REPORTS or any(keyword.arg == "what" for keyword in call.keywords):
            yield from (value for value in values if isinstance(value, (ast.JoinedStr, ast.Constant, ast.Name)))

    def _texts(self, node: ast.AST, scope: ast.AST) -> Iterator[str]:
        """Yield what an expression says, each side of ` — ` apart, and what is put into it."""
        if id(node) in self._seen:
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (part for part in node.value.replace("{", "{{").replace("}", "}}").split(" — ") if " " in part)
        elif isinstance(node, ast.JoinedStr):
            yield from (part.strip() for part in _template(node).split(" — "))
            for value in node.values:
                if isinstance(value, ast.FormattedValue):
                    yield from self._texts(value.value, scope)
        elif isinstance(node, ast.IfExp):
            yield from (text for branch in (node.body, node.orelse) for text in self._texts(branch, scope))
        elif isinstance(node, ast.BinOp):
            yield _template(node)
        elif isinstance(node, ast.BoolOp):
            yield from (text for value in node.values for text in self._texts(value, scope))
        elif isinstance(node, ast.Name):
            self._seen.add(id(node))
            for at in ast.walk(scope if _assigns(scope, node.id) else self._tree):
                if isinstance(at, ast.Assign) and node.id in map(ast.unparse, at.targets):
                    yield from self._texts(at.value, scope)
        elif isinstance(node, ast.Call) and (name := ast.unparse(node.func).rpartition(".")[2]) in self._functions:
            self._seen.add(id(node))
            yield from self._returned(self._functions[name])

    def _returned(self, function: ast.AST) -> Iterator[str]:
        for node in ast.walk(function):
            if isinstance(node, ast.Return) and node.value is not None:
                yield from self._texts(node.value, function)


def _assigns(scope: ast.AST, name: str) -> bool:
    return any(isinstance(at, ast.Assign) and name in map(ast.unparse, at.targets) for at in ast.walk(scope))


def _template(node: ast.expr) -> str:
    """Return an f-string, or a sum of strings, as a template for `str.format` with names."""
    names: list[str] = []

    def name(value: ast.expr) -> str:
        first = next(
            (each for each in ast.walk(value) if isinstance(each, (ast.Name, ast.Attribute))), ast.Name("value")
        )
        word = (first.attr if isinstance(first, ast.Attribute) else first.id).strip("_").lower()
        names.append(word)
        return f"{{{word}{names.count(word) if names.count(word) > 1 else ''}}}"

    def text(part: ast.expr) -> str:
        if isinstance(part, ast.Constant):
            return str(part.value).replace("{", "{{").replace("}", "}}")
        if isinstance(part, ast.BinOp):
            return text(part.left) + text(part.right)
        if isinstance(part, ast.JoinedStr):
            return "".join(map(text, part.values))
        return name(part.value if isinstance(part, ast.FormattedValue) else part)

    return text(node)
