#!/bin/sh
# Renew the lock files from the .in files. Usage: requirements/lock.sh UV
set -eu
uv=$1
cd "$(dirname "$0")"
lock() {
    # No index address: each installation chooses its own.
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
        --override overrides.txt --custom-compile-command "make lock" "$@"
}
lock image.in -o image.txt
lock local.in -c image.txt -o local.txt
lock launch.in -c local.txt -o launch.txt
lock dev.in -c local.txt -c launch.txt -o dev.txt
lock bench.in -c image.txt -o bench.txt
lock fuzz.in -c image.txt -o fuzz.txt
"$(dirname "$uv")"/python third_party.py
