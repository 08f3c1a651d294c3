"""The application behind the door: it translates HTTP calls into calls of the dispatcher."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from deepdream_core import __version__
from deepdream_core.helper.job import State
from deepdream_core.helper.refusal import RefusalError
from deepdream_core.helper.schemas import (
    Engine,
    ErrorAnswer,
    Hello,
    JobCreated,
    JobRequest,
    JobStatus,
    Status,
    Warm,
    WarmRequest,
)
from deepdream_core.helper.status import helper_view, job_view
from deepdream_core.helper.streams import ArrayAnswer, EventStream, read_array
from deepdream_core.link import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepdream_core.helper.dispatcher import Dispatcher

BREAKS_OFF_POLLS = 20
_NPY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]+$"},
        "event": {"enum": [*wire.EVENTS, *wire.ENDINGS]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "data"],
}
_EVENT_STREAM = {"text/event-stream": {"schema": _EVENT}}
_SAME_FOR_ALL = {
    400: "no HTTP, or larger headers than allowed",
    401: "no token, or a wrong one",
    403: "another Host, or an Origin",
}
_MEANINGS = {
    400: "not an array, or not the one that was announced",
    404: "no such job",
    408: "the body took too long",
    409: "not now: see the code",
    411: "no Content-Length",
    413: "too large",
    422: "not valid",
    429: "come back after Retry-After seconds",
    503: "the helper is stopping, or the model cannot be loaded",
    507: "no memory",
}

JobId = Annotated[str, Path(alias="id", pattern=r"^[A-Za-z0-9_-]{22}$", description="a job's id")]


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of a call's refusals."""
    meant = {**_SAME_FOR_ALL, **{status: _MEANINGS[status] for status in statuses}}
    return {status: {"model": ErrorAnswer, "description": meaning} for status, meaning in meant.items()}


def build(
    dispatcher: Dispatcher, hello_again: Callable[[str | None], dict[str, Any]], stop: Callable[[], None]
) -> FastAPI:
    """Return the application. `hello_again` is the door's answer to `hello`, `stop` ends the helper."""
    app = FastAPI(
        title="DeepDream helper", version=__version__, openapi_url="/v1/openapi.json", docs_url=None, redoc_url=None,
        description="One local process that owns the GPU. Loopback only; bearer token from the endpoint file.",
        redirect_slashes=False,
    )  # fmt: skip
    _use_one_error_body(app)
    _document_token(app)

    @app.get("/v1/hello", responses=_refusals(422))
    async def hello(nonce: Annotated[str | None, Query(pattern=r"^(?:[0-9a-f]{2}){16,64}$")] = None) -> Hello:
        """Say who listens and, by a proof over the nonce, that it knows the token. The only call without a token."""
        return Hello(**hello_again(nonce))

    _add_incoming(app, dispatcher)
    _add_outgoing(app, dispatcher)
    _add_housekeeping(app, dispatcher, stop)
    return app


def _add_incoming(app: FastAPI, dispatcher: Dispatcher) -> None:
    """Add the calls that send a picture."""

    @app.post("/v1/jobs", status_code=201, responses=_refusals(408, 411, 413, 422, 429, 503))
    async def create(request: JobRequest, response: Response) -> JobCreated:
        """Announce a picture; it is queued once everything announced has arrived."""
        job = dispatcher.create(request)
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return JobCreated(id=job.id, state=job.state.value)

    @app.put(
        "/v1/jobs/{id}/{kind}", status_code=204, responses=_refusals(400, 404, 408, 409, 411, 413, 422, 507),
        openapi_extra={"requestBody": {"required": True, "content": _NPY}},
    )  # fmt: skip
    async def upload(job_id: JobId, kind: Literal["pixels", "mask", "start"], request: Request) -> None:
        """Send an array that was announced, as NPY 1.0 with a Content-Length."""
        job = dispatcher.find(job_id)
        for _ in range(BREAKS_OFF_POLLS):  # the end of a broken upload may not be noticed yet
            if kind not in job.uploading:
                break
            await asyncio.sleep(0.05)
        if job.state is not State.CREATED or kind in job.arrived or kind in job.uploading:
            raise RefusalError(409, "conflict", f"{kind} is here already, or the job has ended", "send a new job")
        if kind not in job.announced:
            raise RefusalError(409, "conflict", f"{kind} was not announced", "announce it when the job is made")
        job.uploading.add(kind)
        job.hold()
        try:
            array = await read_array(request, job.announced[kind])
            await dispatcher.add_array(job, kind, array)
        except ClientDisconnect:
            raise RefusalError(400, "bad_pixels", "the body ended early", "send it again") from None
        finally:
            job.uploading.discard(kind)
            job.release(time.monotonic())


def _add_outgoing(app: FastAPI, dispatcher: Dispatcher) -> None:
    """Add the calls that follow a job, fetch its picture and end it."""

    @app.get("/v1/jobs/{id}", responses=_refusals(404, 422))
    async def job_status(job_id: JobId) -> JobStatus:
        """Return the state of a job."""
        return JobStatus(**job_view(dispatcher.find(job_id), dispatcher.queue))

    @app.get(
        "/v1/jobs/{id}/events", response_class=Response,
        responses={**_refusals(404, 422), 200: {"content": _EVENT_STREAM}},
    )  # fmt: skip
    async def events(
        job_id: JobId,
        last_event_id: Annotated[int | None, Header(ge=0, description="send only events after this one")] = None,
    ) -> Response:
        """Send the job's events until it ends. This connection is the client's lease on the job."""
        return EventStream(dispatcher, dispatcher.find(job_id), last_event_id or 0)

    @app.get(
        "/v1/jobs/{id}/result", response_class=Response,
        responses={**_refusals(404, 409, 422, 507), 200: {"content": _NPY}},
    )  # fmt: skip
    async def result(
        job_id: JobId, so_far: Annotated[bool, Query(description="the picture so far of a job that runs")] = False
    ) -> Response:
        """Return the picture, in the size and type of the sent one."""
        job = dispatcher.find(job_id)
        if so_far and not job.state.ended:
            try:
                array = await dispatcher.so_far(job)
            except MemoryError as error:
                raise RefusalError(507, "no_memory", f"no shared memory: {error}", "close other programs") from None
            if array is not None:
                return ArrayAnswer(array, close=True)
        if job.state is State.DONE:
            return ArrayAnswer(job.arrived["pixels"])
        if job.state.ended:
            why = job.details.get("what") or f"it was cancelled ({job.details.get('why')})"
            raise RefusalError(409, "conflict", f"the job has no result: {why}", "send it again")
        raise RefusalError(409, "not_ready", f"the job is {job.state}", "follow its events")

    @app.delete("/v1/jobs/{id}", status_code=204, responses=_refusals(404, 422))
    async def delete(job_id: JobId) -> None:
        """Cancel a job, or forget one that has ended."""
        job = dispatcher.find(job_id)
        if job.state.ended:
            dispatcher.forget(job)
        else:
            dispatcher.cancel(job, "asked")


def _add_housekeeping(app: FastAPI, dispatcher: Dispatcher, stop: Callable[[], None]) -> None:
    """Add the calls about the helper itself."""

    @app.get("/v1/status", responses=_refusals())
    async def status() -> Status:
        """Return the workers, the memory in use and the jobs."""
        return Status(version=__version__, **helper_view(dispatcher))

    @app.post("/v1/warm", responses={**_refusals(408, 411, 413, 422, 503), 202: {"model": Warm}})
    async def warm(request: WarmRequest, response: Response) -> Warm:
        """Load the model now, so that the next job need not wait for it."""
        futures = dispatcher.warm()
        gathered = asyncio.gather(*futures, return_exceptions=True)
        if not request.wait:
            response.status_code = 202
            return Warm(workers=[])
        answers = await gathered
        workers = [Engine(**answer) for answer in answers if not isinstance(answer, BaseException)]
        if not workers:
            raise next(answer for answer in answers if isinstance(answer, BaseException))
        return Warm(workers=workers)

    @app.post("/v1/shutdown", status_code=202, responses=_refusals())
    async def shutdown() -> Response:
        """End the helper; it cancels running jobs and informs their clients."""
        stop()
        return Response(status_code=202)


def _document_token(app: FastAPI) -> None:
    """Add the token, which the door checks, to the OpenAPI document."""
    plain = app.openapi

    def with_token() -> dict[str, Any]:
        document = plain()
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
        document["paths"]["/v1/hello"]["get"]["security"] = []
        return document

    app.openapi = with_token  # type: ignore[method-assign]


def _use_one_error_body(app: FastAPI) -> None:
    """Give all refusals and errors the same body."""

    def answer(refusal: RefusalError, request: Request) -> JSONResponse:
        unread = {"Connection": "close"} if request.method == "PUT" else {}
        return JSONResponse(refusal.body, refusal.status, {**refusal.headers, **unread})

    @app.exception_handler(RefusalError)
    async def refused(request: Request, refusal: RefusalError) -> JSONResponse:
        return answer(refusal, request)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        return answer(
            RefusalError(422, "invalid", f"{where or 'the body'}: {first['msg']}"[:300], "see openapi.json"), request
        )

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method"}.get(error.status_code, "invalid")
        response = answer(RefusalError(error.status_code, code, str(error.detail), "see /v1/openapi.json"), request)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        return answer(RefusalError(500, "internal", "the helper has a fault", "look into its log"), request)
