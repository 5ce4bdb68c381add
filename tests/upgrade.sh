#!/usr/bin/env bash
# A rolling upgrade from the previous commit's program to this one, under load: tests/upgrade.sh PROGRAM
#
# Four nodes of the previous program serve clients. One after the other is stopped and started with this program, one of
# them goes back and forth once more. Then an operator switches on the versions of the protocol that only this program knows,
# and what they bring is tried. Clients, which are moved to another node while theirs is away, see no error; in the end all
# nodes have the same blocks, and this program finds every ledger sound.
#
# The previous program is that of the commit before the last one that changed the crates; with uncommitted changes, that
# of HEAD. Without the history (an archive, a shallow checkout) there is nothing to upgrade from, which is said and no failure.
set -euo pipefail
new=$(realpath "$1")
cd "$(dirname "$0")/.."
shared=$(realpath "${CARGO_TARGET_DIR:-target}")
source tests/copies.sh
# Longer takes only what hangs, on however busy a machine.
seconds_max=180

fail() {
  echo "upgrade: $1" >&2
  exit 1
}
skip() {
  echo "upgrade: passed over: $1"
  exit 0
}
command -v curl > /dev/null || fail 'curl is missing; install it with `sudo apt install curl`'
git rev-parse --quiet --verify HEAD > /dev/null 2>&1 || skip 'this is no git checkout, so there is no previous program'
sources=(crates contracts Cargo.toml Cargo.lock)
if git diff --quiet HEAD -- "${sources[@]}"; then
  last=$(git log -1 --first-parent --format=%H -- "${sources[@]}")
  previous=$(git rev-parse --quiet --verify "$last^1") || skip "the checkout is shallow: it lacks the commit before ${last:0:8}"
else
  previous=$(git rev-parse HEAD)
fi
# Only what every later program can upgrade from: members that the chain names.
git cat-file -e "$previous:crates/lian/src/verbs/gov.rs" 2> /dev/null || skip "${previous:0:8} has no operators"

# The previous program, linked with the dependencies that the workspace has compiled already.
copy=$shared/upgrade/workspace
export CARGO_TARGET_DIR=$shared/upgrade/target
fresh=$shared/upgrade/fresh
rm -rf "$fresh"
mkdir -p "$fresh"
git archive "$previous" | tar --extract --directory="$fresh"
renew "$fresh" "$copy"
share_dependencies "$shared"
echo "upgrade: building the program of ${previous:0:8}"
# As the tests do, whose features the compiled dependencies have.
(cd "$copy" && cargo test --release --locked --workspace --test lian --no-run --quiet)
old=$CARGO_TARGET_DIR/release/lian

folder=$(mktemp -d)
network="127.$((RANDOM % 200 + 20)).$((RANDOM % 250)).1"
pids=()
clients=()
finish() {
  touch "$folder/stop"
  local pid
  for pid in "${pids[@]}"; do [ -z "$pid" ] || kill -9 "$pid" 2> /dev/null || true; done
  # The shell would name each that is killed.
  wait 2> /dev/null || true
  rm -rf "$folder"
}
trap finish EXIT

"$old" init --dir "$folder/net" --host "$network:4" > "$folder/said"
key=$(cat "$folder/net/ca/operator.key")
# All listeners on an address that no other network here has.
sed -i "s/127\.0\.0\.1:/$network:/" "$folder"/net/node*/config.toml
url() { echo "http://$network:$((8545 + $1))"; }

start() {
  "$2" node --config "$folder/net/node$1/config.toml" >> "$folder/node$1.log" 2>&1 < /dev/null &
  pids[$1]=$!
}
stop() {
  kill "${pids[$1]}"
  wait "${pids[$1]}" || fail "node$1 did not end well: $(tail -n 1 "$folder/node$1.log")"
  pids[$1]=
}
# Waits until something holds.
await() {
  local what=$1 end=$((SECONDS + seconds_max))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || fail "after $seconds_max s still not so: $what; $(tail -n 2 "$folder"/node*.log)"
    if [ -e "$folder/failed" ]; then fail "a client met an error: $(cat "$folder/failed")"; fi
    sleep 0.2
  done
}
is_ready() {
  kill -0 "${pids[$1]}" 2> /dev/null || fail "node$1 has ended: $(tail -n 1 "$folder/node$1.log")"
  curl --fail --silent "http://$network:$((9545 + $1))/ready" > "$folder/ready"
}
wait_ready() { await "node$1 is ready" is_ready "$1"; }

# Sends one transaction after the other to the node that the file names, and counts those that are final. It is the
# previous program, too: clients are upgraded when their owners like.
client() {
  local number=$1 node count=0 own
  own=$(printf '0x%064x' $((0x3000 + number)))
  while [ ! -e "$folder/stop" ]; do
    node=$(cat "$folder/route$number")
    if ! "$old" send 0x7777777777777777777777777777777777777777 --private-key "$own" --rpc-url "$(url "$node")" \
      > "$folder/sent$number" 2>&1; then
      [ -e "$folder/stop" ] || { echo "node$node: $(tail -n 1 "$folder/sent$number")" > "$folder/failed"; return; }
    fi
    count=$((count + 1))
    echo "$count" > "$folder/count$number.new"
    mv "$folder/count$number.new" "$folder/count$number"
  done
}
has_sent() { [ "$(cat "$folder/count$1")" -ge "$2" ]; }
# Waits until a client has sent some more transactions; the first may have begun before.
wait_sent() {
  local goal=$(($(cat "$folder/count$1") + $2))
  await "client $1 goes on" has_sent "$1" "$goal"
}
route() {
  echo "$2" > "$folder/route$1.new"
  mv "$folder/route$1.new" "$folder/route$1"
  wait_sent "$1" 2
}
# Brings a node to a program while the others serve its client.
replace() {
  route "$1" $((($1 + 1) % 4))
  stop "$1"
  start "$1" "$2"
  wait_ready "$1"
  route "$1" "$1"
}

for node in 0 1 2 3; do start "$node" "$old"; done
for node in 0 1 2 3; do wait_ready "$node"; done
for number in 0 1 2 3; do
  echo "$number" > "$folder/route$number"
  echo 0 > "$folder/count$number"
  client "$number" &
  clients+=($!)
done
for number in 0 1 2 3; do wait_sent "$number" 2; done
for node in 0 1 2 3; do replace "$node" "$new"; done

# And back, where the previous program knows the formats on disk; where it does not, it must say so and change nothing.
route 0 1
stop 0
start 0 "$old"
is_decided() {
  ! kill -0 "${pids[0]}" 2> /dev/null || curl --fail --silent "http://$network:9545/ready" > "$folder/ready"
}
await 'node0 is ready, or refuses' is_decided
if kill -0 "${pids[0]}" 2> /dev/null; then
  route 0 0
  route 0 1
  stop 0
else
  tail -n 1 "$folder/node0.log" | grep -q 'this program knows' || fail "node0 went back: $(tail -n 1 "$folder/node0.log")"
  echo 'upgrade: the previous program does not know the formats of this one, and says so'
fi
start 0 "$new"
wait_ready 0
route 0 0

# An operator's act is a transaction of another kind.
"$new" gov set-parameter block_transactions_max 5000 --private-key "$key" --rpc-url "$(url 2)" > "$folder/said"

# Which version of the protocol a program knows; it says so when it refuses one that is beyond.
knows() {
  { "$1" gov set-parameter protocol_version 18446744073709551615 --private-key "$key" 2>&1 || true; } |
    sed -n 's/.*knows protocol versions up to \([0-9]*\):.*/\1/p'
}
height() { "$new" status --rpc-url "$(url "$1")" --json | sed -n 's/.*"height": *\([0-9]*\).*/\1/p' | sort -n | tail -n 1; }
is_at() { [ "$(height 0)" -ge "$1" ]; }

# Now that all nodes know the new rules, an operator switches them on, version by version, while clients go on.
version=$(knows "$old") latest=$(knows "$new")
[ -n "$version" ] && [ -n "$latest" ] || fail 'a program does not say which versions of the protocol it knows'
if [ "$version" = "$latest" ]; then
  echo "upgrade: both programs know version $version of the protocol and no other: nothing to switch on"
fi
while [ "$version" -lt "$latest" ]; do
  version=$((version + 1))
  "$new" gov set-parameter protocol_version "$version" --private-key "$key" --rpc-url "$(url 1)" > "$folder/said"
  first=$(sed -n 's/^acts from block *//p' "$folder/said")
  await "version $version of the protocol acts" is_at "$first"
  echo "upgrade: version $version of the protocol acts from block $first on"
  # What a version brings must work on a chain that is older.
  if [ "$version" = 1 ]; then
    {
      "$new" asset create UPGRADE 'Made on an older chain' --private-key "$key" --rpc-url "$(url 0)"
      "$new" asset issue UPGRADE 0x7777777777777777777777777777777777777777 12.50 --private-key "$key" --rpc-url "$(url 0)"
      "$new" asset statement UPGRADE 0x7777777777777777777777777777777777777777 --rpc-url "$(url 0)"
    } > "$folder/said" 2>&1 || fail "the asset ledger: $(cat "$folder/said")"
    grep -q '1 entries, which add up' "$folder/said" || fail "the asset ledger: $(cat "$folder/said")"
  fi
  # The operator keeps its say, as the only member.
  if [ "$version" = 2 ]; then
    {
      own=$("$new" send 0x7777777777777777777777777777777777777777 --private-key "$key" --rpc-url "$(url 0)" --json |
        sed -n 's/.*"from": *"\([^"]*\)".*/\1/p')
      "$new" gov establish --participation 50 --approval 60 "$own=bank0:1" --private-key "$key" --rpc-url "$(url 0)"
      "$new" gov set-parameter block_transactions_max 4000 --private-key "$key" --rpc-url "$(url 3)"
    } > "$folder/said" 2>&1 || fail "the committee: $(cat "$folder/said")"
    grep -q '^state *executed' "$folder/said" || fail "the committee: $(cat "$folder/said")"
  fi
  if [ "$version" = 3 ]; then
    {
      "$new" gov grant user 0x7777777777777777777777777777777777777777 --private-key "$key" --rpc-url "$(url 0)"
      "$new" gov holders user --rpc-url "$(url 2)"
    } > "$folder/said" 2>&1 || fail "the permissions: $(cat "$folder/said")"
    [ "$(tail -n 1 "$folder/said")" = 0x7777777777777777777777777777777777777777 ] || fail "the permissions: $(cat "$folder/said")"
  fi
  if [ "$version" = 4 ]; then
    {
      "$new" deploy contracts/artifacts/BoxV1.json --name box --version 1 --private-key "$key" --rpc-url "$(url 0)"
      "$new" send box 'store(uint256)' 42 --private-key "$key" --rpc-url "$(url 1)"
      "$new" call box 'value()(uint256)' --rpc-url "$(url 2)"
    } > "$folder/said" 2>&1 || fail "the names: $(cat "$folder/said")"
    [ "$(tail -n 1 "$folder/said")" = 42 ] || fail "the names: $(cat "$folder/said")"
  fi
  if [ "$version" = 5 ]; then
    {
      "$new" ca issue root Successor --out "$folder/successor"
      "$new" ca add "$folder/successor.pem" --every-institution --private-key "$key" --rpc-url "$(url 3)"
    } > "$folder/said" 2>&1 || fail "the authorities: $(cat "$folder/said")"
    is_known() { "$new" ca list --rpc-url "$(url 1)" | grep -q Successor; }
    await 'a node believes the new authority' is_known
  fi
done
touch "$folder/stop"
for pid in "${clients[@]}"; do wait "$pid"; done
[ ! -e "$folder/failed" ] || fail "a client met an error: $(cat "$folder/failed")"

top=$(height 0)
has_block() { "$new" block "$top" --rpc-url "$(url "$1")" --json > "$folder/block$1" 2> "$folder/said"; }
for node in 0 1 2 3; do
  await "node$node has block $top" has_block "$node"
  cmp -s "$folder/block0" "$folder/block$node" || fail "node$node has another block $top than node0"
done
grep -q stateRoot "$folder/block0" || fail "no block: $(cat "$folder/block0")"
for node in 0 1 2 3; do stop "$node"; done
for node in 0 1 2 3; do "$new" verify --dir "$folder/net/node$node" > "$folder/said" || fail "node$node: $(cat "$folder/said")"; done
sent=0
for number in 0 1 2 3; do sent=$((sent + $(cat "$folder/count$number"))); done
echo "upgrade: from ${previous:0:8}, $sent transactions without an error, $top equal blocks"
