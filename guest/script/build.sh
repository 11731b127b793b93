#!/usr/bin/env bash
# Builds script.wasm, the component that runs user code in JavaScript, and stores it in the
# repository: the main build then needs no clang. With --check, compares the SHA-256 of a build
# with the stored one instead.
#
# The bytes depend on the sources, Cargo.lock, rust-toolchain.toml, and the versions of clang and
# wasi-libc (those of Debian 12), and on nothing else: paths are remapped.
set -euo pipefail
cd "$(dirname "$0")/../.."

CLANG_MAJOR=14
prebuilt=host/crates/plugin/prebuilt

fail() { echo "guest/script/build.sh: $*" >&2; exit 1; }

case ${1:-} in
    "") ;;
    --check) ;;
    *) fail "unknown argument $1; expected --check or none" ;;
esac
for program in clang llvm-ar zstd sha256sum; do
    command -v "$program" > /dev/null || fail "$program not found; run tests/setup.sh"
done
[ -d /usr/include/wasm32-wasi ] || fail "wasi-libc not found; run tests/setup.sh"
clang --version | grep -q "version $CLANG_MAJOR\." ||
    fail "expected clang $CLANG_MAJOR, found $(clang --version | head -1); other versions produce other bytes"

# A directory of its own: cargo holds the lock of the usual one while it runs tests.
target=${SCRIPT_TARGET_DIR:-target/guest-script}
workspace=$PWD
registry=${CARGO_HOME:-$HOME/.cargo}/registry/src
prefixes=("$workspace=/standpipe" "$(realpath -m "$target")=/target" "$registry=/registry")
rust_flags=-Ctarget-feature=+simd128
c_flags="--target=wasm32-wasi -nostdlibinc -isystem /usr/include/wasm32-wasi -D_WASI_EMULATED_SIGNAL -msimd128 -O3 -DNDEBUG"
c_flags+=" -include $workspace/guest/script/stack_limit.h"
for prefix in "${prefixes[@]}"; do
    # Cargo separates encoded flags by this character.
    rust_flags+=$'\x1f'--remap-path-prefix=$prefix
    c_flags+=" -ffile-prefix-map=$prefix"
done

# Without the first variable, rquickjs-sys downloads a toolchain.
env RQUICKJS_SYS_NO_WASI_SDK=1 \
    CC_wasm32_wasip2=clang AR_wasm32_wasip2=llvm-ar CFLAGS_wasm32_wasip2="$c_flags" \
    CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 \
    CARGO_PROFILE_RELEASE_DEBUG=none CARGO_PROFILE_RELEASE_STRIP=symbols \
    CARGO_ENCODED_RUSTFLAGS="$rust_flags" \
    cargo rustc --quiet --locked --release --package standpipe-script --lib --crate-type cdylib \
    --target wasm32-wasip2 --target-dir "$target"

built=$target/wasm32-wasip2/release/script.wasm
sha256=$(sha256sum "$built" | cut -d ' ' -f 1)
if [ "${1:-}" = --check ]; then
    stored=$(cat "$prebuilt/script.wasm.sha256")
    [ "$sha256" = "$stored" ] ||
        fail "the sources build a component with the SHA-256 $sha256, but $prebuilt has $stored; run guest/script/build.sh and commit the result"
else
    mkdir -p "$prebuilt"
    zstd --quiet --force --ultra -22 "$built" -o "$prebuilt/script.wasm.zst"
    echo "$sha256" > "$prebuilt/script.wasm.sha256"
fi
echo "script.wasm: $(stat -c %s "$built") bytes, SHA-256 $sha256"
