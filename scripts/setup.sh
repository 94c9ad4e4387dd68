#!/usr/bin/env bash
# Installs what is missing to build, run and test Emotion API: Debian packages, then npm packages.
# Says what it installs; quick when nothing is missing. Other systems: names the packages and stops.
#
#   scripts/setup.sh build | test | test-all      SETUP=skip: no Debian packages, npm's only
set -euo pipefail
cd "$(dirname "$0")/.."

stage=${1:-build}
case $stage in
  build) lists=(build) ;;
  test) lists=(build test) ;;
  test-all) lists=(build test test-all) ;;
  *) echo "usage: scripts/setup.sh build|test|test-all" >&2; exit 2 ;;
esac

wanted() {
  for list in "${lists[@]}"; do grep -hv '^#' "scripts/packages/$list.txt"; done
  # Debian's nodejs and npm, unless some Node from 18 on with npm is there already.
  if ! command -v npm >/dev/null || ! node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)'; then
    echo nodejs
    echo npm
  fi
}

missing_packages() {
  local package
  local installed
  installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p')
  wanted | while read -r package; do
    grep -qxF "$package" <<<"$installed" || echo "$package"
  done
}

install_debian_packages() {
  local missing
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} -eq 0 ] && return
  local root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
      echo "These packages are missing and this user may not install them (no root, no sudo):" >&2
      echo "  ${missing[*]}" >&2
      exit 1
    }
    root=(sudo)
  fi
  echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
  "${root[@]}" apt-get update -q
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}"
}

# npm's own record of what it installed is newer than the lock file when all is in place.
install_npm_packages() {
  local folder=$1 purpose=$2
  [ -f "$folder/package-lock.json" ] || return 0
  [ "$folder/node_modules/.package-lock.json" -nt "$folder/package-lock.json" ] && return
  echo "Installing npm packages of $folder ($purpose)"
  npm ci --prefix "$folder" --no-audit --no-fund --loglevel=error
  touch "$folder/node_modules/.package-lock.json"
}

# shellcheck disable=SC1091
if [ "${SETUP:-}" != skip ]; then
  if ! (. /etc/os-release 2>/dev/null && [ "${ID:-}" = debian ] && [ "${VERSION_ID:-}" = 12 ]); then
    echo "This is not Debian 12, so nothing was installed. Emotion API needs these packages of" >&2
    echo "Debian 12 (bookworm), or their like, and Node 18 or newer with npm:" >&2
    wanted | paste -sd' ' | fold -sw 90 >&2
    echo "When they are there, add SETUP=skip: make run SETUP=skip" >&2
    exit 1
  fi
  install_debian_packages
fi
install_npm_packages web "the page's face detector and charts"
node web/vendor.mjs
if [ "$stage" != build ]; then install_npm_packages tests/web "page tests"; fi
if [ "$stage" = test-all ]; then install_npm_packages scripts/lint "protocol linter"; fi
