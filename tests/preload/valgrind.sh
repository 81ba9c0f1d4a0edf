#!/bin/bash
# curl on the stack under valgrind: no error in the library, no error in curl.
set -euo pipefail
# shellcheck source=tests/preload/lib.sh
. "$(dirname "$0")/lib.sh"

if ! command -v valgrind >/dev/null; then
    skip valgrind "not installed"
    finish
fi

serve
make_file piece 1

clean_run() # OPTION...
{
    timeout -k 2 40 "$STANDIN" run valgrind -q --error-exitcode=99 "$@" \
        --suppressions="$ROOT/tests/preload/valgrind.supp" \
        curl -sSf -m 60 -o "$work/got" "http://$KERNEL4:8000/piece"
    cmp "$work/got" "$work/www/piece"
}

check "valgrind finds nothing in a download" clean_run --leak-check=no
check "nor does its search for leaks, which reads all memory" clean_run
check "nothing is left behind" clean
finish
