#!/bin/sh
# All tests: every gate runs even when an earlier one failed, and the last line counts them. `sh scripts/test.sh unit lint` runs some.
set -u
cd "$(dirname "$0")/.." || exit 2
bin=node_modules/.bin
passed=0
failed=0
names=""

gate() {
  name=$1
  shift
  [ -z "$wanted" ] || case " $wanted " in *" $name "*) ;; *) return 0 ;; esac
  printf '\n== %s\n' "$name"
  start=$(date +%s)
  if "$@"; then
    passed=$((passed + 1))
    printf '== %s: passed in %s s\n' "$name" "$(($(date +%s) - start))"
  else
    failed=$((failed + 1))
    names="$names $name"
    printf '== %s: FAILED after %s s\n' "$name" "$(($(date +%s) - start))"
  fi
}

wanted="$*"
for name in $wanted; do
  grep -q "^gate $name " scripts/test.sh || { echo "there is no gate \"$name\"; there are: $(sed -n 's/^gate \([a-z]*\) .*/\1/p' scripts/test.sh | tr '\n' ' ')" >&2; exit 2; }
done
gate format "$bin/oxfmt" --check .
gate lint "$bin/oxlint" --type-aware --deny-warnings
gate types "$bin/tsc" --noEmit
gate unit "$bin/vitest" run
gate unused "$bin/knip"
gate package node scripts/package.ts
gate browser node --conditions=guerdon-source scripts/browser.ts
gate examples node scripts/examples.ts
gate readme node scripts/readme.ts --check
gate results node scripts/results.ts --check

[ "$failed" -eq 0 ] || printf '\nfailed:%s\n' "$names"
printf '\n%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
