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
from deepdream_core.errors import DeepDreamError
from deepdream_core.helper.job import Priority, State
from deepdream_core.helper.refusal import RefusalError
from deepdream_core.helper.schemas import (
    Engine,
    ErrorAnswer,
    Hello,
    JobChange,
    JobCreated,
    JobRequest,
    JobStatus,
    Presets,
    Status,
    Warm,
    WarmRequest,
)
from deepdream_core.helper.status import helper_view, job_view
from deepdream_core.helper.streams import ArrayAnswer, EventStream, read_array, read_guide
from deepdream_core.link import wire
from deepdream_core.link.npy import npy_header
from deepdream_core.link.view import View
from deepdream_core.plugin_facts import preset_facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepdream_core.helper.dispatcher import Dispatcher
    from deepdream_core.helper.job import Job
    from deepdream_core.helper.shared import SharedArray
    from deepdream_core.settings import Config

BREAKS_OFF_POLLS = 20
WINDOW = r"^[0-9]{1,7}(?:,[0-9]{1,7}){3}$"
LONGEST = 4096
"""Pixels of a view's longer side: no preview is larger."""
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
    409: "not possible now: see the code",
    411: "no Content-Length",
    413: "too large",
    422: "not valid",
    429: "try again after Retry-After seconds",
    503: "the helper is stopping, or the model cannot be loaded",
    507: "no memory",
}

JobId = Annotated[str, Path(alias="id", pattern=r"^[A-Za-z0-9_-]{22}$", description="a job's id")]


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of a call's refusals."""
    meant = {**_SAME_FOR_ALL, **{status: _MEANINGS[status] for status in statuses}}
    return {status: {"model": ErrorAnswer, "description": meaning} for status, meaning in meant.items()}


def build(
    dispatcher: Dispatcher,
    hello_again: Callable[[str | None], dict[str, Any]],
    stop: Callable[[], None],
    reload: Callable[[], Config],
) -> FastAPI:
    """Return the application.

    `hello_again` is the door's answer to `hello`, `stop` ends the helper, `reload` reads the configuration again.
    """
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
    _add_presets(app, dispatcher, reload)
    return app


def _add_incoming(app: FastAPI, dispatcher: Dispatcher) -> None:
    """Add the calls that send a picture."""

    @app.post("/v1/jobs", status_code=201, responses=_refusals(408, 411, 413, 422, 429, 503))
    async def create(request: JobRequest, response: Response) -> JobCreated:
        """Announce a picture; it is queued once everything announced has arrived."""
        job = dispatcher.create(request)
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return JobCreated(id=job.id, state=job.state.value)

    puts: dict[str, Any] = {
        "status_code": 204, "responses": _refusals(400, 404, 408, 409, 411, 413, 422, 507),
        "openapi_extra": {"requestBody": {"required": True, "content": _NPY}},
    }  # fmt: skip

    @app.put("/v1/jobs/{id}/{kind}", **puts)
    async def upload(job_id: JobId, kind: Literal["pixels", "mask", "start", "guide"], request: Request) -> None:
        """Send an array that was announced, as NPY 1.0 with a Content-Length; `guide` is the first guide."""
        await _take(dispatcher, dispatcher.find(job_id), "guide 0" if kind == "guide" else kind, request)

    @app.put("/v1/jobs/{id}/guide/{number}", **puts)
    async def upload_guide(job_id: JobId, number: Annotated[int, Path(ge=0, le=99)], request: Request) -> None:
        """Send a guide that the settings name, counted from 0: H×W×3 of at most 2 megapixels, as NPY 1.0."""
        await _take(dispatcher, dispatcher.find(job_id), f"guide {number}", request)


async def _take(dispatcher: Dispatcher, job: Job, kind: str, request: Request) -> None:
    """Take an array of a job; raises `RefusalError`."""
    for _ in range(BREAKS_OFF_POLLS):  # the end of a broken upload may not be noticed yet
        if kind not in job.uploading:
            break
        await asyncio.sleep(0.05)
    if job.state is not State.CREATED or kind in job.arrived or kind in job.uploading:
        raise RefusalError(409, "conflict", f"{kind} has already arrived, or the job has ended", "send a new job")
    if kind not in job.announced:
        raise RefusalError(409, "conflict", f"{kind} was not announced", "announce it when you create the job")
    job.uploading.add(kind)
    job.hold()
    try:
        is_guide = kind.startswith("guide")
        array = await (read_guide(request) if is_guide else read_array(request, job.announced[kind]))
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
        hold: Annotated[bool, Query(description="keep the connection open after `done`, and so the result")] = False,
    ) -> Response:
        """Send the job's events until it ends. This connection is the client's lease on the job."""
        return EventStream(dispatcher, dispatcher.find(job_id), last_event_id or 0, hold=hold)

    @app.get(
        "/v1/jobs/{id}/result", response_class=Response,
        responses={**_refusals(404, 409, 422, 507), 200: {"content": _NPY}},
    )  # fmt: skip
    async def result(
        job_id: JobId,
        so_far: Annotated[bool, Query(description="the picture so far of a job that runs")] = False,
        window: Annotated[
            str | None, Query(pattern=WINDOW, description="a part of it as uint8: x,y,width,height")
        ] = None,
        longest: Annotated[int, Query(ge=1, le=LONGEST, description="px of the part's longer side")] = LONGEST,
    ) -> Response:
        """Return the picture, in the size and type of the sent one, or a view of it for a screen."""
        job = dispatcher.find(job_id)
        view = _view(window, longest, job)
        if so_far and not job.state.ended:
            try:
                array = await dispatcher.so_far(job, view)
            except MemoryError as error:
                raise RefusalError(507, "no_memory", f"no shared memory: {error}", "close other programs") from None
            if array is not None:
                return ArrayAnswer(array, close=True)
        if job.state is State.DONE and view is not None:
            return await _viewed(job.arrived["pixels"], view)
        if job.state is State.DONE:
            return ArrayAnswer(job.arrived["pixels"])
        if job.state.ended:
            why = job.details.get("what") or f"it was cancelled ({job.details.get('why')})"
            raise RefusalError(409, "conflict", f"the job has no result: {why}", "send it again")
        raise RefusalError(409, "not_ready", f"the job is {job.state}", "follow its events")

    @app.patch("/v1/jobs/{id}", status_code=204, responses=_refusals(404, 408, 409, 411, 413, 422))
    async def change(job_id: JobId, request: JobChange) -> None:
        """Change the priority or label of a job; a finished one is then kept as others of that priority are."""
        priority = None if request.priority is None else Priority[request.priority.upper()]
        dispatcher.change(dispatcher.find(job_id), priority, request.label)

    @app.delete("/v1/jobs/{id}", status_code=204, responses=_refusals(404, 422))
    async def delete(job_id: JobId) -> None:
        """Cancel a job, or forget one that has ended."""
        job = dispatcher.find(job_id)
        if job.state.ended:
            dispatcher.forget(job)
        else:
            dispatcher.cancel(job, "asked")


def _view(window: str | None, longest: int, job: Job) -> View | None:
    """Return the view that a call asks for, None for all samples; raises `RefusalError` if it is not in the picture."""
    if window is None:
        return None
    height, width, _ = job.pixels.shape
    x, y, columns, rows = map(int, window.split(","))
    view = View(x, y, columns, rows, longest)
    if not view.within(height, width):
        raise RefusalError(
            422, "invalid", f"the window {window} is not within {width}×{height}", "ask for another part"
        )
    return view


async def _viewed(array: SharedArray, view: View) -> Response:
    from deepdream_core.helper.views import seen_in  # numpy, which the helper does not need otherwise

    samples = await asyncio.to_thread(seen_in, array, view)
    header = view.header(array.header.shape[2])
    body = npy_header(header.dtype, header.shape) + samples
    return Response(body, media_type="application/octet-stream", headers={"cache-control": "no-store"})


def _add_housekeeping(app: FastAPI, dispatcher: Dispatcher, stop: Callable[[], None]) -> None:
    """Add the calls about the helper itself."""

    @app.get("/v1/status", responses=_refusals())
    async def status() -> Status:
        """Return the workers, the memory in use and the jobs."""
        return Status(version=__version__, **helper_view(dispatcher))

    @app.post("/v1/warm", responses={**_refusals(408, 411, 413, 422, 503), 202: {"model": Warm}})
    async def warm(request: WarmRequest, response: Response) -> Warm:
        """Load the model now, so that the next job does not wait for it."""
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


def _add_presets(app: FastAPI, dispatcher: Dispatcher, reload: Callable[[], Config]) -> None:
    """Add the call that lists the presets."""

    @app.get("/v1/presets", responses=_refusals())
    async def presets() -> Presets:
        """Return the presets and defaults of config.yaml as it is now; jobs that come later may name them."""
        problem = None
        try:
            config = await asyncio.to_thread(reload)
        except DeepDreamError as error:
            problem = str(error)
        else:
            now = {"dream": config.dream, "presets": config.presets}
            dispatcher.config = dispatcher.config.model_copy(update=now)
        return Presets(**preset_facts(dispatcher.config), problem=problem)


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
        return answer(RefusalError(500, "internal", "the helper has a bug", "see its log"), request)
