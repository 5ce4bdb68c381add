#!/usr/bin/env bash
# Packs a program and what belongs to it: packaging/release.sh PROGRAM FOLDER writes
# FOLDER/lian-VERSION-TARGET.tar.gz and its checksum, and prints the archive's path. The same program and checkout give
# the same bytes.
set -euo pipefail

program=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
cd "$(dirname "$0")/.."

version=$("$program" --version | cut -d' ' -f2)
target=$(rustc -vV | sed -n 's/^host: //p')
name=lian-$version-$target
# Files are as old as the commit; without one, as 1970.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || echo 0)}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
folder=$work/$name
mkdir "$folder"
install -m 755 "$program" "$folder/lian"
strip --strip-all "$folder/lian"
cp -R LICENSE README.md CHANGELOG.md docs "$folder"
cp 'packaging/lian@.service' packaging/Containerfile "$folder"
# A node's configuration as the program itself writes it, with every setting explained.
"$program" init --dir "$work/net" --host 10.0.0.1 > "$work/said"
cp "$work/net/node0/config.toml" "$folder/config.example.toml"
chmod -R u=rwX,go=rX "$folder"
(cd "$folder" && find . -type f ! -name SHA256SUMS -printf '%P\0' | sort -z | xargs -0 sha256sum > SHA256SUMS)

tar --create --directory="$work" --sort=name --format=gnu --owner=0 --group=0 --numeric-owner \
  --mtime="@$SOURCE_DATE_EPOCH" "$name" | gzip --no-name --best > "$out/$name.tar.gz"
(cd "$out" && sha256sum "$name.tar.gz" > "$name.tar.gz.sha256")
echo "$out/$name.tar.gz"
