"""The command as users run it: real processes, real files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from conftest import events, picture_file, pixels_of
from PIL import Image
from safetensors.torch import save_file
from test_weights import state

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepdream_core.engine.weights import Weights

QUICK = ("--layer", "relu2_2", "--iterations", "2", "--octaves", "1")


def test_photo_jpg_becomes_photo_dream_jpg(
    deepdream: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    source = picture_file(tmp_path / "photo.jpg", size=(160, 130))
    answer = deepdream("dream", "photo.jpg", *QUICK, cold=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "photo.dream.jpg\n"
    for stage in (
        "reading   photo.jpg",
        "engine    VGG19 oxford on cpu",
        "octave 1/1, 160×130",
        "done      160×130 in",
    ):
        assert stage in answer.stderr
    assert pixels_of(tmp_path / "photo.dream.jpg").shape == (130, 160, 3)
    difference = np.abs(pixels_of(tmp_path / "photo.dream.jpg").astype(int) - pixels_of(source)).mean()
    assert difference > 1
    again = deepdream("dream", "photo.jpg", *QUICK)
    assert again.returncode == 4
    assert "photo.dream.jpg: exists already — give --overwrite" in again.stderr


def test_json_reports_everything(deepdream: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    picture_file(tmp_path / "a.png")
    answer = deepdream("dream", "a.png", "--json", *QUICK, "--step", "1", "--jitter", "0")
    told = events(answer)
    assert [event["event"] for event in told] == ["reading", "engine", "progress", "progress", "writing", "done", "end"]
    assert told[1]["device"] == "cpu"
    assert told[1]["weights"]["sha256"].startswith("c34748d2")
    assert told[3]["fraction"] == 1
    assert told[3]["objective"] > told[2]["objective"]
    assert told[5]["output"] == "a.dream.png"
    assert answer.stderr == ""


def test_quiet_says_nothing(deepdream: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    picture_file(tmp_path / "a.png")
    answer = deepdream("dream", "a.png", "-q", "--strength", "0")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    assert np.array_equal(pixels_of(tmp_path / "a.dream.png"), pixels_of(tmp_path / "a.png"))


def test_the_same_command_gives_the_same_bytes(
    deepdream: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    picture_file(tmp_path / "a.png")
    for name in ("one.png", "two.png"):
        assert deepdream("dream", "a.png", "-o", name, *QUICK).returncode == 0
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_several_inputs_and_a_folder_one_bad(
    deepdream: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "trip" / "day 2").mkdir(parents=True)
    picture_file(tmp_path / "trip" / "a.jpg")
    picture_file(tmp_path / "trip" / "day 2" / "a.PNG")
    picture_file(tmp_path / "trip" / "a.dream.jpg")
    (tmp_path / "trip" / ".hidden.jpg").write_text("hidden")
    (tmp_path / "trip" / "bad.png").write_bytes((tmp_path / "trip" / "day 2" / "a.PNG").read_bytes()[:500])
    picture_file(tmp_path / "b.webp")
    answer = deepdream("dream", "trip", "b.webp", "missing.jpg", "-o", "out", *QUICK)
    assert answer.returncode == 3
    results = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert results == ["a.dream.jpg", "b.dream.webp", "day 2/a.dream.PNG"]
    assert "trip/bad.png: truncated or damaged" in answer.stderr
    assert "missing.jpg: no such file" in answer.stderr
    assert "3 dreamed, 2 failed" in answer.stderr


def test_an_unreadable_file_does_not_stop_the_others(tmp_path: Path, home: dict[str, str]) -> None:
    trip = tmp_path / "trip"
    for name in ("a.png", "closed/b.png", "listed/c.png", "unread.png"):
        (trip / name).parent.mkdir(exist_ok=True, parents=True)
        picture_file(trip / name)
    (trip / "unread.png").chmod(0)
    (trip / "closed").chmod(0)
    (trip / "listed").chmod(0o400)
    drops = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    command = [*drops, sys.executable, "-m", "deepdream_core", "dream"]
    for arguments in (["trip"], ["trip/unread.png", "trip/a.png", "trip/listed/c.png", "trip/closed"]):
        answer = subprocess.run(
            [*command, *arguments, "--strength", "0", "--overwrite"], cwd=tmp_path, env=home, capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip
        assert answer.returncode == 3
        assert "1 dreamed, 3 failed" in answer.stderr
        assert "trip/unread.png: no permission to read it" in answer.stderr
        assert "trip/listed/c.png: no permission to read it" in answer.stderr
        assert "trip/closed: this folder cannot be read: Permission denied" in answer.stderr
    for folder in ("closed", "listed"):
        (trip / folder).chmod(0o700)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["recipe", "shut"], 3, "shut: no permission to read it"),
        (["dream", "a.png", "--mask", "shut"], 3, "shut: no permission to read it"),
        (["dream", "a.png", "--like", "shut"], 3, "shut: no permission to read it"),
        (["presets", "--config", "shut"], 2, "shut: Permission denied — give a readable config.yaml"),
        (["doctor", "--config", "shut"], 1, "shut: Permission denied"),
        (["explain", "shut"], 2, "shut: is not in a drop folder"),
        (["retry", "shut"], 2, "shut: is not in a drop folder"),
    ],
)
def test_an_unreadable_file_is_reported_in_our_own_words(
    tmp_path: Path, home: dict[str, str], arguments: list[str], code: int, says: str
) -> None:
    picture_file(tmp_path / "a.png")
    (tmp_path / "shut").touch(0)
    drops = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    answer = subprocess.run(
        [*drops, sys.executable, "-m", "deepdream_core", *arguments], cwd=tmp_path, env=home, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert says in answer.stdout + answer.stderr
    assert answer.returncode == code


def test_two_pictures_of_one_name_do_not_overwrite_each_other(
    deepdream: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        picture_file(tmp_path / folder / "a.png")
    answer = deepdream("dream", "one/a.png", "two/a.png", "-o", "out", "--overwrite", "--strength", "0")
    assert answer.returncode == 4
    assert "another picture of this run has that name" in answer.stderr


def test_a_mask_and_metadata_through_the_real_command(
    deepdream: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    source = picture_file(tmp_path / "a.png", size=(128, 128))
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 40:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert deepdream("dream", "a.png", "--mask", "mask.png", *QUICK).returncode == 0
    before, after = pixels_of(source), pixels_of(tmp_path / "a.dream.png")
    assert np.array_equal(before[:, :76], after[:, :76])
    assert not np.array_equal(before[:, 84:], after[:, 84:])
    Image.fromarray(mask[:, :30]).save(tmp_path / "narrow.png")
    wrong = deepdream("dream", "a.png", "--mask", "narrow.png", "--overwrite", *QUICK)
    assert wrong.returncode == 3
    assert "narrow.png: the mask is 30×64, the picture 128×128" in wrong.stderr


def broken_files(folder: Path) -> None:
    picture_file(folder / "ok.png")
    picture_file(folder / "big.png", size=(1200, 1000))
    (folder / "text.jpg").write_text("hello")
    whole = picture_file(folder / "whole.jpg", size=(300, 200)).read_bytes()
    (folder / "half.jpg").write_bytes(whole[: len(whole) // 2])
    os.mkfifo(folder / "pipe.png")
    (folder / "nothing").mkdir()
    (folder / "nothing" / "notes.txt").write_text("no pictures")
    (folder / "key.yaml").write_text("dream: {octave_scal: 1.4}")
    (folder / "type.yaml").write_text("engine: {precision: 16}")
    (folder / "range.yaml").write_text("presets: {classic: {step: -1}}")
    (folder / "limit.yaml").write_text("engine: {max_megapixels: 1}")


BAD_INPUT = [
    (["nowhere.jpg"], 3, "nowhere.jpg: no such file — "),
    (["nothing"], 3, "nothing: no pictures in this folder — "),
    (["text.jpg"], 3, "text.jpg: not a JPEG, PNG, TIFF, WebP, HEIC, AVIF, JPEG XL, GIF or BMP picture — "),
    (["half.jpg"], 3, "half.jpg: truncated or damaged "),
    (["ok.png", "--config", "key.yaml"], 2, "key.yaml: dream.octave_scal: unknown key — did you mean octave_scale?"),
    (["ok.png", "--config", "type.yaml"], 2, "engine.precision: 16 is not allowed — allowed: auto, fp32, bf16, fp16"),
    (["ok.png", "--config", "range.yaml"], 2, "presets.classic.step: -1 is not allowed — allowed: a number above 0"),
    (["ok.png", "--config", "none.yaml"], 2, "none.yaml: No such file or directory"),
    (["ok.png", "--preset", "monter"], 2, "unknown preset 'monter' — did you mean monster?"),
    (["ok.png", "--layer", "pol4"], 2, "--layer: unknown layer 'pol4' — did you mean pool4?"),
    (["ok.png", "--layer", "pool4=much"], 2, "--layer pool4=much: 'much' is not a number"),
    (["ok.png", "--octaves", "none"], 2, "--octaves: 'none' is not allowed — allowed: a whole number from 1"),
    (["ok.png", "--strength", "1.5"], 2, "--strength: 1.5 is not allowed — allowed: a number from 0 up to 1"),
    (["big.png", "--config", "limit.yaml"], 3, "big.png: 1200×1000 is 1 megapixels, the limit is 1 — if you trust"),
    (["ok.png", "--device", "cuda:99"], 6, "CUDA" if not torch.cuda.is_available() else "there is no cuda:99"),
    (["ok.png", "--device", "gpu"], 2, "--device: 'gpu' is not allowed — allowed: auto, cpu, cuda, cuda:N or mps"),
    (["ok.png", "--weights", "huge.safetensors"], 7, "NaN or infinity at pool4, octave 1, iteration 1 — "),
    (["ok.png", "--weights", "nan.safetensors"], 5, "features.2.bias (conv1_2) holds NaN or infinite values"),
    (["ok.png", "--weights", "none.pth"], 5, "no weights called 'none.pth' — "),
    (["ok.png", "--weights", "torchvision"], 5, "not here yet — run: deepdream weights fetch torchvision"),
    (["ok.png", "big.png", "-o", "one.png"], 2, "-o one.png: one file for several pictures — give a folder"),
    (["ok.png", "-o", "out.xyz"], 2, "-o out.xyz: unknown ending .xyz"),
    (["x" * 300 + ".jpg"], 3, "cannot be read: File name too long"),
    (["ok.png", "-o", "x" * 300 + ".png"], 4, "cannot be written: File name too long — choose a shorter name"),
    (["ok.png", "--weights", "x" * 300], 5, "no weights called"),
    (["pipe.png"], 3, "pipe.png: not a regular file but a pipe, socket or device"),
    (["ok.png", "--iterations", "abc"], 2, "--iterations: 'abc' is not allowed — allowed: a whole number from 1"),
    (["ok.png", "--natural", "2"], 2, "--natural: 2 is not allowed — allowed: a number from 0 up to 1"),
    (["ok.png", "--natural="], 2, "--natural: '' is not allowed — allowed: a number from 0 up to 1"),
    (["ok.png", "--step", "nan"], 2, "--step: nan is not allowed — allowed: a number above 0"),
    (["ok.png", "--seed", "9" * 5000], 2, "--seed: "),
    (["ok.png", "--nosuch"], 2, "--nosuch"),
    ([], 2, "INPUT is missing: there is nothing to dream from — name a picture or a folder, or give --noise 1024x768"),
    (["ok.png", "--noise", "64x48"], 2, "--noise 64x48 and ok.png: each is a start for the dream — give only one"),
    (["--noise", "64"], 2, "--noise '64' is not allowed — write WIDTHxHEIGHT in pixels, such as 1024x768"),
    (["--noise", "0x48"], 2, "--noise '0x48' is not allowed — write WIDTHxHEIGHT"),
    (["--noise", "64x48", "-o", "out.xyz"], 2, "-o out.xyz: unknown ending .xyz"),
    (["--noise", "64x48", "-o", "ok.png"], 4, "ok.png: exists already — give --overwrite"),
    (["--noise", "30000x30000"], 3, "noise 30000x30000 is 900 megapixels, the limit is 200"),
    (["ok.png", "--layer", "pool4", "--layer", "27"], 2, "pool4 is given twice"),
    (["ok.png", "-o", "text.jpg/out.png"], 4, "text.jpg/out.png: cannot be written: "),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "message"), BAD_INPUT, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_bad_input_is_one_line_an_exit_code_and_no_output(
    deepdream: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    oxford: Weights,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    broken_files(tmp_path)
    if "huge.safetensors" in arguments:
        huge = {
            key: value * (1e30 if key in {"features.0.weight", "features.5.weight"} else 1)
            for key, value in state(oxford).items()
        }
        save_file(huge, tmp_path / "huge.safetensors")
    if "nan.safetensors" in arguments:
        save_file({**state(oxford), "features.2.bias": torch.full((64,), float("nan"))}, tmp_path / "nan.safetensors")
    before = sorted(tmp_path.iterdir())
    answer = deepdream("dream", *arguments)
    assert answer.returncode == code, answer.stderr
    errors = [line for line in answer.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in answer.stderr
    assert sorted(path for path in tmp_path.iterdir() if path.name != "home") == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_is_never_replaced_by_the_cpu(
    deepdream: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    picture_file(tmp_path / "a.png")
    answer = deepdream("dream", "a.png", "--device", "cuda", *QUICK)
    assert answer.returncode == 6
    assert "torch sees no CUDA device here — use --device auto or cpu" in answer.stderr
    assert not (tmp_path / "a.dream.png").exists()


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_at_once_and_leaves_nothing(tmp_path: Path, home: dict[str, str], sent: signal.Signals) -> None:
    picture_file(tmp_path / "a.png", size=(200, 200))
    command = [
        sys.executable,
        "-m",
        "deepdream_core",
        "dream",
        "a.png",
        "--iterations",
        "100000",
        "--octaves",
        "1",
        "--json",
    ]
    with subprocess.Popen(
        command, cwd=tmp_path, env=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if '"iteration": 3' in line:
                break
        process.send_signal(sent)
        started = time.monotonic()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - started < 30
    assert '"stopped"' in out
    assert "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "home") == ["a.png"]


@pytest.mark.skipif(os.name != "posix", reason="other systems know no such names")
def test_odd_names(deepdream: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    for name in ("[bold]x[b].png", "line\nbreak.png", os.fsdecode(b"\xff\xfe.png"), "-dash.png", "ä é 猫.png"):
        picture_file(tmp_path / name, size=(40, 40))
        answer = deepdream("dream", "--strength", "0", "--", name)
        assert answer.returncode == 0, answer.stderr
        assert Path(tmp_path / name).with_suffix(".dream.png").exists()
        assert answer.stdout == str(Path(name).with_suffix(".dream.png")) + "\n", "byte for byte, for scripts"


def test_a_full_disk_under_the_output_is_reported(home: dict[str, str], tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "deepdream_core", "presets"]
        answer = subprocess.run(command, env=home, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert answer.returncode == 1
    assert answer.stderr == "error: output cannot be written: No space left on device\n"


def test_a_pipe_in_a_folder_is_left(deepdream: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in" / "pipe.png")
    picture_file(tmp_path / "in" / "a.png")
    answer = deepdream("dream", "in", "--strength", "0", timeout=30)
    assert answer.returncode == 0
    assert (tmp_path / "in" / "a.dream.png").exists()


def test_a_shortage_of_memory_fails_one_picture_and_not_the_others(tmp_path: Path, home: dict[str, str]) -> None:
    """Outside the tiles, where a smaller one does not help: one line, and the next picture is dreamed."""
    Image.new("RGB", (6000, 4000)).save(tmp_path / "large.png")
    picture_file(tmp_path / "small.png")
    script = (
        "import resource, torch, sys; from deepdream_core.cli.main import run;"
        "import deepdream_core.engine.engine, deepdream_core.work.batch;"
        "import deepdream_core.photo.writing, deepdream_core.photo.codecs.png;"  # libraries do not count
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize();"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 900_000_000, resource.RLIM_INFINITY));"
        "sys.argv = ['deepdream', 'dream', 'large.png', 'small.png', '--finest', '64', '--iterations', '1'];"
        "sys.exit(run())"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=home, capture_output=True, text=True, timeout=120, check=False
    )
    assert answer.returncode in {3, 6}, answer.stderr
    assert "large.png" in answer.stderr
    assert (tmp_path / "small.dream.png").exists(), answer.stderr


def test_a_wrong_ending_is_corrected(
    deepdream: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    picture_file(tmp_path / "real.png").rename(tmp_path / "fake.jpg")
    assert deepdream("dream", "fake.jpg", "--strength", "0").stdout == "fake.dream.png\n"


def test_help_version_presets_layers_and_weights(deepdream: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert "--octave-scale" in deepdream("dream", "--help").stdout
    assert deepdream("--version").stdout.startswith("deepdream 0.")
    assert "monster" in deepdream("presets").stdout
    shown = deepdream("presets", "swirls").stdout
    assert "swirls:" in shown
    assert "conv3_4: 1.0" in shown
    assert "relu4_4" in deepdream("layers").stdout
    assert "CC BY 4.0" in deepdream("weights").stdout
    unknown = deepdream("weights", "fetch", "inception")
    assert unknown.returncode == 2
    assert "weights 'inception' are not fetched" in unknown.stderr


def test_help_and_bad_options_do_not_wait_for_torch() -> None:
    for arguments in (["--help"], ["dream", "--help"], ["dream", "x.png", "--octaves", "99"], ["dream", "nowhere.png"]):
        answer = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "deepdream_core", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        imported = {
            line.rpartition("|")[2].strip() for line in answer.stderr.splitlines() if line.startswith("import time:")
        }
        assert not imported & {"torch", "torchvision", "safetensors"}, arguments
        if "--help" in arguments:
            assert not imported & {"numpy", "PIL", "yaml", "psutil"}, arguments


def test_bench_measures_and_reports_memory(deepdream: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    answer = deepdream("bench", "--memory", "640x480")
    assert "640×480, one step at full size: peak" in answer.stdout
    wrong = deepdream("bench", "--memory", "huge")
    assert wrong.returncode == 2
    assert "write WIDTHxHEIGHT" in wrong.stderr


def test_the_bench_table(capsys: pytest.CaptureFixture[str]) -> None:
    from deepdream_core.bench.engine import print_table
    from deepdream_core.machine_settings import EngineSettings

    print_table(EngineSettings(device="cpu"), repeats=1, sides=(64, 96))
    out = capsys.readouterr().out
    assert all(part in out for part in ("64×64", "96×96", "24 megapixels", "plain loop", "caricature", "relu4_2"))
