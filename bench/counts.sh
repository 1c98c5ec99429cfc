#!/usr/bin/env bash
# Counts the instructions of the hot paths and compares them with counts.json: `counts.sh [--write | --add]`.
# Exit code 0: no more than 3 % above the baseline, or there is none for this compiler, which is then said loudly;
# 1: more; 77: cannot run here. Installs nothing.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if ! command -v valgrind >/dev/null; then
  echo 'valgrind is not there: install it to count instructions (Debian: apt install valgrind)'
  exit 77
fi
# Other flags make other instructions.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
cargo build --quiet --release --locked --package micro --bins
exec "${CARGO_TARGET_DIR:-target}/release/counts" "$@"
