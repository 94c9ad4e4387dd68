#!/usr/bin/env bash
# Makes the Python environment of the oracles (transformers, torch, Pillow, grpcio, websockets), pinned in
# tests/parity/requirements.txt. ORACLES names another folder than .oracles.
set -euo pipefail
cd "$(dirname "$0")/.."

oracles=${ORACLES:-.oracles}
requirements=tests/parity/requirements.txt
stamp=$oracles/installed.txt
if cmp -s "$requirements" "$stamp" 2>/dev/null; then exit 0; fi
echo "Making $oracles: $(grep -c '==' "$requirements") pinned packages (torch is large)"
python3 -m venv "$oracles"
"$oracles/bin/pip" install --quiet --requirement "$requirements"
cp "$requirements" "$stamp"
