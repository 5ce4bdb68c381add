#!/usr/bin/env bash
# Plants bugs into a copy of the workspace, one at a time, and checks that each is caught.
#
#   mutants/run.sh              all of them
#   mutants/run.sh 03 torn      those whose names contain a word
#
# A mutant is a patch. Above its diff it says in words what is wrong, and in lines `Check:` what must find it; every
# check must fail for the mutant to count as caught:
#
#   Check: sim 0..60                 a simulator seed of this range
#   Check: test pbft steps::         an integration test of a crate, or those whose names hold a word
#   Check: lib pbft choice::         a unit test of a crate, likewise
#
# Before anything is planted, every check is run once on the copy as it is and must pass: what fails anyway catches
# nothing. Compiled dependencies are shared with the workspace's own target folder.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
copy=$CARGO_TARGET_DIR/mutants/workspace
log=$CARGO_TARGET_DIR/mutants/log

wanted() {
    [ $# -eq 1 ] && return 0
    local name=$1 word
    shift
    for word in "$@"; do [[ $name == *"$word"* ]] && return 0; done
    return 1
}

patches=()
for patch in "$root"/mutants/*.patch; do
    name=$(basename "$patch" .patch)
    if [ $# -eq 0 ] || wanted "$name" "$@"; then patches+=("$patch"); fi
done
[ ${#patches[@]} -gt 0 ] || { echo "no mutant has such a name" >&2; exit 2; }

# Files that differ are written anew and no others, so that only what has changed is compiled again.
mkdir -p "$copy" "$log"
(cd "$root" && git ls-files -z --cached --others --exclude-standard -- Cargo.toml Cargo.lock crates contracts fuzz) |
    while IFS= read -r -d '' file; do
        if [ -f "$root/$file" ] && ! cmp -s "$root/$file" "$copy/$file"; then
            mkdir -p "$copy/$(dirname "$file")"
            cp "$root/$file" "$copy/$file"
        fi
    done
cd "$copy"

# What is compiled here passes for the workspace's own, which would then not notice what is edited there.
own=()
for crate in crates/*/; do own+=(--package "$(sed -n 's/^name = "\(.*\)"$/\1/p' "$crate/Cargo.toml" | head -n 1)"); done
trap 'cargo clean --quiet --release "${own[@]}"' EXIT

# The features of the whole workspace, so that nothing which is compiled already is compiled again.
build() { cargo "$1" --quiet --release --locked "${@:2}"; }

# Builds what a check needs. 0 where it compiles.
compile() {
    case $1 in
        sim) build build --workspace --example sim ;;
        test) build test --workspace --test "$2" --no-run ;;
        lib) build test --package lian --package "lian-$2" --lib --no-run ;;
        *) echo "unknown check: $*" >&2; return 1 ;;
    esac
}

# Runs a check. 0 where it passes.
check() {
    case $1 in
        sim) "$CARGO_TARGET_DIR/release/examples/sim" --seeds "$2" --first-failure ;;
        test) build test --workspace --test "$2" -- "${3:-}" ;;
        lib) build test --package lian --package "lian-$2" --lib -- "${3:-}" ;;
    esac
}

# Of several ranges of seeds the widest alone; all begin at 0.
widest() { sort -u | sort -t. -k3nr | awk '!(/^sim / && seen++)'; }

checks_of() { sed -n '/^diff /q; s/^Check: //p' "$1"; }

echo "The checks on the code as it is:"
failed=0
while read -r line; do
    # Words of a check are separate arguments.
    # shellcheck disable=SC2086
    if compile $line >"$log/clean" 2>&1 && check $line >>"$log/clean" 2>&1; then
        echo "  passes: $line"
    else
        echo "  FAILS:  $line"
        tail -n 20 "$log/clean"
        failed=1
    fi
done < <(for patch in "${patches[@]}"; do checks_of "$patch"; done | widest)
[ "$failed" -eq 0 ] || { echo "a check that fails without a mutant proves nothing"; exit 1; }

caught=0
missed=()
for patch in "${patches[@]}"; do
    name=$(basename "$patch" .patch)
    patch --quiet --strip=1 <"$patch"
    outcome=caught
    while read -r line; do
        # shellcheck disable=SC2086
        if ! compile $line >"$log/$name" 2>&1; then
            outcome="does not compile, see $log/$name"
        elif check $line >>"$log/$name" 2>&1 </dev/null; then
            outcome="MISSED by: $line"
        fi
        [ "$outcome" = caught ] || break
    done < <(checks_of "$patch")
    patch --quiet --strip=1 --reverse <"$patch"
    echo "$name: $outcome"
    if [ "$outcome" = caught ]; then caught=$((caught + 1)); else missed+=("$name"); fi
done

echo "$caught of ${#patches[@]} mutants caught"
[ ${#missed[@]} -eq 0 ]
