#!/usr/bin/env bash
# Recompiles the example contracts and compares them with the committed artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly NODE_MAJOR_MIN=20

fail() {
  echo "contracts: $1" >&2
  exit 1
}

new_enough() { command -v npm > /dev/null && node -e "process.exit(parseInt(process.versions.node) < $NODE_MAJOR_MIN ? 1 : 0)" 2> /dev/null; }

# The examples fetch a Node.js of their own where the system's is too old.
new_enough || PATH="$PWD/examples/.node/bin:$PATH"
new_enough || fail "Node.js $NODE_MAJOR_MIN or newer with npm is missing; install it, or let examples/run-all.sh fetch one"

cd contracts
if ! cmp -s node_modules/.installed package-lock.json; then
  npm ci --loglevel error --ignore-scripts || fail 'npm ci in contracts failed, see above'
  cp package-lock.json node_modules/.installed
fi
npm run --silent check
