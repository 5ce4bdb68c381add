#!/usr/bin/env bash
# Says in one line which tool is missing for building Lian, and what to install.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "lian: $1" >&2
  exit 1
}

needed="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)"
command -v cargo > /dev/null && command -v rustc > /dev/null ||
  fail "cargo is missing; install Rust $needed or newer from https://rustup.rs"
found="$(rustc --version | cut -d' ' -f2)"
[[ "$(printf '%s\n' "$needed" "$found" | sort -V | head -1)" == "$needed" ]] ||
  fail "Rust $found is too old, $needed is needed; run \`rustup update\`, or install it from https://rustup.rs"
command -v cc > /dev/null ||
  fail 'a C compiler is missing; install it with `sudo apt install build-essential`'
