#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# build.sh FOLDER: build FOLDER/crdserver, Kubernetes' server of custom
# resources (main.go), from the Go libraries of Debian's sid. They are unpacked
# below FOLDER/root and never installed, as is sid's etcd (FOLDER/root/usr/bin/etcd).
# Three to five minutes; run again, it does nothing while main.go and
# packages.txt are the same. The mirror is that of this machine's own apt.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
go=${GO_VERSION:-1.26}
suite=${SUITE:-sid}

stamp=$(cat "$here/main.go" "$here/packages.txt" <(echo "$go $suite") | sha256sum)
if [ -x "$folder/crdserver" ] && [ "$(cat "$folder/stamp" 2>/dev/null)" = "$stamp" ]; then
	exit 0
fi

say()
{
	echo "build.sh: [$SECONDS s] $*"
}

# The mirror of this release: of a deb822 stanza, else of a one-line entry.
mirror()
{
	. /etc/os-release
	{ cat /etc/apt/sources.list.d/*.sources 2>/dev/null || :; } |
		awk -v suite="$VERSION_CODENAME" -v RS= '{
			uri = ""; ours = 0
			n = split($0, lines, "\n")
			for (i = 1; i <= n; i++) {
				m = split(lines[i], words, /[ \t]+/)
				if (words[1] == "URIs:") uri = words[2]
				if (words[1] == "Suites:")
					for (j = 2; j <= m; j++) if (words[j] == suite) ours = 1
			}
			if (uri && ours) print uri
		}'
	{ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || :; } |
		awk -v suite="$VERSION_CODENAME" '$1 == "deb" {
			for (i = 2; i < NF; i++) if ($(i + 1) == suite) print $i
		}'
}

from=$(mirror | sed -n 1p)
if [ -z "$from" ]; then
	echo "build.sh: no Debian mirror in apt's configuration" >&2
	exit 1
fi

# An apt of its own: the system's lists and packages stay as they are.
apt=$folder/apt
mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,etc/empty} \
	"$folder/debs" "$folder/root"
: >"$apt/etc/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $from $suite main" \
	>"$apt/etc/sources.list"
options=(-q -o Dir::State="$apt/state" -o Dir::Cache="$apt/cache"
	-o Dir::State::status="$apt/etc/status"
	-o Dir::Etc::sourcelist="$apt/etc/sources.list"
	-o Dir::Etc::sourceparts="$apt/etc/empty"
	-o Dir::Etc::preferences="$apt/etc/none"
	-o Dir::Etc::preferencesparts="$apt/etc/empty"
	-o APT::Sandbox::User=root -o Acquire::Retries=3)

apt_get()
{
	if ! apt-get "${options[@]}" "$@" >>"$folder/apt.log" 2>&1; then
		tail -n 5 "$folder/apt.log" >&2
		return 1
	fi
}

here_already()
{
	compgen -G "$folder/debs/${1}_*.deb" >/dev/null
}

# Download the packages that are not here yet, and unpack them.
get()
{
	local package new=()

	for package; do
		here_already "$package" || new+=("$package")
	done
	if [ ${#new[@]} -gt 0 ]; then
		(cd "$folder/debs" && apt_get download "${new[@]}")
	fi
	for package; do
		[ -e "$folder/debs/$package.ok" ] && continue
		dpkg -x "$folder"/debs/"$package"_*.deb "$folder/root"
		: >"$folder/debs/$package.ok"
	done
	say "${#@} packages unpacked"
}

mapfile -t packages < <(grep -v '^#' "$here/packages.txt")
packages+=("golang-$go-go" "golang-$go-src" etcd-server)
for package in "${packages[@]}"; do
	here_already "$package" || { apt_get update; say "lists fetched"; break; }
done
get "${packages[@]}"

export GOROOT=$folder/root/usr/lib/go-$go GOPATH=$folder/root/usr/share/gocode
export GO111MODULE=off GOFLAGS=-p=${JOBS:-2} CGO_ENABLED=0 GOCACHE=$folder/gocache
export GOTOOLCHAIN=local GOENV=off GOGC=${GOGC:-400}
cd "$here"
if ! "$GOROOT/bin/go" list -deps main.go >/dev/null 2>"$folder/list.err"; then
	say "packages.txt lacks something that sid's libraries need now: taking all that they depend on"
	tail -n 3 "$folder/list.err"
	apt_get update
	mapfile -t packages < <(apt-get "${options[@]}" install --no-install-recommends -s \
		"golang-$go-go" golang-k8s-apiextensions-apiserver-dev 2>/dev/null |
		awk '/^Inst golang-/ { print $2 }' |
		grep -vE '^golang-(go|any|src)$|^golang-[0-9.]+-(go|src)$')
	get "${packages[@]}"
fi

version=$(dpkg-deb -f "$folder"/debs/golang-k8s-apiextensions-apiserver-dev_*.deb Version |
	sed 's/^0\./1./; s/-.*//')
nice -n 10 "$GOROOT/bin/go" build -trimpath -o "$folder/crdserver" \
	-ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v$version" main.go
echo "$stamp" >"$folder/stamp"
say "built $folder/crdserver"
