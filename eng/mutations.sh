#!/bin/sh
# Plants known bugs in a copy of the sources, one at a time, and demands that the simulation finds each: eng/mutations.sh [NAME...] [--seeds N]
# It exits 1 when a bug was not found within N (500) seeds, or when something was found without one.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
dotnet build "$root/test/Semel.Simulation" -c Release -v q --nologo >&2
exec "$root/test/Semel.Simulation/bin/Release/net10.0/Semel.Simulation" planted-bugs "$@"
