#!/usr/bin/env bash
# Installs what the tests need and cargo does not build: programs of the distribution,
# Rust's target for plugins, and packages of PyPI and npm, which go to the target
# directory. Their versions are pinned in tests/python/*.txt, in guest/examples/ and in
# npm's lock files. Whatever is there already is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

NODE_VERSION_MIN=20

say() { echo "tests/setup.sh: $*"; }
fail() { say "$*" >&2; exit 1; }

# Debian keeps servers here, where only root looks for programs.
PATH=$PATH:/usr/sbin
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Runs a command quietly, and shows what it printed if it fails.
quietly() {
    "$@" > "$log" 2>&1 || { cat "$log" >&2; fail "failed: $*"; }
}

has_program() {
    local name
    for name; do
        if command -v "$name" > /dev/null; then return; fi
    done
    return 1
}

# The distribution's packages: each with the names that its program can have.
packages=()
needs() {
    local package=$1
    shift
    has_program "$@" || packages+=("$package")
}

install_packages() {
    needs chromium chromium chromium-browser google-chrome
    needs clang clang
    needs cmake cmake
    needs curl curl
    needs graphviz dot
    needs llvm llvm-ar
    needs minisign minisign
    needs mount mount
    needs nginx nginx
    needs npm npm
    needs openssl openssl
    needs python3 python3
    needs zstd zstd
    [ -d /usr/include/wasm32-wasi ] || packages+=(wasi-libc)
    # Debian's Python has the module `venv`, but not what that needs.
    python3 -c 'import ensurepip, venv' 2> /dev/null || packages+=(python3-venv)
    if [ ${#packages[@]} = 0 ]; then return; fi
    has_program apt-get || fail "missing: ${packages[*]}; install them and run this again"
    [ "$(id -u)" = 0 ] ||
        fail "missing: ${packages[*]}; run: sudo apt-get install --no-install-recommends ${packages[*]}"
    say "installing ${packages[*]} with apt-get"
    quietly apt-get update
    quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
}

check_node() {
    local version
    version=$(node --version) || fail "node does not start; npm needs it"
    version=${version#v}
    [ "${version%%.*}" -ge "$NODE_VERSION_MIN" ] ||
        fail "node $version found, expected $NODE_VERSION_MIN or newer: https://nodejs.org"
}

install_rust_target() {
    has_program cargo || fail "cargo not found; install Rust with rustup: https://rustup.rs"
    if [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-wasip2" ]; then return; fi
    say "installing the target wasm32-wasip2 with rustup"
    quietly rustup target add wasm32-wasip2
}

# A directory is whole once it has a copy of the file that says what belongs there:
# the tests look for it, so that they notice other versions too.
is_installed() {
    cmp --silent "$1" "$2/installed"
}

install_python() {
    local requirements=$1 directory=$target/$2-venv
    if is_installed "$requirements" "$directory"; then return; fi
    say "installing $(grep -v '^#' "$requirements" | xargs) with pip into $directory"
    rm -rf "$directory"
    quietly python3 -m venv "$directory"
    quietly "$directory/bin/python" -m pip install --disable-pip-version-check -r "$requirements"
    cp "$requirements" "$directory/installed"
}

install_node() {
    local source=$1 directory=$target/$2-node
    if is_installed "$source/package-lock.json" "$directory"; then return; fi
    say "installing what $source/package-lock.json lists with npm into $directory"
    rm -rf "$directory"
    mkdir -p "$directory"
    cp "$source/package.json" "$source/package-lock.json" "$directory"
    # Not `npm ci`: it refuses lock files without the packages of all other platforms.
    quietly npm install --prefix "$directory" --ignore-scripts --no-audit --no-fund
    cp "$source/package-lock.json" "$directory/installed"
}

install_rust_target
install_packages
check_node
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
mkdir -p "$target"
for requirements in tests/python/*.txt; do
    install_python "$requirements" "$(basename "$requirements" .txt)"
done
install_python guest/examples/python/requirements.txt componentize-py
install_python guest/examples/python-rudderstack/requirements.txt componentize-py-rudderstack
install_node guest/examples/javascript componentize-js
install_node tests/pictures mermaid
install_node tests/sdks sdks
install_node tests/typescript typescript
say "all that the tests need is installed"
