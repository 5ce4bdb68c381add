#!/usr/bin/env bash
# Runs every block of commands in docs/operations.md, in order: tests/operations.sh PROGRAM
#
# A block ```sh runs on the first node's host, a block ```sh node1 node2 once on the host of each, with $NODE set. Blocks of
# any other language are listed and not run. All hosts are this machine: 10.0.0.N stands for an address 127.x.y.N of its own,
# and 127.0.0.1 for that of the host that a block runs on, which is where its node's listeners are moved to. systemctl,
# sudo, useradd and chown are stand-ins below, and the folders of the system are folders of the test.
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "$0")/.."
document=$PWD/docs/operations.md
# A block that takes longer, on however busy a machine, hangs.
seconds_max=300

fail() {
  echo "operations: $1" >&2
  exit 1
}
command -v curl > /dev/null || fail 'curl is missing; install it with `sudo apt install curl`'

folder=$(mktemp -d)
mkdir "$folder"/{bin,tools,units,lib,run,blocks,desk}
network="127.$((RANDOM % 200 + 20)).$((RANDOM % 250))"

stop_all() {
  local file
  for file in "$folder"/run/*.pid; do
    if [ -e "$file" ]; then "$folder/tools/systemctl" stop "$(basename "$file" .pid)"; fi
  done
}
trap 'stop_all; rm -rf "$folder"' EXIT

# What stands in for the system. `systemctl` runs what the unit's ExecStart says, and its logs are beside its process id.
tool() { cat > "$folder/tools/$1" && chmod +x "$folder/tools/$1"; }
tool sudo <<< '#!/usr/bin/env bash
exec "$@"'
tool useradd <<< '#!/bin/true'
tool chown <<< '#!/bin/true'
tool systemctl << TOOL
#!/usr/bin/env bash
set -euo pipefail
verb=\$1
[ "\$2" != --now ] || shift
unit=\$2
name=\${unit#lian@}
run=$folder/run/\$unit
case \$verb in
  start | enable)
    command=\$(sed -n 's/^ExecStart=//p' "$folder/units/lian@.service")
    command=\${command//%i/\$name}
    command=\${command//\/usr\/local\/bin/$folder/bin}
    cd "$folder/lib/\$name"
    # No variable of whoever starts it reaches a service.
    setsid env --unset=LIAN_PRIVATE_KEY \${command//\/var\/lib\/lian/$folder/lib} >> "\$run.log" 2>&1 < /dev/null &
    echo \$! > "\$run.pid"
    ;;
  stop | disable)
    pid=\$(cat "\$run.pid")
    kill "\$pid"
    # A process that somebody else has started is not waited for by the shell.
    while kill -0 "\$pid" 2> /dev/null; do sleep 0.1; done
    rm "\$run.pid"
    ;;
  *)
    echo "systemctl \$verb is not known here" >&2
    exit 1
    ;;
esac
TOOL

# Cuts the document into blocks: NUMBER.LINE with the hosts in a file beside it.
awk -v folder="$folder/blocks" '
  /^```/ && !inside { inside = 1; language = substr($1, 4); name = sprintf("%s/%03d", folder, ++count)
    if (language == "") { print "operations: line " FNR " begins a block without a language" > "/dev/stderr"; exit 1 }
    $1 = ""; print language $0 > (name ".head"); printf "" > (name ".body"); line = FNR; next }
  /^```/ { inside = 0; print line > (name ".line"); close(name ".body"); next }
  inside { print > (name ".body") }' "$document"

packaging/release.sh "$program" "$folder/desk" > "$folder/archive"
again=$(mktemp -d -p "$folder")
packaging/release.sh "$program" "$again" > /dev/null
cmp "$(cat "$folder/archive")" "$again"/*.tar.gz || fail 'the same program gives two different archives'

# The number of a node's host.
host_of() {
  local number=${1#node}
  echo $((${number%%[a-z]*} + 1))
}

# Moves what each node listens on to the address of its host.
adjust() {
  local config address
  for config in "$folder"/desk/net/*/config.toml; do
    [ -e "$config" ] || continue
    address=$(sed -n 's/^listen = "\(127\.[0-9.]*\):303[0-9][0-9]"/\1/p' "$config")
    sed -i "s/127\.0\.0\.1:/$address:/" "$config"
  done
}

touch "$folder/environment"
run() {
  local body=$1 node=$2 address
  address=$network.$(host_of "$node")
  {
    cat "$folder/environment"
    sed -e "s/127\.0\.0\.1/$address/g; s/10\.0\.0\./$network./g" \
      -e "s|/var/lib/lian|$folder/lib|g; s|/usr/local/bin|$folder/bin|g; s|/etc/systemd/system|$folder/units|g" "$body"
    echo "export -p | grep LIAN_PRIVATE_KEY > $folder/environment || true"
  } > "$folder/script"
  (cd "$folder/desk" && PATH="$folder/tools:$folder/bin:$PATH" NODE=$node LIAN_RPC_URL="http://$address:8545" \
    timeout "$seconds_max" bash -euo pipefail "$folder/script") > "$folder/output" 2>&1
}

unset LIAN_RPC_URL LIAN_PRIVATE_KEY LIAN_KEY_PASSPHRASE
count=0
for head in "$folder"/blocks/*.head; do
  block=${head%.head}
  read -r language nodes < "$head"
  if [ "$language" != sh ]; then
    echo "operations: not run: the $language block at line $(cat "$block.line")"
    continue
  fi
  for node in ${nodes:-node0}; do
    status=0
    run "$block.body" "$node" || status=$?
    if [ "$status" != 0 ]; then
      tail -n 5 "$folder"/run/*.log >&2 || true
      echo "the block at line $(cat "$block.line") failed for $node (exit status $status):" >&2
      cat "$block.body" "$folder/output" >&2
      exit 1
    fi
    count=$((count + 1))
  done
  adjust
done

stop_all
for node in "$folder"/lib/*; do "$folder/bin/lian" verify --dir "$node" > /dev/null; done
echo "operations: $count blocks did what docs/operations.md says, and every ledger is sound"
