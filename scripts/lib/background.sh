# shellcheck shell=bash
# Programs that run beside a script, and what they say.

declare -A OUTPUT PROCESS

# start NAME COMMAND…: in the background, until the script exits; `awaited` reads what it says.
start() {
  local output folder
  folder=$(mktemp -d)
  mkfifo "$folder/pipe"
  exec {output}<>"$folder/pipe"
  rm -r "$folder"
  OUTPUT[$1]=$output
  "${@:2}" >&"$output" 2>&1 </dev/null &
  PROCESS[$1]=$!
  trap 'kill "${PROCESS[@]}" 2>/dev/null || true' EXIT
}

# stop NAME…: ends them before the script does.
stop() {
  local name
  for name in "$@"; do
    kill "${PROCESS[$name]}" 2>/dev/null || true
    unset "PROCESS[$name]"
  done
}

# awaited NAME PATTERN: the first group of the pattern in the first line that has it, which may still have to come.
awaited() {
  local line
  while IFS= read -r -t 60 -u "${OUTPUT[$1]}" line; do
    say "$1: $line"
    if [[ $line =~ $2 ]]; then
      echo "${BASH_REMATCH[1]}"
      return
    fi
  done
  die "$1 did not say in time what was expected"
}
