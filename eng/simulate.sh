#!/bin/sh
# Runs the deterministic simulation: eng/simulate.sh [--seed S] [--runs N] [--seconds T] [--trace FILE] [--keep-going]
# Its last line is {"runs","violations","acks","virtual_s","wall_s"}; it exits 1 when anything was violated.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
dotnet build "$root/test/Semel.Simulation" -c Release -v q --nologo >&2
exec "$root/test/Semel.Simulation/bin/Release/net10.0/Semel.Simulation" "$@"
