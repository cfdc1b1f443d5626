#!/usr/bin/env bash
# Everything that is tested, from a clean clone.
#
#   scripts/test.sh [--long] [SECTION…]
#
# Sections in order: format scripts static clippy test import badinput arm64
# complete story cookbook pictures e2e issues hostile install footprint; with --long also
#   containers    a real Podman: containers that fail in each way, and those that are to be left alone
#   bus           systemd over its own socket, the system bus and systemctl, a kill each
#   crash         1,000 kills and 200 power cuts of the store, 10 GB of findings in a day
#   powercut      60 power cuts of an emulated machine whose disk forgets
#   breaks        eleven deliberate breaks of the decision, each of which a test must notice
#   mutants       every small change of the decision, the gates and the roots, beside the tests of the core
#   simulation    scan, work, send and crash interleaved by 10,000 seeds
#   completelong  a million log lines, 100 kills of the daemon, a foreign lock for a minute
#   latency       log line to task, kill to running again, beside Monit
#   classes       each finding class on four kinds of host
#   catalogue     every scripted fault on a real systemd
#   hostilelong   storms of lines, approvals raced, whom root could be made to end, a store full of tasks, on a real systemd
#   kills         the daemon killed at each step of each kind of action, on a real systemd
#   deploy        an emulated arm64 machine
#   uplink        each stage of the way out broken, its repair undone by itself, on a real systemd
#   soak          half an hour under load
#   fuzz          every reader of foreign bytes, a fixed count of inputs each
# Only the named ones run when any is named.
#
# What mostly waits runs beside others, in beds of its own, and is printed at its
# place: `issues` as soon as the binary is built, those from `arm64` to `install`
# together. Nothing runs beside `footprint`, which measures.
#
# What a section needs is installed (Debian). Sections that need root or
# namespaces skip elsewhere; with CI=true a skip is a failure, and the static
# builds take their standard library from Debian's sources, so that the result
# never depends on which host answers. The last line is
# `N passed, N failed, N skipped in N s`.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

DEFAULT=(format scripts static clippy test import badinput arm64 complete story cookbook pictures e2e issues hostile install footprint)
LONG=(containers bus crash powercut breaks mutants simulation completelong latency classes catalogue hostilelong kills deploy uplink soak fuzz)
TARGETS=(x86_64-unknown-linux-musl aarch64-unknown-linux-musl)
# What a section exits with to say "cannot run here".
SKIP=77
# Waits for minutes and asks for little: begun once the binary is there.
EARLY=(issues)
# Begun together when the first of them is due.
TOGETHER=(arm64 complete story cookbook pictures e2e hostile install)
[ "${CI:-}" != true ] || export MUSL_STD=${MUSL_STD:-debian}
export CARGO_TERM_COLOR=never

skip() { echo "skipped: $*"; exit $SKIP; }
need_root() { [ "$(id -u)" = 0 ] || skip "needs root"; }
need_bed() {
  need_root
  unshare --mount --pid --fork true 2>/dev/null || skip "namespaces cannot be made here"
}
# binary_for TARGET: built in the first section that needs it, once a run; a test of yesterday's binary is worse than none.
binary_for() {
  (
    flock 9
    [ -e "$WORK/built-$1" ] || { scripts/build.sh "$1" >&2 && touch "$WORK/built-$1"; }
  ) 9>"$WORK/building" || return 1
  echo "$ROOT/dist/$NAME-$1"
}
native_binary() { binary_for "$(uname -m)-unknown-linux-musl"; }

section_format() { cargo fmt --all --check; }
section_clippy() {
  cargo clippy --locked --all-targets -q -- -D warnings
  # Links in the documentation of the public face lead somewhere.
  RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps -q
}
section_test() {
  # Real servers: Alertmanager, Prometheus and node_exporter for the fleet tests, Exim and Mosquitto for mail and MQTT.
  # Python makes the database that is adopted.
  apt_need gcc:gcc python3:python3 mkfs.ext4:e2fsprogs findmnt:util-linux openssl:openssl \
    prometheus-alertmanager:prometheus-alertmanager prometheus:prometheus promtool:prometheus \
    prometheus-node-exporter:prometheus-node-exporter mosquitto:mosquitto mosquitto_sub:mosquitto-clients
  # Another mail server that is here would have to go for it: then its tests skip.
  [ -e /usr/sbin/sendmail ] || apt_need /usr/sbin/exim4:exim4-daemon-light
  cargo test --locked -q
}

section_scripts() {
  apt_need shellcheck:shellcheck python3:python3 openssl:openssl
  shellcheck -x scripts/*.sh tests/e2e/*.sh tests/e2e/hostile/*.sh .ci/run
  shellcheck -s sh scripts/init/*.sysv
  # Compiled in memory: nothing is written into the tree.
  python3 - tests/e2e/*.py tests/e2e/hostile/*.py tests/tools/*.py <<'PY'
import sys
for name in sys.argv[1:]:
    compile(open(name, encoding="utf-8").read(), name, "exec")
PY
  python3 -B tests/e2e/github_stub.py selftest
  # Each deliberate break of `breaks` still has its place.
  python3 -B tests/tools/breaks.py fits tests/mutants/breaks.toml .
  # What docs/TROUBLESHOOTING.md quotes is what the program says.
  python3 -B tests/tools/messages.py
}

section_static() {
  scripts/build.sh "${TARGETS[@]}"
  touch "${TARGETS[@]/#/$WORK/built-}"
}

section_arm64() {
  need_root
  local binary
  binary=$(binary_for aarch64-unknown-linux-musl)
  apt_need qemu-aarch64-static:qemu-user-static
  run_emulated "$binary" demo
}

# The demo starts the program again by itself, so the kernel has to know the
# emulator; what was not registered before is taken back.
run_emulated() {
  local binfmt=/proc/sys/fs/binfmt_misc status=0
  [ -e $binfmt/register ] || mount -t binfmt_misc none $binfmt
  if [ -e $binfmt/qemu-aarch64 ]; then
    "$@"
    return
  fi
  printf '%s' ':ao-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:F' >$binfmt/register
  "$@" || status=$?
  echo -1 >$binfmt/ao-aarch64
  return $status
}

section_import() {
  local binary
  binary=$(native_binary)
  tests/e2e/import.sh "$binary"
}

section_badinput() {
  need_bed
  local binary
  binary=$(native_binary)
  tests/e2e/bad_input.sh "$binary"
}

section_complete() {
  local binary
  apt_need python3:python3
  binary=$(native_binary)
  tests/e2e/completeness.py "$binary" --lines 50000 --kills 5
  tests/e2e/held_lock.py "$binary" --seconds 5
}

section_completelong() {
  local binary
  apt_need python3:python3
  binary=$(native_binary)
  tests/e2e/completeness.py "$binary" --lines 1000000 --kills 100
  tests/e2e/held_lock.py "$binary" --seconds 60
}

section_latency() {
  need_bed
  local binary
  binary=$(native_binary)
  scripts/bench-latency.sh "$binary"
  scripts/bench-kill.sh "$binary"
}

section_classes() {
  need_bed
  local binary
  binary=$(native_binary)
  scripts/class-table.sh "$binary"
}

section_story() {
  need_bed
  local binary
  apt_need git:git
  binary=$(native_binary)
  tests/e2e/story.sh "$binary"
}

# What docs/COOKBOOK.md says one types, and what one then sees.
section_cookbook() {
  need_bed
  local binary
  binary=$(native_binary)
  tests/e2e/cookbook.sh "$binary"
}

# The pages of the report as Chromium draws them, beside those of docs/pictures; fonts and browser are Debian's.
section_pictures() {
  local work
  command -v chromium-headless-shell >/dev/null || apt-cache show chromium-headless-shell >/dev/null 2>&1 \
    || skip "needs Debian's chromium-headless-shell"
  apt_need chromium-headless-shell:chromium-headless-shell /usr/lib/python3/dist-packages/PIL/Image.py:python3-pil \
    /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf:fonts-dejavu-core
  work=$(mktemp -d)
  AO_PICTURES=$work cargo test --locked -q --lib pictures >"$work/log" 2>&1 || { cat "$work/log"; return 1; }
  /usr/bin/python3 -B tests/tools/pictures.py "$work" docs/pictures || return 1
  rm -r "$work"
}

section_e2e() {
  need_bed
  local binary
  binary=$(native_binary)
  tests/e2e/run.sh "$binary"
}

# Lost answers and kills of the daemon leave exactly one issue. It waits for the courier's second look, minutes after an
# answer that left open whether the issue was created.
section_issues() {
  need_bed
  local binary file files=()
  binary=$(native_binary)
  for file in exactly_once.py github_stub.py github_schema.json; do files+=("tests/e2e/$file:/root/e2e/$file"); done
  BED_TIMEOUT=900 scripts/bed.sh run systemd tests/e2e/exactly_once.sh "$binary:/usr/local/bin/$NAME" "${files[@]}"
}

# A real engine and its containers on a real systemd; CONTAINERS_PROVEN=1: what ten healthy minutes change, too.
section_containers() {
  local binary
  need_bed
  apt_need podman:podman runc:runc conmon:conmon /usr/share/doc/busybox-static:busybox-static python3:python3
  binary=$(native_binary)
  tests/e2e/containers.sh "$binary"
  [ -z "${CONTAINERS_PROVEN:-}" ] || tests/e2e/containers.sh "$binary" proven
}

# A killed service runs again whichever way systemd is asked.
section_bus() {
  need_bed
  local binary
  binary=$(native_binary)
  BED_TIMEOUT=300 scripts/bed.sh run systemd tests/e2e/bus.sh "$binary:/usr/local/bin/$NAME"
}

section_install() {
  need_bed
  local binary init logs status=0
  binary=$(native_binary)
  logs=$(mktemp -d)
  # Beds mostly wait: the three side by side, printed one after another.
  for init in systemd sysv openrc; do
    BED_TIMEOUT=180 scripts/bed.sh run "$init" tests/e2e/install.sh "$binary:/root/$NAME" >"$logs/$init" 2>&1 &
    echo $! >"$logs/$init.pid"
  done
  for init in systemd sysv openrc; do
    wait "$(cat "$logs/$init.pid")" || status=1
    echo "-- install and uninstall on $init"
    cat "$logs/$init"
  done
  rm -r "$logs"
  return $status
}

section_footprint() {
  need_bed
  local binary
  binary=$(native_binary)
  BED_ENV="FOOTPRINT_SECONDS=$FOOTPRINT_SECONDS" BED_TIMEOUT=900 scripts/bed.sh run systemd tests/e2e/footprint.sh \
    "$binary:/usr/local/bin/$NAME" tests/e2e/footprint.py:/root/e2e/footprint.py
}

# Each in a bed of its own. They mostly wait: side by side, printed one after another.
hostile_scripts() {
  local binary one logs status=0
  need_bed
  binary=$(native_binary)
  logs=$(mktemp -d)
  for one; do
    "tests/e2e/hostile/$one.sh" "$binary" >"$logs/$one" 2>&1 &
    echo $! >"$logs/$one.pid"
  done
  for one; do
    echo "-- $one"
    wait "$(cat "$logs/$one.pid")" || status=1
    cat "$logs/$one"
  done
  rm -r "$logs"
  return $status
}

# What unprivileged users can do to it.
section_hostile() { hostile_scripts paths inputs forged text tracker sandbox programs; }

# What is measured in milliseconds goes alone.
section_hostilelong() {
  local status=0
  hostile_scripts approvals victim-process full-store state-disk-full || status=1
  STORM_SECONDS=60 STORM_FORGED=3000 hostile_scripts storm || status=1
  return $status
}

section_crash() {
  need_root
  apt_need gcc:gcc mkfs.ext4:e2fsprogs
  AO_POWER_CUTS=${AO_POWER_CUTS:-200} AO_CRASH_CYCLES=${AO_CRASH_CYCLES:-1000} \
    cargo test --locked -q --test integration store_crash -- --nocapture
  AO_FLOOD_MB=${AO_FLOOD_MB:-10240} cargo test --locked -q --release --test integration flood -- --nocapture
}

# The power of a whole emulated machine goes; its disk forgets what it was not asked to flush.
section_powercut() {
  local tests
  need_root
  apt_need python3:python3 mkfs.ext4:e2fsprogs
  tests=$(scripts/build.sh --tests aarch64-unknown-linux-musl)
  scripts/vm-bed.sh build >/dev/null
  AO_MACHINE_TESTS=$tests AO_MACHINE_CUTS=${AO_MACHINE_CUTS:-60} \
    cargo test --locked -q --test integration power_cut_of_the_machine -- --nocapture
}

section_breaks() {
  apt_need python3:python3
  scripts/check-mutants.sh
}

# Which files and which tests: .cargo/mutants.toml, in a copy of the core alone. Survivors and timeouts are no error of
# the run itself.
section_mutants() {
  local status=0
  apt_need python3:python3
  cargo mutants --version >/dev/null 2>&1 || cargo install --locked -q cargo-mutants
  # Still known when the section is left.
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
  python3 -B tests/tools/core_alone.py "$out/core"
  cargo mutants --dir "$out/core" --jobs 2 --colors never --output "$out" || status=$?
  case $status in
    0 | 2 | 3) python3 -B tests/tools/mutants.py "$out/mutants.out" tests/mutants/survivors.txt ;;
    *) return $status ;;
  esac
}

# Scan, work, send, crash and restart, interleaved by seeds over a disk that forgets.
section_simulation() {
  # The disk is simulated: the real one would only wait.
  [ ! -d /dev/shm ] || export TMPDIR=/dev/shm
  AO_SIMULATION_SEEDS=${AO_SIMULATION_SEEDS:-10000} \
    cargo test --locked -q --profile simulation --lib simulation -- --nocapture
}

# Every fault of the catalogue, for the program alone.
section_catalogue() {
  need_bed
  scripts/catalogue.sh "$(native_binary)"
}

section_kills() {
  need_bed
  scripts/catalogue.sh --kill
}

section_deploy() {
  need_root
  binary_for aarch64-unknown-linux-musl >/dev/null
  tests/e2e/deploy-arm64.sh
}

section_uplink() {
  need_bed
  local binary
  binary=$(native_binary)
  tests/e2e/uplink.sh "$binary" table
  tests/e2e/uplink.sh "$binary" undo "${UPLINK_SEEDS:-6}" "${UPLINK_SEED:-1}"
}

section_soak() {
  need_bed
  local binary
  binary=$(native_binary)
  BED_ENV="SOAK_SECONDS=${SOAK_SECONDS:-1800}" BED_TIMEOUT=7200 scripts/bed.sh run systemd tests/e2e/soak.sh \
    "$binary:/usr/local/bin/$NAME"
}

# Nightly, since only it can tell the fuzzer what code was reached. One target for each reader of
# src/daemon/fuzzing.rs, FUZZ_RUNS inputs each from one seed and an empty corpus, so that two runs are alike; an input
# that crashes, or takes longer than ten seconds, is kept below fuzz/artifacts. AO_FUZZ names one target alone.
section_fuzz() {
  local target work executions crashes status failed=0
  cargo +nightly --version >/dev/null 2>&1 || skip "needs a nightly toolchain"
  cargo fuzz --version >/dev/null 2>&1 || skip "needs cargo-fuzz"
  work=$(mktemp -d)
  # What the targets write is in memory: a disk would only be waited for.
  [ ! -d /dev/shm ] || export TMPDIR=/dev/shm
  cargo +nightly fuzz build --sanitizer none >"$work/build" 2>&1 || { tail -n 30 "$work/build"; return 1; }
  printf '%-16s %12s %8s\n' TARGET EXECUTIONS CRASHES
  for target in ${AO_FUZZ:-$(cargo +nightly fuzz list)}; do
    status=0
    mkdir "$work/$target"
    cargo +nightly fuzz run --sanitizer none "$target" "$work/$target" -- -seed=1 -runs="${FUZZ_RUNS:-100000}" \
      -timeout=10 -max_len=4096 -print_final_stats=1 >"$work/log" 2>&1 || status=$?
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
    crashes=0
    [ $status = 0 ] || crashes=1 failed=1
    printf '%-16s %12s %8s\n' "$target" "${executions:-0}" "$crashes"
    [ $status = 0 ] || tail -n 30 "$work/log"
  done
  rm -rf "$work"
  return $failed
}

selected=() want_long=no
for arg in "$@"; do
  case $arg in
    --long) want_long=yes ;;
    -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *)
      declare -F "section_$arg" >/dev/null || die "no section $arg: ${DEFAULT[*]} ${LONG[*]}"
      selected+=("$arg")
      ;;
  esac
done
if [ ${#selected[@]} = 0 ]; then
  selected=("${DEFAULT[@]}")
  [ $want_long = no ] || selected+=("${LONG[@]}")
fi

# Five minutes as the goal is stated, less where the whole run must stay short.
FOOTPRINT_SECONDS=${FOOTPRINT_SECONDS:-$([ $want_long = yes ] && echo 300 || echo 30)}

WORK=$(mktemp -d) begun=()
# Each of those begun is a group of its own: its beds go with it, whatever ends the run.
cleanup() {
  local group
  for group in "${begun[@]}"; do kill -- "-$group" 2>/dev/null || true; done
  rm -rf "$WORK"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# carry_out SECTION: its verdict is in a file; what it prints goes where it is called.
carry_out() {
  local began=$SECONDS status=0
  # A process of its own: errexit holds inside it, and it is not in a condition.
  set +e
  (set -e; "section_$1")
  status=$?
  set -e
  echo "$status $((SECONDS - began))" >"$WORK/$1.verdict"
}

# begin SECTION…: those of them that were chosen, beside what follows.
begin() {
  local name
  for name; do
    [[ " ${selected[*]} " == *" $name "* && ! -e $WORK/$name.pid ]] || continue
    set -m
    carry_out "$name" </dev/null >"$WORK/$name.out" 2>&1 &
    set +m
    begun+=($!)
    echo $! >"$WORK/$name.pid"
  done
}

passed=0 failed=0 skipped=0 report=()
for name in "${selected[@]}"; do
  echo
  echo "=== $name"
  # One that is alone is seen while it runs.
  if [[ ${#selected[@]} -gt 1 && " ${TOGETHER[*]} " == *" $name "* ]]; then begin "${TOGETHER[@]}"; fi
  if [ -e "$WORK/$name.pid" ]; then
    wait "$(cat "$WORK/$name.pid")" || true
    cat "$WORK/$name.out"
  else
    carry_out "$name"
  fi
  read -r status took <"$WORK/$name.verdict"
  if [ "$status" = 0 ]; then
    passed=$((passed + 1)) verdict=passed
  elif [ "$status" = $SKIP ] && [ "${CI:-}" != true ]; then
    skipped=$((skipped + 1)) verdict=skipped
  else
    failed=$((failed + 1)) verdict=FAILED
    [ "$status" != $SKIP ] || verdict='FAILED (skipped in CI)'
  fi
  echo "=== $name: $verdict after $took s"
  report+=("$(printf '%-12s %5d s  %s' "$name" "$took" "$verdict")")
  [ "$name" != static ] || begin "${EARLY[@]}"
done

echo
printf '%s\n' "${report[@]}"
echo
echo "$passed passed, $failed failed, $skipped skipped in $SECONDS s"
[ $failed = 0 ]
