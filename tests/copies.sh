# Copies of the workspace with other sources, which are linked with the dependencies that the workspace has compiled.
# To be sourced. CARGO_TARGET_DIR is the copy's own target folder: what is compiled from a copy must never pass for the
# workspace's own.

# Makes a copy like a folder of fresh sources: renew FRESH COPY. Files that differ are written anew and no others, so that
# only what has changed is compiled again. Our own crates are built with less optimisation: in a third of the time, and
# fast enough.
renew() {
  local fresh=$1 copy=$2 file
  mkdir -p "$fresh/.cargo" "$copy"
  for file in "$fresh"/crates/*/Cargo.toml "$fresh"/fuzz/Cargo.toml; do
    sed -n 's/^name = "\(.*\)"$/[profile.release.package.\1]\nopt-level = 1/p' "$file" | head -n 2
  done > "$fresh/.cargo/config.toml"
  (cd "$copy" && find . -type f -print0) | while IFS= read -r -d '' file; do
    [ -f "$fresh/$file" ] || rm "$copy/$file"
  done
  (cd "$fresh" && find . -type f -print0) | while IFS= read -r -d '' file; do
    if ! cmp -s "$fresh/$file" "$copy/$file"; then
      mkdir -p "$(dirname "$copy/$file")"
      cp "$fresh/$file" "$copy/$file"
    fi
  done
}

# Links the crates of others that a target folder has compiled into CARGO_TARGET_DIR: share_dependencies TARGET.
share_dependencies() {
  local part from to
  for part in .fingerprint build deps; do
    from=$1/release/$part to=$CARGO_TARGET_DIR/release/$part
    mkdir -p "$to"
    [ -d "$from" ] || continue
    comm -23 <(find "$from" -mindepth 1 -maxdepth 1 ! -name 'lian*' ! -name 'liblian*' -printf '%f\n' | sort) \
      <(find "$to" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort) |
      if [ "$part" = deps ]; then grep '^lib' || true; else cat; fi |
      (cd "$from" && xargs --no-run-if-empty cp --archive --link --target-directory="$to")
  done
}
