#!/bin/sh
# Fails when a generated file differs from what is committed: the addon's loader and types, the
# platform packages, the lock files.
set -eu
cd "$(dirname "$0")/.."
npx napi create-npm-dirs >/dev/null
node scripts/fill-platform-package.mjs
if ! git diff --exit-code -- binding.js binding.d.ts npm Cargo.lock package-lock.json; then
  echo 'generated files are not current: run `npm run build`, then commit them' >&2
  exit 1
fi
untracked=$(git ls-files --others --exclude-standard -- npm binding.js binding.d.ts)
if [ -n "$untracked" ]; then
  echo "generated files are not committed: $untracked" >&2
  exit 1
fi
