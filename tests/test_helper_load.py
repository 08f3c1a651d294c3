"""The helper under load: a thousand jobs from eight programs, and nothing that grows."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from helper_process import Helper, memory_of, running_helper, until

pytestmark = pytest.mark.slow("soaks")

CLIENTS, JOBS = 8, 125
GROWTH_MB = 5
"""What allocators may keep without anything leaking: 800 pictures of 32 px take 2.5 MB, one leaked each would show in
shared memory and file descriptors first."""

PROGRAM = """
    import sys
    sys.path.insert(0, {tests!r})
    from helper_process import QUICK, followed, submitted
    from deepdream_core.link import client
    helper = client.connect(endpoint_file={endpoint!r}, client=sys.argv[1])
    pictures = set()
    for _ in range({jobs}):
        job = submitted(helper, settings={{**QUICK, "layers": {{"relu1_2": 1.0}}}})
        events = followed(job)
        assert events[-1].name == "done", events
        pictures.add(bytes(job.result()))
        job.forget()
        print("done", flush=True)
    assert len(pictures) == 1
"""


class Held(NamedTuple):
    """What the helper and its worker hold."""

    helper_mb: float
    worker_mb: float
    helper_files: int
    worker_files: int
    threads: int


def held(helper: Helper) -> Held:
    """Look at both processes; their pages that others share are not counted."""
    worker_pid = helper.worker_pid()
    assert worker_pid is not None
    both = psutil.Process(helper.process.pid), psutil.Process(worker_pid)
    first, second = (process.memory_full_info().uss / 1e6 for process in both)
    return Held(first, second, both[0].num_fds(), both[1].num_fds(), both[0].num_threads())


def test_a_thousand_jobs_of_eight_programs_are_all_done_and_nothing_grows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = textwrap.dedent(PROGRAM)
    with running_helper(tmp_path) as helper:
        helper.client().warm()
        program = source.format(tests=str(Path(__file__).parent), endpoint=str(helper.endpoint_file), jobs=JOBS)
        outputs = [tmp_path / f"client-{number}" for number in range(CLIENTS)]
        began = time.monotonic()
        clients = []
        for path in outputs:
            with path.open("wb") as output, (tmp_path / "errors").open("ab") as errors:
                clients.append(
                    subprocess.Popen([sys.executable, "-c", program, path.name], stdout=output, stderr=errors)
                )

        def answered() -> int:
            return sum(path.read_bytes().count(b"done") for path in outputs)

        until(lambda: answered() >= 200, 120, pause_s=0.1)
        early = held(helper)
        assert [process.wait(240) for process in clients] == [0] * CLIENTS, (tmp_path / "errors").read_text()
        seconds = time.monotonic() - began
        assert answered() == CLIENTS * JOBS
        until(lambda: not helper.status()["jobs"], 5)
        late = held(helper)
        with capsys.disabled():
            print(f"\n{CLIENTS * JOBS} jobs in {seconds:.0f} s; after 200: {early}, at the end: {late}")
        assert late.helper_mb - early.helper_mb < GROWTH_MB
        assert late.worker_mb - early.worker_mb < GROWTH_MB
        assert late.helper_files <= early.helper_files
        assert late.worker_files <= early.worker_files
        assert late.threads <= early.threads + CLIENTS
        assert not memory_of(helper.process.pid)
        assert helper.status()["memory_bytes"] == 0
