#!/usr/bin/env bash
# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Makes .venv with the development tools of uv.lock, and uv itself where there is none.

set -euo pipefail
shopt -s inherit_errexit nullglob
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tools=build/tools
log=build/setup.log

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

find_python() {
    local candidate
    for candidate in python3 python3.{14,13,12,11,10,9} /usr/bin/python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail 'no Python 3.9 or newer was found: install python3 and try again.'
}

# Debian keeps venv in a package of its own; pip alone does as well.
install_uv() {
    local python install=(install --quiet --disable-pip-version-check --require-hashes --requirement tests/tools/uv.txt)
    python=$(find_python)
    echo "setup: installing uv with $python into $tools" >&2
    rm -rf "$tools"
    mkdir -p "$tools"
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        "$python" -m venv "$tools" >&2
        "$tools/bin/python" -m pip "${install[@]}" >&2
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip "${install[@]}" --target "$tools" >&2
    else
        fail "$python has neither venv nor pip: apt install python3-venv (or install uv) and try again."
    fi
    "$tools/bin/uv" --version >/dev/null || fail "uv was installed into $tools but does not run."
}

find_uv() {
    local found
    found=$(command -v uv || true)
    if [[ -n $found ]] && "$found" --version >/dev/null 2>&1; then
        echo "$found"
        return
    fi
    [[ -x $tools/bin/uv ]] || install_uv
    echo "$PWD/$tools/bin/uv"
}

mkdir -p build
uv=$(find_uv)
echo "setup: installing the development tools into .venv with $("$uv" --version)"

# pyenv keeps its Pythons where uv does not look.
for folder in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin; do
    PATH=$PATH:$folder
done

# Every ansible-playbook of the suite would compile Ansible anew where Python is not allowed to write bytecode.
if ! "$uv" sync --locked --compile-bytecode --quiet 2>"$log"; then
    tail -n 20 "$log" >&2
    fail 'the development tools could not be installed (see above).' \
        'They need Python 3.12 or newer (Debian 13: apt install python3; elsewhere: uv python install 3.13) and PyPI.'
fi
.venv/bin/python tests/tools/collection_tree.py
