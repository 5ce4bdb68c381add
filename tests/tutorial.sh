#!/usr/bin/env bash
# Runs every command of docs/tutorial.md, in order, against four processes of its own: tests/tutorial.sh PROGRAM
#
# Blocks ```console run in this shell, so that variables stay; ```console network starts the network in place of `make up`;
# ```console load goes on beside the others, and its shown lines are waited for. What a command prints must be what is shown,
# where a line `…` stands for any lines and `…` in a line for any text. One that is shown to print an error must fail.
set -uo pipefail
export LC_ALL=C
program=$(realpath "$1")
cd "$(dirname "$0")/.." || exit 1
root=$PWD
readonly NODE_MAJOR_MIN=20
new_enough() { command -v npm > /dev/null && node -e "process.exit(parseInt(process.versions.node) < $NODE_MAJOR_MIN ? 1 : 0)" 2> /dev/null; }
# The examples fetch a Node.js of their own where the system's is too old.
new_enough || PATH="$root/examples/.node/bin:$PATH"
if ! new_enough; then
  echo "tutorial: Node.js $NODE_MAJOR_MIN or newer with npm is missing; install it, or let examples/run-all.sh fetch one" >&2
  exit 1
fi
# Nothing takes longer on however busy a machine.
readonly SECONDS_MAX=120
readonly ATTEMPTS_MAX=10

folder=$(mktemp -d)
mkdir -p "$folder/target/release"
ln -s "$program" "$folder/target/release/lian"
ln -s "$root/contracts" "$root/examples" "$folder/"
up='' load='' number=0
unset LIAN_RPC_URL LIAN_PRIVATE_KEY

stop() {
  local pid
  for pid in $load $up; do
    kill -TERM "$pid" 2> /dev/null && wait "$pid" 2> /dev/null
  done
  load='' up=''
}
trap 'stop; rm -rf "$folder"' EXIT

fail() {
  echo "tutorial: line $number of docs/tutorial.md: $1" >&2
  [[ ! -e "$2" ]] || tail -n 40 "$2" >&2
  exit 1
}

# shows SHOWN OUTPUT: the lines of OUTPUT are those of SHOWN.
shows() {
  local -a shown got
  local line pattern skips='' at=0
  mapfile -t shown < <(sed 's/ *$//' "$1")
  mapfile -t got < <(sed 's/ *$//' "$2")
  for line in "${shown[@]}"; do
    if [[ "$line" == … ]]; then
      skips=1
      continue
    fi
    pattern=$(sed 's/[][*?\\!]/\\&/g; s/…/*/g' <<< "$line")
    while ((at < ${#got[@]})) && [[ -n "$skips" && "${got[at]}" != $pattern ]]; do at=$((at + 1)); done
    # shellcheck disable=SC2053 # the right side is a pattern
    ((at < ${#got[@]})) && [[ "${got[at]}" == $pattern ]] || return 1
    at=$((at + 1)) skips=''
  done
  [[ -n "$skips" ]] || ((at == ${#got[@]}))
}

start_network() {
  local attempt offset line
  for ((attempt = 1; attempt <= ATTEMPTS_MAX; attempt++)); do
    offset=$((2500 + RANDOM % 300 * 10))
    exec {output}< <(exec "$program" up --dir "$folder/net" --port-offset "$offset" 2> "$folder/up.err")
    up=$!
    while read -r line <&"$output"; do
      [[ "$line" != ready ]] || break
    done
    if [[ "${line:-}" == ready ]]; then
      export LIAN_RPC_URL="http://127.0.0.1:$((8545 + offset))" RPC_URL="http://127.0.0.1:$((8545 + offset))"
      return
    fi
    grep -q 'is in use by another program' "$folder/up.err" || fail 'the network did not start' "$folder/up.err"
    rm -rf "$folder/net"
  done
  fail 'no free ports for a network' "$folder/up.err"
}

# Waits until the load has printed a line.
await() {
  local pattern deadline=$((SECONDS + SECONDS_MAX))
  pattern=$(sed 's/[][*.\\^$]/\\&/g; s/…/.*/g' <<< "$1")
  until grep -qx -- "$pattern" "$folder/load"; do
    ((SECONDS < deadline)) || fail "the load did not print \`$1\`" "$folder/load"
    kill -0 "$load" 2> /dev/null || grep -qx -- "$pattern" "$folder/load" || fail 'the load ended' "$folder/load"
    sleep 0.1
  done
}

# Checks the command that ran last against what is shown below it.
check() {
  [[ -n "$command" ]] || return 0
  if [[ "$(head -c 6 "$folder/shown")" == 'lian: ' ]]; then
    ((status != 0)) || fail "\`$command\` succeeded" "$folder/output"
  else
    ((status == 0)) || fail "\`$command\` failed" "$folder/output"
  fi
  [[ ! -s "$folder/shown" ]] || shows "$folder/shown" "$folder/output" || fail "\`$command\` printed something else" "$folder/output"
  commands=$((commands + 1)) command=''
}

cd "$folder" || exit 1
mapfile -t document < "$root/docs/tutorial.md"
block='' command='' status=0 commands=0
for text in "${document[@]}"; do
  number=$((number + 1))
  case $block:$text in
    :'```console'*) block=${text#'```'} ;;
    :*) ;;
    *:'```') check && block='' ;;
    'console network:$ make up') start_network ;;
    'console network:'*) ;;
    'console load:$ npm start'*)
      # Not through npm, which would not pass on that it is to end.
      node examples/tutorial/load.mjs > "$folder/load" 2>&1 < /dev/null &
      load=$!
      ;;
    # Where the folder really is: npm takes one behind a link for another package.
    'console load:$ '*) (cd "$root" && eval "${text#'$ '}") > "$folder/output" 2>&1 < /dev/null || fail "\`$text\` failed" "$folder/output" ;;
    'console load:…') ;;
    'console load:'*) await "$text" ;;
    'console:$ '*)
      check
      command=${text#'$ '} status=0
      : > "$folder/shown"
      eval "$command" > "$folder/output" 2>&1 < /dev/null || status=$?
      ;;
    console:*) echo "$text" >> "$folder/shown" ;;
  esac
done

wait "$load" || fail 'the load failed' "$folder/load"
load=''
stop
for node in net/node*/; do "$program" verify --dir "$node" > "$folder/output" 2>&1 || fail "the ledger of $node" "$folder/output"; done
echo "tutorial: $commands commands did what docs/tutorial.md shows, no call failed during the canary, and every ledger is sound"
