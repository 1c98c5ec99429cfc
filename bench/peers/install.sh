#!/usr/bin/env bash
# Installs the peers that are not Rust, at their pinned versions, into bench/.cache: `peers/install.sh [node] [python]`.
# The matrix never installs anything; it leaves out what is missing and says so.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
cache=$PWD/../.cache

node() {
  mkdir -p "$cache/node"
  cp node/package.json "$cache/node/"
  npm install --prefix "$cache/node" --no-audit --no-fund
}

python() {
  python3 -m venv "$cache/python"
  "$cache/python/bin/pip" install --quiet --requirement python/requirements.txt
}

[ $# -gt 0 ] || set -- node python
for what in "$@"; do
  case $what in
    node | python) "$what" ;;
    *) echo 'usage: peers/install.sh [node] [python]' >&2 && exit 2 ;;
  esac
done
