#!/usr/bin/env bash
# Installs the MongoDB clients that the tests drive: pymongo into .tools/venv, its source distribution with the
# specification tests into .tools, the Node driver, Mongoose and mongosh into node/node_modules. Does nothing where
# they are there already.
set -euo pipefail
cd "$(dirname "$0")"

if ! cmp -s python/requirements.txt .tools/venv/installed.txt; then
  python3 -m venv .tools/venv
  .tools/venv/bin/pip install --quiet --disable-pip-version-check --requirement python/requirements.txt
  cp python/requirements.txt .tools/venv/installed.txt
fi
requirement=$(grep '^pymongo==' python/requirements.txt)
distribution=${requirement/==/-}
if [ ! -d ".tools/$distribution" ]; then
  # Only the archive is wanted, but pip asks it for its metadata, for which it fetches what that takes to build.
  .tools/venv/bin/pip download --quiet --disable-pip-version-check --no-deps --no-binary pymongo \
    --dest .tools "$requirement"
  tar -xzf ".tools/$distribution.tar.gz" -C .tools
fi
if ! cmp -s node/package.json node/node_modules/installed.json; then
  npm install --prefix node --ignore-scripts --no-package-lock --no-audit --no-fund --loglevel error
  cp node/package.json node/node_modules/installed.json
fi
