#!/usr/bin/env bash
# Measures how long sending a picture through a helper takes, with a helper of its own. Arguments: device, repeats, the command.
set -euo pipefail
device=$1 repeats=$2
shift 2
folder=$(mktemp -d)
export DEEPDREAM_RUNTIME_DIR=$folder DEEPDREAM_STATE_DIR=$folder
printf 'engine: {device: "%s"}\n' "$device" >"$folder/config.yaml"
"$@" helper --config "$folder/config.yaml" 2>"$folder/log" &
trap 'kill $! 2>/dev/null; wait; rm -rf "$folder"' EXIT
for _ in $(seq 600); do [ -e "$folder/endpoint.json" ] && break || sleep 0.1; done
"$@" bench --via-helper --repeats "$repeats"
