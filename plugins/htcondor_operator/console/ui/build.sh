#!/usr/bin/env bash
# Build the console's bundle and put it into console/static/, where it is committed.
#
#   build.sh [--no-tests] [--out FOLDER]
#   build.sh --packages    only install the packages, and say where
#
# It works on a copy: Airflow looks through the plugins folder, so node_modules must not be in it.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
out="$here/../static"
tests=yes
packages=no
while [ $# -gt 0 ]; do
  case "$1" in
    --no-tests) tests=no ;;
    --packages) packages=yes ;;
    --out) out="$2"; shift ;;
    *) echo "usage: build.sh [--no-tests] [--out FOLDER] | --packages" >&2; exit 2 ;;
  esac
  shift
done

work="${OWL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/owl}/console-ui"
mkdir -p "$work" "$out"
# One build at a time: they share the copy.
exec 9>"$work/.lock"
flock 9
rm -rf "$work/src" "$work/tests" "$work/dist"
cp -R "$here/." "$work/"
cd "$work"
# npm ci takes 20 s; it is needed once per lock file.
wanted="$(sha256sum package-lock.json | cut -d' ' -f1)"
if [ "$(cat node_modules/.owl-lock 2>/dev/null)" != "$wanted" ]; then
  npm ci --ignore-scripts --loglevel=error
  echo "$wanted" > node_modules/.owl-lock
fi
if [ "$packages" = yes ]; then
  echo "$work/node_modules"
  exit
fi
npx --no-install tsc --noEmit
if [ "$tests" = yes ]; then npx --no-install vitest run; fi
npx --no-install vite build --logLevel warn
cp dist/main.js "$out/main.js"
echo "$out/main.js: $(wc -c < "$out/main.js") bytes, $(gzip -9 -c "$out/main.js" | wc -c) gzipped"
