#!/bin/sh
# Makes the virtual environment that make works with, and installs the system's part first.
# Usage: PYTHON=python3 SUDO= setup.sh VENV        Running it again repairs what is missing.
set -eu
venv=$1
python=${PYTHON:-python3}
sudo=${SUDO-}

# What to look for, and the Debian package that brings it.
missing=''
need() { # need PACKAGE TEST...
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
library() { ldconfig -p | grep -q "$1"; }
# A header of this very interpreter, which need not be Debian's.
header() { "$python" -c 'import os, sysconfig; assert os.path.exists(sysconfig.get_path("include") + "/Python.h")'; }
browser() {
    for each in chromium-headless-shell chromium chromium-browser google-chrome; do
        command -v "$each" && return
    done
    return 1
}
c_library() { echo '#include <stdio.h>' | cc -E - ; }

need python3-venv "$python" -c 'import ensurepip, venv'
need iproute2 command -v ip
need nftables command -v nft
need libnftables1 library libnftables.so.1
need iptables command -v iptables-legacy-save
need crun command -v crun
need conntrack command -v conntrack
need util-linux command -v nsenter
need procps command -v sysctl
# The recipes for pull requests, and watch --git, need a repository.
need git command -v git
# The benchmark's floor and python-iptables are compiled here.
need gcc command -v cc
need libc6-dev c_library
need python3-dev header

# What the rest can do without: the browser that pages of plans and graphs are opened in (tests/browser, which say
# that they were left out), and what make bench compares names with. Not every distribution has them.
helpful=''
browser >/dev/null || helpful="$helpful chromium-headless-shell"
command -v dnsmasq >/dev/null 2>&1 || helpful="$helpful dnsmasq-base"

install_packages() { # install_packages PACKAGE...
    # shellcheck disable=SC2086  # a command that may be empty
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >"$log" 2>&1 </dev/null
}
fail() { cat "$log" >&2; echo "setup: failed: $*" >&2; exit 1; }

if [ -n "$missing$helpful" ] && command -v apt-get >/dev/null 2>&1; then
    echo "setup: installing$missing$helpful"
    log=$(mktemp)
    # shellcheck disable=SC2086  # as above
    if ! $sudo env DEBIAN_FRONTEND=noninteractive apt-get update >"$log" 2>&1 </dev/null; then
        [ -z "$missing" ] || fail apt-get update
    fi
    # shellcheck disable=SC2086  # a list of package names
    [ -z "$missing" ] || install_packages $missing || fail apt-get install $missing
    for package in $helpful; do
        install_packages "$package" || echo "setup: without $package, which cannot be installed here" >&2
    done
    rm -f "$log"
elif [ -n "$missing" ]; then
    echo "setup: missing, and there is no apt-get to install it (Debian's names):$missing" >&2
    exit 1
fi

# A folder that an interrupted run left behind has no pip and is made afresh.
[ -x "$venv/bin/pip" ] || "$python" -m venv --clear "$venv"
echo "setup: installing the Python packages into $venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --editable '.[dev,iptables]'
