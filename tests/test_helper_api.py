"""The helper against its own OpenAPI document: what that allows is taken, what it forbids is refused, in its form."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from helper_process import Helper, followed, running_helper, submitted
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from deepdream_core.config import builtin_config_path, load_config
from deepdream_core.helper.schemas import JobRequest
from deepdream_core.settings import EARLIER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import BaseSchema

CALLS = [
    ("GET", "/v1/hello"),
    ("POST", "/v1/jobs"),
    ("GET", "/v1/jobs/{id}"),
    ("DELETE", "/v1/jobs/{id}"),
    ("PATCH", "/v1/jobs/{id}"),
    ("PUT", "/v1/jobs/{id}/{kind}"),
    ("PUT", "/v1/jobs/{id}/guide/{number}"),
    ("GET", "/v1/jobs/{id}/events"),
    ("GET", "/v1/jobs/{id}/result"),
    ("GET", "/v1/presets"),
    ("GET", "/v1/status"),
    ("POST", "/v1/warm"),
]
SHUTDOWN = ("POST", "/v1/shutdown")
"""Not tried here: it would end the helper for the calls that follow. The examples of `docs/helper-api.md` do it."""

NOT_ASKED = {
    # what no schema can say is refused too: settings, presets, NPY bodies, pictures too large, jobs that do not exist
    "positive_data_acceptance",
}

load_all_checks()
CONFIG = load_config(builtin_config_path())


@pytest.fixture(scope="module")
def helper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helper]:
    with running_helper(tmp_path_factory.mktemp("api"), {"helper": {"max_queued": 100_000}}) as process:
        process.client().status()  # the application is there
        yield process


@pytest.fixture(scope="module")
def finished(helper: Helper) -> str:
    """The id of a job that is done; all that can be asked of a job is answered at once."""
    followed(submitted(helper.client(), label="finished"))
    return next(str(job["id"]) for job in helper.status()["jobs"] if job["label"] == "finished")


def bearer(helper: Helper) -> dict[str, str]:
    return {"Authorization": f"Bearer {helper.endpoint.token}"}


def address(helper: Helper) -> str:
    return f"http://127.0.0.1:{helper.endpoint.port}"


@pytest.fixture(scope="module")
def document(helper: Helper) -> dict[str, Any]:
    asked = urllib.request.Request(address(helper) + "/v1/openapi.json", headers=bearer(helper))
    with urllib.request.urlopen(asked, timeout=60) as answer:
        text: dict[str, Any] = json.load(answer)
    return text


@pytest.fixture(scope="module")
def schema(document: dict[str, Any]) -> BaseSchema:
    return schemathesis.openapi.from_dict(document)


def meant(**given: Any) -> dict[str, Any]:
    """The settings of a job with these parts of its request."""
    job = JobRequest(client="any", shape=[8, 8, 3], dtype="uint8", **given)
    return job.dream(CONFIG)[0].model_dump()


def test_a_client_of_an_earlier_version_gets_what_that_version_did() -> None:
    now = CONFIG.dream.model_dump()
    then = {name: value for name, value in now.items() if name not in EARLIER}
    assert meant(settings=then) == {**now, **EARLIER}, "it names all that it knows"
    assert meant(settings={**then, "natural": 0.5}) == {**now, **EARLIER, "natural": 0.5}
    assert meant(settings=now) == now
    assert meant(settings={"iterations": 3}) == {**now, "iterations": 3}
    assert meant(preset="eyes", settings=then)["natural"] == CONFIG.dream_settings("eyes", {}).natural


def test_the_document_knows_these_calls_and_no_others(document: dict[str, Any]) -> None:
    known = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert known == {*CALLS, SHUTDOWN}


def test_the_document_says_that_all_calls_but_hello_need_the_token(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    assert document["security"] == [{"token": []}]
    open_to_all = [p for p, methods in document["paths"].items() for m in methods.values() if m.get("security") == []]
    assert open_to_all == ["/v1/hello"]


def test_every_refusal_in_the_document_has_the_same_form(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            for status, answer in call["responses"].items():
                if status >= "4":
                    form = answer["content"]["application/json"]["schema"]
                    assert form == {"$ref": "#/components/schemas/ErrorAnswer"}, (method, path, status)


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_a_call_keeps_to_the_document(
    helper: Helper, schema: BaseSchema, method: str, path: str, mode: GenerationMode
) -> None:
    operation = schema[path][method]
    if mode is GenerationMode.NEGATIVE and not _can_be_wrong(operation):
        pytest.skip("there is nothing in this call that could be wrong")
    if path == "/v1/warm" and mode is GenerationMode.POSITIVE:  # else it loads the model for each example
        cases = operation.as_strategy(mode, body={"wait": False}, media_type="application/json")
    else:
        cases = operation.as_strategy(mode)
    _try(helper, cases, 40)


@pytest.mark.parametrize("path", ["/v1/jobs/{id}", "/v1/jobs/{id}/events", "/v1/jobs/{id}/result"])
def test_answers_about_a_job_match_the_document(helper: Helper, schema: BaseSchema, finished: str, path: str) -> None:
    cases = schema[path]["GET"].as_strategy(path_parameters={"id": finished})
    _try(helper, cases.filter(lambda case: (case.query or {}).get("hold") != "true"), 10)  # such a stream does not end


def _can_be_wrong(operation: Any) -> bool:
    parts = (operation.path_parameters, operation.query, operation.headers, operation.body)
    return any(len(list(part)) for part in parts)


def _try(helper: Helper, cases: Any, count: int) -> None:
    excluded = [CHECKS.get_one(name) for name in NOT_ASKED]

    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=cases)
    def one(case: Any) -> None:
        case.call_and_validate(base_url=address(helper), headers=bearer(helper), timeout=30, excluded_checks=excluded)

    one()
    assert helper.process.poll() is None
    assert "Traceback" not in helper.errors.read_text()
