#!/usr/bin/env bash
# Stands in for cargo and rustup while examples run. All is built already, so this builds nothing:
# it checks that what the example names exists, and `cargo run` starts the program that was built.
set -euo pipefail

fail() {
    echo "$(basename "$0") of the examples: $*" >&2
    exit 1
}

if [ "$(basename "$0")" = rustup ]; then
    [ "$1 $2" = "target add" ] || fail "unknown command: $*"
    grep -q "\"$3\"" rust-toolchain.toml || fail "rust-toolchain.toml does not have the target $3"
    exit 0
fi

command=$1
shift
binary='' bench='' suite='' package=''
names=()
while [ $# -gt 0 ]; do
    case $1 in
        --bin | --example) binary=$2; shift ;;
        --bench) bench=$2; shift ;;
        --test) suite=$2; shift ;;
        -p | --package) package=$2; shift ;;
        --lib | --doc) suite=${1#--} ;;
        --path | --manifest-path | --fuzz-dir) [ -e "$2" ] || fail "no such path: $2"; shift ;;
        --features | --profile | -s) shift ;;
        --) shift; break ;;
        -*) ;;
        *) names+=("$1") ;;
    esac
    shift
done
if [ -n "$package" ]; then
    grep -Rqsx --include=Cargo.toml "name = \"$package\"" . || fail "no such package: $package"
fi

# Fails unless some test of the suite matches the name.
check_test() {
    case $suite in
        e2e) [[ $("$TESTS" --list "$1") == *": test"* ]] || fail "no test of e2e matches $1" ;;
        lib | doc) grep -RqE --include='*.rs' "(fn|mod) \w*$1" host guest || fail "no test matches $1" ;;
        *) fail "no such suite of tests: $suite" ;;
    esac
}

case $command in
    run)
        [ -x "$BINARIES/$binary" ] || fail "no such program: $binary"
        exec "$BINARIES/$binary" "$@"
        ;;
    test)
        for name in "${names[@]}" "$@"; do
            if [[ $name != -* ]]; then check_test "$name"; fi
        done
        ;;
    bench)
        [ -z "$bench" ] || compgen -G "*/benches/$bench.rs" > /dev/null ||
            compgen -G "*/*/*/benches/$bench.rs" > /dev/null || fail "no such bench: $bench"
        ;;
    fuzz)
        [ "${names[0]}" = list ] || [ -e "tests/fuzz/fuzz_targets/${names[1]}.rs" ] ||
            fail "no such fuzz target: ${names[1]}"
        ;;
    build | check | clippy | doc | fmt | install)
        [ -z "$binary" ] || [ -x "$BINARIES/$binary" ] || fail "no such program: $binary"
        ;;
    *) fail "unknown command: $command" ;;
esac
