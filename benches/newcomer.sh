#!/usr/bin/env bash
# What a newcomer's first build costs: a hello program with default features, beside the same program on Tokio with the
# features that it needs. Both in a fresh directory, both with the same profile, one after the other.
#   crates   external crates in the tree, the program itself and the workspace's own apart
#   cpu      CPU seconds (user and system) of a clean build, dev and release
#   binary   bytes of the stripped release binary
# Usage: benches/newcomer.sh [ROUNDS]; the least of ROUNDS (default 1) counts. Exits with 1 if a limit is not held:
# at most 20 crates, no more CPU seconds than Tokio (with 10 % for the noise of the machine).
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
rounds=${1:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0

# Not inherited: everything is built afresh, below $work.
unset CARGO_TARGET_DIR RUSTFLAGS RUSTC_WRAPPER

program() { # name, dependency line, source
    mkdir -p "$work/$1/src"
    printf '[package]\nname = "hello-%s"\nversion = "0.0.0"\nedition = "2024"\n\n[dependencies]\n%s\n\n[profile.release]\nstrip = true\n\n[workspace]\n' \
        "$1" "$2" >"$work/$1/Cargo.toml"
    printf '%s\n' "$3" >"$work/$1/src/main.rs"
    # The same versions as the repository's, where it has them.
    cp "$here/Cargo.lock" "$work/$1/Cargo.lock"
    (cd "$work/$1" && cargo fetch -q)
}

program loxley "loxley = { path = \"$here\" }" '
use std::time::Duration;

#[loxley::main]
async fn main() {
    println!("Hello ...");
    loxley::sleep(Duration::from_millis(1)).await;
    println!("... World!");
}'
program tokio 'tokio = { version = "1", features = ["rt-multi-thread", "macros", "net", "time", "sync", "signal", "process", "io-util"] }' '
use std::time::Duration;

#[tokio::main]
async fn main() {
    println!("Hello ...");
    tokio::time::sleep(Duration::from_millis(1)).await;
    println!("... World!");
}'

crates() { # name: external crates, ours apart
    (cd "$work/$1" && cargo tree -q -e normal,build --prefix none --no-dedupe) |
        awk '{ print $1 }' | sort -u | grep -vcE '^(hello-|loxley)'
}

cpu() { # name, flags: CPU seconds of a clean build, the least of the rounds
    local best=999999 seconds
    for ((round = 0; round < rounds; round++)); do
        rm -rf "$work/$1/target"
        seconds=$( (
            cd "$work/$1"
            TIMEFORMAT='%U %S'
            { time cargo build -q --offline "${@:2}" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }; } 2>&1
        ) | tail -1 | awk '{ printf "%.2f", $1 + $2 }')
        best=$(printf '%s\n%s\n' "$best" "$seconds" | sort -g | head -1)
    done
    echo "$best"
}

printf '%-8s %7s %10s %14s %12s\n' '' crates 'cpu dev s' 'cpu release s' 'binary bytes'
declare -A count dev release
for name in loxley tokio; do
    count[$name]=$(crates $name)
    dev[$name]=$(cpu $name)
    release[$name]=$(cpu $name --release)
    size=$(stat -c %s "$work/$name/target/release/hello-$name")
    printf '%-8s %7d %10s %14s %12d\n' $name "${count[$name]}" "${dev[$name]}" "${release[$name]}" "$size"
done

failed=0
if ((count[loxley] > 20)); then
    echo "more than 20 crates: ${count[loxley]}"
    failed=1
fi
for kind in dev release; do
    declare -n seconds=$kind
    if awk -v ours="${seconds[loxley]}" -v theirs="${seconds[tokio]}" 'BEGIN { exit !(ours > theirs * 1.1) }'; then
        echo "a $kind build takes more CPU seconds than Tokio's: ${seconds[loxley]} against ${seconds[tokio]}"
        failed=1
    fi
done
exit $failed
