#!/usr/bin/env bash
# Tests and measures DeepDream on this machine's GPU, within 8 minutes, and goes on after a failure.
#
# Usage: tests/cuda/run.sh [--device cuda|cuda:N|cpu] [--quick] OUT
#   OUT      a folder; it gets a summary.md, and for each stage its output as text, JSON and pictures
#   --quick  small pictures: shows only that everything runs
#
# It needs a Python (PYTHON, or python3) with torch, torchvision, numpy and scikit-image. What else is missing comes from
# the wheels in WHEELS, or .wheels, where tests/cuda/fetch.sh has put them: nothing is fetched here.
set -uo pipefail
cd "$(dirname "$0")/../.."
device=cuda quick="" out=""
while [ $# -gt 0 ]; do
    case $1 in
    --device) device=${2:?"--device needs a name"} && shift ;;
    --quick) quick=1 ;;
    -*) echo "run.sh: there is no option $1" >&2 && exit 2 ;;
    *) out=$1 ;;
    esac
    shift
done
[ -n "$out" ] || { echo "run.sh: name a folder for the results" >&2; exit 2; }
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 4
: >"$out/stages.tsv"

# A Python of its own that sees this checkout, the wheels and what is installed: the program ignores PYTHONPATH.
base=${PYTHON:-python3} wheels=${WHEELS:-.wheels} made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
"$base" -m venv --without-pip "$made/venv" || exit 1
if compgen -G "$wheels/*.whl" >/dev/null; then
    "$base" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --target "$made/wheels" "$wheels"/*.whl || exit 1
fi
python=$made/venv/bin/python
sites='import site; print("\n".join(site.getsitepackages()))'
printf '%s\n' "$PWD" "$made/wheels" "$("$base" -c "$sites")" >"$("$python" -c "$sites" | head -n 1)/deepdream.pth"
export DEEPDREAM_TEST_DEVICE=$device DEEPDREAM_TEST_QUICK=$quick PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 PYTHONUNBUFFERED=1
failed=0

# stage NAME SECONDS COMMAND ...: run it, keep its output, note how it ended, and go on. A CPU may take its time.
stage() {
    local name=$1 limit=$2 started=$SECONDS code=0
    shift 2
    [ "$device" != cpu ] || limit=0
    echo "== $name: $*"
    timeout --kill-after=10 "$limit" "$@" >"$out/$name.txt" 2>"$out/$name.err" </dev/null || code=$?
    [ -s "$out/$name.err" ] || rm -f "$out/$name.err"
    [ $code = 0 ] || { failed=1 && tail -n 20 "$out/$name.txt" "$out/$name.err" 2>/dev/null; }
    printf '%s\t%s\t%s\n' "$name" $code $((SECONDS - started)) >>"$out/stages.tsv"
}

if [ -n "$quick" ]; then
    sides=(--side 64 --side 96) sizes=(320x240) side=96 repeats=1
else
    sides=(--side 512 --side 1024 --side 2048 --side 4096) sizes=(6000x4000 10000x10000) side=1024 repeats=5
fi
case $device in cpu) precisions=(fp32) ;; *) precisions=(bf16 fp16 fp32) ;; esac
deepdream=("$python" -m deepdream_core)

stage machine 30 "$python" tests/cuda/machine.py
stage tests 210 "$python" -m pytest tests/cuda -p no:cacheprovider -rA --durations=15 --junitxml="$out/tests.xml"
for precision in "${precisions[@]}"; do
    stage "bench-$precision" 60 "${deepdream[@]}" bench --device "$device" --precision "$precision" --repeats $repeats "${sides[@]}" --json
done
for size in "${sizes[@]}"; do
    stage "memory-$size" 60 "${deepdream[@]}" bench --device "$device" --memory "$size"
done
stage profile 60 "$python" tests/cuda/profile_step.py "$device" "$side" "$out/profile.json"
stage helper 60 tests/cuda/through_helper.sh "$device" $repeats "${deepdream[@]}"
stage pictures 120 "$python" tests/cuda/pictures.py "$device" "$out/pictures" ${quick:+--quick}
"$python" tests/cuda/summary.py "$out" >"$out/summary.md" || failed=1
cat "$out/summary.md"
exit $failed
