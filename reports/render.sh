#!/bin/sh
# Renders the Allure HTML of a run (its folder is the argument) when Node is here; else says how to.
set -eu
run=$1
here=$(dirname "$0")
if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
    echo "No HTML report: Node and npm are missing. Install them ('apt-get install nodejs npm'), then: sh reports/render.sh $run"
    exit 0
fi
if [ ! -e "$here/node_modules/.package-lock.json" ] || [ "$here/package-lock.json" -nt "$here/node_modules/.package-lock.json" ]; then
    echo "installing what renders the HTML report (npm, reports/package-lock.json)"
    npm ci --prefix "$here" --ignore-scripts --no-audit --no-fund --silent
    touch "$here/node_modules/.package-lock.json"
fi
node "$here/render.mjs" "$run"
