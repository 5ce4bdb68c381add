#!/usr/bin/env bash
# Starts a network of four nodes in a temporary folder, runs every example against it, stops it, and re-checks every
# node's ledger. Takes the program `lian`.
set -euo pipefail
lian="$(realpath "$1")"
cd "$(dirname "$0")/.."
readonly ATTEMPTS_MAX=10

folder="$(mktemp -d)"
up=''

stop() {
  if [[ -n "$up" ]]; then
    kill -TERM "$up" 2> /dev/null || true
    wait "$up" 2> /dev/null || true
    up=''
  fi
}

finish() {
  local status=$?
  stop
  if ((status == 0)); then rm -rf "$folder"; else echo "examples: the network's folder is kept: $folder" >&2; fi
}
trap finish EXIT

# start OFFSET: starts the network at ports that nobody uses; false where somebody does.
start() {
  local line
  # The network's output comes through a pipe, so that waiting for `ready` is reading and not looking again and again.
  exec {output}< <(exec "$lian" up --dir "$folder/net" --port-offset "$1" 2> "$folder/up.err")
  up=$!
  while read -r line <&"$output"; do
    if [[ "$line" == ready ]]; then return 0; fi
  done
  up=''
  grep -q 'is in use by another program' "$folder/up.err" && return 1
  cat "$folder/up.err" >&2
  echo 'examples: the network did not start, see above' >&2
  exit 1
}

for ((attempt = 1; ; attempt++)); do
  offset=$((100 + RANDOM % 230 * 10))
  if start "$offset"; then break; fi
  if ((attempt == ATTEMPTS_MAX)); then
    echo 'examples: no free ports for a network' >&2
    exit 1
  fi
  # Made before its ports were found to be taken.
  rm -rf "$folder/net"
done

RPC_URL="http://127.0.0.1:$((8545 + offset))" WS_URL="ws://127.0.0.1:$((8545 + offset))" examples/run-all.sh
stop
for node in "$folder"/net/node*; do "$lian" verify --dir "$node" > /dev/null; done
echo 'examples: every ledger is sound'
