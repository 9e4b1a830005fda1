#!/bin/sh
# Installs what the benchmarks need beside Python: nginx and HAProxy as Debian packages them, and Go.
# Only this needs root; the benchmarks themselves run as anybody.
set -eu
missing=""
for name in nginx haproxy; do
  [ -x "/usr/sbin/$name" ] || missing="$missing $name"
done
command -v go >/dev/null 2>&1 || [ -x /usr/local/go/bin/go ] || missing="$missing golang-go"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "missing:$missing; run as root: $0" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# The packages start a server of their own; nothing here wants one on the machine's ports.
guard=/usr/sbin/policy-rc.d
if [ ! -e "$guard" ]; then
  printf '#!/bin/sh\nexit 101\n' > "$guard"
  chmod +x "$guard"
  trap 'rm -f "$guard"' EXIT
fi
# shellcheck disable=SC2086  # a list of names
apt-get install -y -qq --no-install-recommends $missing
