#!/bin/bash
# cover.sh BUILD - lines and branches of core, tun and preload that the tests of a --coverage build reached.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:?cover.sh BUILD}

report=$(find "$build" -name '*.gcda' -print0 | xargs -0 -r gcov -b -n 2>/dev/null)
awk '
    /^File / { file = $2; gsub(/\047/, "", file); ours = file ~ /^(core|tun|preload)\/.*\.c$/ }
    /^Lines executed:/ && ours { split($2, a, /[:%]/); lines[file] = a[2] + 0; of[file] = $4 + 0 }
    /^Branches executed:/ && ours { split($2, a, /[:%]/); branches[file] = a[2] + 0 }
    /^(Calls executed|No calls)/ { ours = 0 } # the total of all files follows without a name
    END {
        for (f in lines) {
            printf "  %-28s %6.1f %% of %5d lines, %6.1f %% of branches\n", f, lines[f], of[f], branches[f]
            hit += lines[f] * of[f] / 100; all += of[f]
        }
        if (all) { printf "  %-28s %6.1f %% of %5d lines\n", "~ all", 100 * hit / all, all }
    }' <<<"$report" | sort
