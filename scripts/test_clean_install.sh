#!/usr/bin/env bash
# The two commands of the README on a bare Debian 12: a chroot made by debootstrap, with this
# checkout's HEAD cloned into it. Needs root and about 6 GB; takes some 25 minutes.
#
#   scripts/test_clean_install.sh [FOLDER]     default: a new one under /var/tmp, removed afterwards
set -euo pipefail
cd "$(dirname "$0")/.."

[ "$(id -u)" -eq 0 ] || { echo "needs root: debootstrap, chroot and mounts" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "apt-get install debootstrap" >&2; exit 1; }

root=${1:-}
[ -n "$root" ] || { root=$(mktemp -d /var/tmp/emotion-bare.XXXXXX); remove=yes; }

unmount() {
  for point in proc dev; do umount -l "$root/$point" 2>/dev/null || true; done
  [ -z "${remove:-}" ] || rm -rf --one-file-system "$root"
}
trap unmount EXIT

mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null |
  awk '$1 == "deb" && $3 == "bookworm" {print $2; exit} $1 == "URIs:" {print $2; exit}' || true)
[ -e "$root/etc/debian_version" ] || debootstrap --variant=minbase bookworm "$root" "$mirror"
cp -r /etc/apt/sources.list* /etc/apt/apt.conf.d /etc/apt/trusted.gpg.d "$root/etc/apt/" 2>/dev/null || true
cp -L /etc/resolv.conf "$root/etc/" 2>/dev/null || true
echo "127.0.0.1 localhost" >"$root/etc/hosts"
mkdir -p "$root/etc/ssl/certs"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/host.crt"  # whom this machine trusts
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"  # packages start no services here
chmod +x "$root/usr/sbin/policy-rc.d"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --make-rslave "$root/dev"
rm -rf "$root/src/emotion"
mkdir -p "$root/src"
git clone -q . "$root/src/emotion"

# make and git are what a user has who cloned this.
inside() {
  chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    NODE_EXTRA_CA_CERTS=/etc/ssl/certs/host.crt "$@"
}
inside apt-get update -q
inside apt-get install -q -y --no-install-recommends make git ca-certificates
inside make -C /src/emotion test
inside bash -c 'cd /src/emotion
  setsid make run ARGS="--api-port=18000" >run.log 2>run.err & run=$!
  for _ in $(seq 600); do grep -q "is ready" run.log && break; sleep 1; done
  tail -1 run.log
  curl -sf -H "Content-Type: image/jpeg" --data-binary @tests/data/images/astronaut.jpg \
    http://localhost:18000/v1/predict; code=$?
  kill -INT -- -$run; wait $run; exit $code'
echo
echo "make test and make run work on a bare Debian 12"
