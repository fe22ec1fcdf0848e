#!/usr/bin/env bash
# Starts a server and holds it to its own /openapi.json with schemathesis (PyPI): generated requests,
# valid and broken, must get replies that the description allows, and never a 5xx.
#
#   NIMBUS_START         the command that starts a server (default: the README's)
#   NIMBUS_MAX_EXAMPLES  generated requests per operation and phase (default 40)
#   NIMBUS_TEST_SEED     repeats a run; printed
#   NIMBUS_PYTHON_ENV    where schemathesis is installed (default: .venv beside this file, kept)
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD

start=${NIMBUS_START:-cargo run --release -- start}
examples=${NIMBUS_MAX_EXAMPLES:-40}
seed=${NIMBUS_TEST_SEED:-$((RANDOM * 32768 + RANDOM))}
python_env=${NIMBUS_PYTHON_ENV:-$root/tests/openapi/.venv}
scratch=$(mktemp -d)
server=
cleanup() {
  if [ -n "$server" ] && kill -0 "$server" 2>/dev/null; then
    kill -TERM "$server"
    wait "$server" || true
  fi
  rm -rf "$scratch"
}
trap cleanup EXIT

# Compiled ahead, so that its progress is seen.
if [[ $start == "cargo run"* ]]; then
  build=${start/cargo run/cargo build}
  ${build%% -- *}
fi

if ! cmp -s tests/openapi/requirements.txt "$python_env/installed.txt"; then
  python3 -m venv "$python_env"
  "$python_env/bin/pip" install --quiet --requirement tests/openapi/requirements.txt
  cp tests/openapi/requirements.txt "$python_env/installed.txt"
fi

export XDG_DATA_HOME="$scratch/share" XDG_STATE_HOME="$scratch/state"
# Its usual port may be another server's.
export NIMBUS_NO_MONGODB=true
$start --port 0 --data-dir "$scratch/data" >"$scratch/out" 2>"$scratch/err" </dev/null &
server=$!
url=
for _ in $(seq 6000); do
  url=$(grep -ohm1 'http://[0-9.]*:[0-9]*' "$scratch/out" "$scratch/err" | head -n 1 || true)
  [ -n "$url" ] && break
  kill -0 "$server" 2>/dev/null || break
  sleep 0.1
done
if [ -z "$url" ]; then
  echo "the server did not start:" >&2
  cat "$scratch/out" "$scratch/err" >&2
  exit 1
fi
token=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["token"])' "$XDG_DATA_HOME/nimbus/auth/token")
auth=(-H "Authorization: Bearer $token")
post() {
  curl -fsS "${auth[@]}" -H 'Content-Type: application/json' -d "$2" "$url$1" >/dev/null
}
# Something to find and something to delete; schemathesis.toml names them.
post /api/tenants '{"id":"demo"}'
post /api/tenants '{"id":"spare"}'
for number in 1 2 3 4 5 6 7 8 9; do
  post /api/tenants/demo/documents '{"table":"notes","fields":{"_id":"d'$number'","text":"a note"}}'
done

echo "schemathesis against $url/openapi.json, seed $seed, $examples examples"
status=0
# From the scratch folder, because schemathesis keeps notes where it is called.
cd "$scratch"
"$python_env/bin/schemathesis" --config-file "$root/tests/openapi/schemathesis.toml" run "$url/openapi.json" \
  "${auth[@]}" --max-examples "$examples" --seed "$seed" --request-timeout 60 \
  --generation-database none --no-color </dev/null || status=$?
if ! kill -0 "$server" 2>/dev/null; then
  echo "the server died under schemathesis:" >&2
  tail -n 50 "$scratch/err" >&2
  exit 1
fi
exit "$status"
