#!/usr/bin/env bash
# Checks the P model of record append in spec/ (docs/internals/spec.md):
#   eng/check-spec.sh [--schedules N] [--seed S]    the protocol itself, N schedules (300) for each durability, and N/3 in each world of a cold start: no violation
#   eng/check-spec.sh --mutations [NAME...]         each planted mistake must be found within the schedules that spec/checks/Mutations.p grants it
# Installs the P tool into spec/.tool when it is missing (NuGet). Exits with 1 if anything is not as it must be, with 2 on wrong usage.
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../spec"
# The tool is built for .NET 8; any later runtime will do.
export DOTNET_ROLL_FORWARD=Major DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 MSBUILDDISABLENODEREUSE=1
version=3.1.0
max_steps=20000

usage() {
  sed -n '2,5s/^# //p' "../eng/check-spec.sh" >&2
  exit 2
}

schedules=300
seed=()
mutations=false
names=()
while (($#)); do
  case $1 in
    --schedules) [[ ${2:-} =~ ^[0-9]+$ ]] || usage; schedules=$2; shift ;;
    --seed) [[ ${2:-} =~ ^[0-9]+$ ]] || usage; seed=(--seed "$2"); shift ;;
    --mutations) mutations=true ;;
    [A-Z]*) "$mutations" || usage; names+=("$1") ;;
    *) usage ;;
  esac
  shift
done

[[ -x .tool/p ]] || dotnet tool install P --tool-path .tool --version "$version"
if ! .tool/p compile > PCompiled.log 2>&1; then
  cat PCompiled.log >&2
  exit 1
fi

check() { # LABEL MUTATION KIND SCHEDULES: prints one line; 0: nothing was found, 1: something was, 2: the checker failed
  local label=$1 test out="PCheckerOutput/$1" begin=$SECONDS
  case $3 in # as checks/Tests.p names them
    calm) test="tcAppend___mutation_$2__memory_false__world_0__faults_0" ;;
    group) test="tcAppend___mutation_$2__memory_false__world_0__faults_8" ;;
    memory) test="tcAppend___mutation_$2__memory_true__world_0__faults_8" ;;
    cold) test="tcColdStart___mutation_$2__memory_false__world_1__faults_3" ;;
    late) test="tcLate___mutation_$2__memory_false__world_2__faults_3" ;;
    recover) test="tcRecover___mutation_$2__memory_false__world_3__faults_3" ;;
    forgetful) test="tcForgetful___mutation_$2__memory_false__world_4__faults_3" ;;
  esac
  rm -rf -- "$out"
  mkdir -p -- "$out"
  .tool/p check -tc "$test" --schedules "$4" --max-steps "$max_steps" "${seed[@]}" --outdir "$out" > "$out/log.txt" 2>&1 || true
  local explored
  explored=$(sed -nE 's/.*Explored ([0-9]+) schedule.*/\1/p' "$out/log.txt" | tail -n 1)
  if grep -q 'Found 0 bugs' "$out/log.txt"; then
    printf '%-28s nothing found in %s schedules, %s s\n' "$label" "$explored" $((SECONDS - begin))
  elif grep -qE 'Found [0-9]+ bug' "$out/log.txt"; then
    printf '%-28s found after %s schedules, %s s: %s\n' "$label" "$explored" $((SECONDS - begin)) \
      "$(sed -nE 's/^<ErrorLog> (Assertion Failed: [^ ]+ )?//p' "$out"/BugFinding/*.txt | head -n 1 | cut -c1-120)"
    return 1
  else
    echo "$label: the checker failed, see spec/$out/log.txt" >&2
    return 2
  fi
}

wrong=0
if "$mutations"; then
  # NAME = number, // kind budget: what it is
  while read -r name number kind budget; do
    if ((${#names[@]})) && [[ " ${names[*]} " != *" $name "* ]]; then
      continue
    fi
    if ((budget == 0)); then
      printf '%-28s not looked for: docs/internals/spec.md says why\n' "$name"
      continue
    fi
    rc=0
    check "$name" "$number" "$kind" "$budget" || rc=$?
    if ((rc != 1)); then
      echo "$name: NOT FOUND within $budget schedules" >&2
      wrong=1
    fi
  done < <(sed -nE 's|^  ([A-Z_]+) = ([0-9]+),? +// (group\|memory\|cold\|late\|recover\|forgetful) ([0-9]+): .*|\1 \2 \3 \4|p' checks/Mutations.p)
else
  check calm 0 calm $((schedules / 10 + 1)) || wrong=1
  check group 0 group "$schedules" || wrong=1
  check memory 0 memory "$schedules" || wrong=1
  for world in cold late recover forgetful; do
    check "$world" 0 "$world" $((schedules / 3 + 1)) || wrong=1
  done
  ((wrong == 0)) || echo "The trace is in spec/PCheckerOutput; docs/internals/spec.md says how to read it." >&2
fi
exit "$wrong"
