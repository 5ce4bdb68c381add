#!/usr/bin/env bash
# Plants bugs into a copy of the workspace and checks that each is caught.
#
#   mutants/run.sh              all of them
#   mutants/run.sh 03 torn      those whose names contain a word
#
# A mutant is a patch whose name begins with its number. It keeps the right code and adds the wrong code beside it, which
# runs where `lian_types::mutant("NN")` is true (in lian-types `crate::mutant`): a function that the copy alone has. All
# patches are applied to one copy, each on top of those before it, and compiled once; then LIAN_MUTANT=NN switches one on.
# Above its diff a patch says in words what is wrong, and in lines `Check:` what must find it. Every check must fail for
# the mutant to count as caught, and must pass without it. For example:
#
#   A vote is sent without any record of it.
#   Check: test pbft steps::
#
#   diff --git a/crates/pbft/src/machine/normal.rs b/crates/pbft/src/machine/normal.rs
#   ...
#   -        records.push(Record::Vote(signed));
#   +        if !lian_types::mutant("03") {
#   +            records.push(Record::Vote(signed));
#   +        }
#
# There are three kinds of checks. Each should take seconds: one test by its name, a few seeds.
#
#   Check: sim 0..20                 a simulator seed of this range
#   Check: test pbft steps::         an integration test of a crate, or those whose names hold a word
#   Check: lib pbft choice::         a unit test of a crate, likewise
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
shared=${CARGO_TARGET_DIR:-$root/target}
work=$shared/mutants
copy=$work/workspace
log=$work/log
export CARGO_TARGET_DIR=$work/target
# A check that takes longer has proved nothing.
seconds_max=300
source "$root/tests/copies.sh"

wanted() {
    [ $# -eq 1 ] && return 0
    local name=$1 word
    shift
    for word in "$@"; do [[ $name == *"$word"* ]] && return 0; done
    return 1
}

checks_of() { sed -n '/^diff /q; s/^Check: //p' "$1"; }

# Makes the copy with everything planted. Patches that do not apply are left out, and named in $log/refused.
make_copy() {
    local fresh=$work/fresh patch name file
    rm -rf "$fresh"
    mkdir -p "$fresh"
    (cd "$root" && git ls-files -z --cached --others --exclude-standard |
        while IFS= read -r -d '' file; do [ ! -f "$file" ] || printf '%s\0' "$file"; done |
        tar --create --null --files-from=-) | tar --extract --directory="$fresh"
    for patch in "$root"/mutants/*.patch; do
        name=$(basename "$patch" .patch)
        if (cd "$fresh" && patch --batch --forward --strip=1 --dry-run) <"$patch" >"$log/$name" 2>&1; then
            (cd "$fresh" && patch --batch --strip=1 --no-backup-if-mismatch) <"$patch" >"$log/$name"
        else
            echo "$name" >>"$log/refused"
        fi
    done
    cat >>"$fresh/crates/types/src/lib.rs" <<'RUST'

/// Whether the planted bug of this number is switched on.
pub fn mutant(number: &str) -> bool {
    static MUTANT: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    MUTANT.get_or_init(|| std::env::var("LIAN_MUTANT").ok()).as_deref() == Some(number)
}
RUST
    renew "$fresh" "$copy"
}

# Builds what a check of the standard input needs, and writes where each test program is to $work/programs: kind, crate,
# the folder that it runs in, path. The features are those of the whole workspace, so that what is linked in fits.
compile() {
    local kind crate _ tests=() libs=() sim=
    while read -r kind crate _; do
        case $kind in
            sim) sim=yes ;;
            test) tests+=("--test=$crate") ;;
            lib) libs+=("$crate") ;;
            *) echo "unknown check: $kind $crate" >&2; return 1 ;;
        esac
    done
    [ ${#tests[@]} -eq 0 ] || build test --workspace "${tests[@]}" --no-run || return
    for crate in "${libs[@]}"; do build test --package=lian --package="lian-$crate" --lib --no-run || return; done
    [ -z "$sim" ] || build build --workspace --example=sim || return
    sed -n 's|.*"manifest_path":"\([^"]*\)/Cargo.toml","target":{"kind":\["\([a-z]*\)"\].*"name":"\([^"]*\)".*"executable":"\([^"]*\)".*|\2 \3 \1 \4|p' \
        "$log/build.json" | sed 's/^lib lian_/lib /; s/^example sim /sim sim /' >"$work/programs"
}
build() {
    cargo "$1" --quiet --release --locked --message-format=json-render-diagnostics "${@:2}" >>"$log/build.json"
}

# Runs a check. 0 where it passes.
check() {
    local kind=$1 program folder path
    program=$2
    [ "$kind" != sim ] || program=sim
    read -r _ _ folder path < <(grep "^$kind ${program//-/[-_]} " "$work/programs")
    cd "$folder"
    if [ "$kind" = sim ]; then
        timeout --foreground "$seconds_max" "$path" --seeds "$2" --first-failure --jobs 1
    else
        timeout --foreground "$seconds_max" "$path" "${@:3}"
    fi
}

# Runs a function for each further argument, as many at once as there are processors.
each() {
    local act=$1 argument
    shift
    for argument in "$@"; do
        while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
        "$act" "$argument" &
    done
    wait
}

try_clean() {
    local output
    output=$log/clean-$(tr -c '[:alnum:]\n' - <<<"$1")
    # Words of a check are separate arguments.
    # shellcheck disable=SC2086
    if (check $1) >"$output" 2>&1 </dev/null; then
        echo "  passes: $1"
    else
        echo "  FAILS:  $1, see $output"
        echo "$1" >>"$log/failed"
    fi
}

try_mutant() {
    local name line status outcome='has no check'
    name=$(basename "$1" .patch)
    export LIAN_MUTANT=${name%%-*}
    if grep -qx "$name" "$log/refused"; then
        outcome="does not apply, see $log/$name"
    else
        while read -r line; do
            status=0
            # shellcheck disable=SC2086
            (check $line) >>"$log/$name" 2>&1 </dev/null || status=$?
            case $status in
                0) outcome="MISSED by: $line" ;;
                124) outcome="not caught in $seconds_max s by: $line" ;;
                *) outcome=caught ;;
            esac
            [ "$outcome" = caught ] || break
        done < <(checks_of "$1")
    fi
    echo "$name: $outcome"
    [ "$outcome" != caught ] || echo "$name" >>"$log/caught"
}

patches=()
for patch in "$root"/mutants/*.patch; do
    name=$(basename "$patch" .patch)
    if [ $# -eq 0 ] || wanted "$name" "$@"; then patches+=("$patch"); fi
done
[ ${#patches[@]} -gt 0 ] || { echo "no mutant has such a name" >&2; exit 2; }
mapfile -t checks < <(for patch in "${patches[@]}"; do checks_of "$patch"; done | sort -u)

rm -rf "$log"
mkdir -p "$log"
touch "$log/refused" "$log/failed" "$log/caught"
make_copy
share_dependencies "$shared"
if ! (cd "$copy" && compile) < <(printf '%s\n' "${checks[@]}" | awk '{ print $1, $1 == "sim" ? "" : $2 }' | sort -u); then
    echo "the copy with all mutants does not compile" >&2
    exit 1
fi

echo "The checks without a mutant:"
each try_clean "${checks[@]}"
[ ! -s "$log/failed" ] || { echo "a check that fails without a mutant proves nothing" >&2; exit 1; }

each try_mutant "${patches[@]}"
caught=$(wc -l <"$log/caught")
echo "$caught of ${#patches[@]} mutants caught"
[ "$caught" -eq ${#patches[@]} ]
