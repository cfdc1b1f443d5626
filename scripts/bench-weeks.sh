#!/usr/bin/env bash
# Four simulated weeks of one site whose faults come back: attempts per repair in each week, and what changes when
# an advisor, the knowledge bundle or learning is taken out, or a scripted language model is put in. The daemon's own
# sweep, worker and courier over a real database; host, time and model are scripted (src/daemon/tests/weeks).
#
#   scripts/bench-weeks.sh
#
#   AO_WEEKS_SEEDS   how many seeds are lived through, default 1; they move the hours and the order of the faults alone
#   AO_WEEKS_SEED    one seed alone
#   AO_WEEKS_SHOW    a subject, such as modem.service: the events of its tasks as well
set -euo pipefail
case ${1-} in
  -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export AO_WEEKS_SEEDS=${AO_WEEKS_SEEDS:-1}
cargo test --locked --quiet --profile simulation --lib -- daemon::tests::weeks --include-ignored --nocapture --test-threads=1
