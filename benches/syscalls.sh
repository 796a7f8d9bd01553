#!/usr/bin/env bash
# System calls per child, ours beside Tokio's: `/bin/true` started and waited for, 50 at a time, under `strace -c -f`.
#   benches/syscalls.sh
# Calls of the children are counted, too, those between clone and exec among them; what `/bin/true` itself does is the same
# for both. So is the start of a runtime counted, some hundred calls for a thousand children.
# Prints both tables and one line that says whether ours are fewer; fails if they are not. Needs strace: takes Debian's package
# where it may, else says that it was not run.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
export CARGO_TERM_COLOR=never

if ! command -v strace >/dev/null; then
    { apt-get install -y --no-install-recommends strace >/dev/null 2>&1 && command -v strace >/dev/null; } || {
        echo "not run: no strace, and its package cannot be installed"
        exit 0
    }
fi
strace -c true 2>/dev/null || {
    echo "not run: this machine lets nobody trace"
    exit 0
}

bench=${LOXLEY_BENCH:-$(cargo bench -p loxley-benches --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\))$/\1/p')}
[ -x "$bench" ] || {
    echo "the benchmark was not built" >&2
    exit 1
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# The calls of that name, or of all.
of() { awk -v name="$2" '$NF == name { print $4 }' "$1"; }

fail=0
for runtime in loxley tokio; do
    strace -f -c -o "$folder/$runtime" "$bench" --child child_wait_50 "$runtime" --quick >/dev/null || fail=1
    total=$(of "$folder/$runtime" total)
    # One exec is that of the benchmark itself.
    children=$(($(of "$folder/$runtime" execve) - 1))
    printf '\n%s: %s calls for %s children\n' "$runtime" "$total" "$children"
    head -n 16 "$folder/$runtime"
    awk -v total="$total" -v children="$children" 'BEGIN { printf "%.1f", total / children }' >"$folder/$runtime.each"
done
ours=$(cat "$folder/loxley.each") theirs=$(cat "$folder/tokio.each")
printf '\nsystem calls per child, its own included: loxley %s, tokio %s\n' "$ours" "$theirs"
awk -v ours="$ours" -v theirs="$theirs" 'BEGIN { exit !(ours < theirs) }' || fail=1
exit "$fail"
