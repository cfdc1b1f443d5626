#!/usr/bin/env bash
# The recipes of docs/COOKBOOK.md on a real systemd, with the very lines of the page. Its fenced blocks that name a
# recipe are taken in their order:
#   toml  goes into the configuration, or into the file that its first line names
#   sh    is run; with `until` again and again, until it prints what the page shows
#   text  is what the commands before it print: all of it; … stands for anything within a line, or for whole lines
# What an operator does not type (a service, a fault) is below: prepare_RECIPE, and before_RECIPE_N in front of the
# N-th commands of it.
#
#   tests/e2e/cookbook.sh BINARY [RECIPE…]   on this machine: runs the bed
#   cookbook.sh inside                         what runs in the bed
set -euo pipefail
NAME=autonomous-orchestrator
ETC=/etc/$NAME
BOOK=/root/book
UNIT=/etc/systemd/system/press.service

outside() {
  local binary=$1 here
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  shift
  BED_ENV="RECIPES=$(IFS=,; echo "$*")" BED_TIMEOUT=400 "$here/../../scripts/bed.sh" run systemd "$here/cookbook.sh" \
    "$binary:/usr/local/bin/$NAME" "$here/../../docs/COOKBOOK.md:/root/COOKBOOK.md"
}

say() { printf 'ok    %s\n' "$*"; }
fail() {
  printf 'FAIL  %s\n' "$*"
  $NAME tasks --all || true
  journalctl -u $NAME -n 40 --no-pager || true
  exit 1
}
# until_so WHAT COMMAND…
until_so() {
  local what=$1
  shift
  for _ in {1..200}; do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.2
  done
  fail "not in time: $what"
}

# --- the page

# Each block in a file of its own below $BOOK: RECIPE/NUMBER.LANGUAGE, and NUMBER.until beside what is repeated.
cut_up() {
  python3 - /root/COOKBOOK.md $BOOK <<'PY'
import pathlib, re, sys
page, book = pathlib.Path(sys.argv[1]).read_text(), pathlib.Path(sys.argv[2])
for number, block in enumerate(re.finditer(r"^```(\w+) recipe=(\w+)( until)?\n(.*?)^```$", page, re.M | re.S)):
    language, recipe, until, text = block.groups()
    folder = book / recipe
    if not folder.exists():
        folder.mkdir(parents=True)
        with (book / "recipes").open("a") as names:
            print(recipe, file=names)
    (folder / f"{number:03}.{language}").write_text(text)
    if until:
        (folder / f"{number:03}.until").touch()
PY
}

# like TEXT OUTPUT: all of it is as the page shows it. Blanks count once: columns are as wide as what stands in them.
like() {
  python3 - "$1" "$2" <<'PY'
import pathlib, re, sys
shown, printed = (pathlib.Path(name).read_text() for name in sys.argv[1:])
def line(text):
    words = " ".join(text.split())
    return re.escape(words).replace("…", ".*") + "\n"
pattern = "".join("(.*\n)*" if text.strip() == "…" else line(text) for text in shown.splitlines())
printed = "".join(" ".join(text.split()) + "\n" for text in printed.splitlines())
sys.exit(0 if re.fullmatch(pattern, printed) else 1)
PY
}

# The kernel of the machine is not this host's alone, windows that an operator waits for are short here, and a table stands once: these lines join the page's own.
tuned() {
  python3 - "$1" <<'PY'
import pathlib, sys
own = {"daemon": 'startup_grace_s = 0\nhost_name = "line-7"\n', "fix": "stability_s = 2\n", "detect": "path_sweep_s = 2\nunit_sweep_s = 5\nkernel_log = false\n"}
text = pathlib.Path(sys.argv[1]).read_text() if len(sys.argv[1]) else ""
for table, lines in own.items():
    head = f"[{table}]\n"
    text = text.replace(head, head + lines) if head in text else head + lines + text
print(text, end="")
PY
}

write() {
  local file first
  read -r first <"$1"
  case $first in
    '# /'*) file=${first#\# } ;;
    *)
      # The page's lines alone are a configuration.
      $NAME --config "$1" config check >/dev/null || fail "$1 is refused"
      tuned "$1" >$ETC/config.toml
      return
      ;;
  esac
  cp "$1" "$file"
}

run_once() { (cd /root && bash -euo pipefail "$1") >"$BOOK/printed" 2>&1; }
# As the page shows it; commands that are repeated may fail until then.
shows() {
  run_once "$1" || [ -e "${1%.sh}.until" ] || return 1
  [ -z "$2" ] || like "$2" "$BOOK/printed"
}
run() {
  local script=$1 text=$2
  if [ -e "${script%.sh}.until" ]; then
    for _ in {1..200}; do
      if shows "$script" "$text"; then return; fi
      sleep 0.2
    done
  elif shows "$script" "$text"; then
    return
  fi
  printf '%s\n' "-- typed:" "$(cat "$script")" "-- printed:" "$(cat "$BOOK/printed")" "-- the page:" "$(cat "${text:-/dev/null}")"
  fail "${script#"$BOOK/"} does not print what the page shows"
}

# --- what is there before

# reloaded [TIMES]: what the page reloaded is in force.
reloaded() { [ "$(journalctl -u $NAME -o cat --since "@$BEGAN" | grep -c 'configuration reloaded')" -ge "${1:-1}" ]; }

afresh() {
  systemctl stop $NAME press.service
  rm -rf /var/lib/$NAME/* $ETC/*.d/* $ETC/knowledge $UNIT.d /opt/press*
  tuned '' >$ETC/config.toml
  cat >$UNIT <<'UNIT'
[Service]
ExecStart=/usr/bin/python3 -c 'from http.server import *; HTTPServer(("127.0.0.1", 8080), type("H", (BaseHTTPRequestHandler,), {"do_GET": lambda self: self.send_response(200) or self.end_headers()})).serve_forever()'
[Install]
WantedBy=multi-user.target
UNIT
  systemctl daemon-reload
  systemctl enable -q press.service
  systemctl start press.service
  until_so "the press answers" answers
  BEGAN=$(date +%s)
  "${1:-:}"
  systemctl start $NAME
}
answers() { python3 -c 'import urllib.request; urllib.request.urlopen("http://127.0.0.1:8080/", timeout=1)'; }
kill_press() { kill "-${1:-KILL}" "$(systemctl show -P MainPID press.service)"; }

before_observe_2() { until_so "reloaded" reloaded; kill_press; }
before_observe_4() { until_so "reloaded again" reloaded 2; }

# Before it answered once it may still be starting.
before_probe_2() { until_so "probed" probed; kill_press STOP; }
probed() { journalctl -u press.service -o cat --since "@$BEGAN" | grep -q 'GET /health'; }

prepare_approve() {
  mkdir -p /opt/press-1.2
  printf '#!/bin/sh\nexec sleep infinity\n' >/opt/press-1.2/run
  chmod 755 /opt/press-1.2/run
  sed -i 's,^ExecStart=.*,ExecStart=/opt/press-1.2/run,' $UNIT
  systemctl daemon-reload
  systemctl restart press.service
  until_so "the press runs" runs_sleep
  mv /opt/press-1.2 /opt/press
}
runs_sleep() { grep -qx sleep "/proc/$(systemctl show -P MainPID press.service)/comm"; }

before_silence_2() { kill_press; }

# The window of the page is open now.
before_maintenance_1() {
  sed -i "s/^from = .*/from = \"$(date -ud '-1 hour' +%H:%M)\"/; s/^to = .*/to = \"$(date -ud '+2 hours' +%H:%M)\"/; /^days/d" $ETC/config.toml
}
before_maintenance_2() { until_so "reloaded" reloaded; kill_press; }

prepare_message() {
  cat >/var/log/press.log <<'LOG'
Mar  1 06:00:01 line-7 pressd[77]: hydraulic pressure normal on line 3
Mar  1 06:00:09 line-7 pressd[77]: hydraulic pressure low on line 3: 41 bar
LOG
}
before_message_2() { logger -t pressd "hydraulic pressure low on line 3: 41 bar"; }

prepare_command() {
  printf '#!/bin/sh\n[ ! -e /root/stuck ] || { echo "the valve is stuck"; exit 2; }\n: >/root/was-green\n' >/usr/local/bin/check-valve
  printf '#!/bin/sh\nrm /root/stuck\n' >/usr/local/bin/reset-valve
  chmod 755 /usr/local/bin/check-valve /usr/local/bin/reset-valve
}
before_command_2() { until_so "reloaded" reloaded; until_so "green once" test -e /root/was-green; touch /root/stuck; }

prepare_disk() {
  mkdir -p /var/spool/press
  truncate -s 32M /root/spool
  mkfs.ext4 -q /root/spool
  mount -o loop /root/spool /var/spool/press
}
before_disk_2() {
  local n
  until_so "reloaded" reloaded
  for n in 1 2 3 4 5; do
    head -c 5M /dev/zero >"/var/spool/press/$n.job" 2>/dev/null || true
    touch -d "-$((9 - n)) days" "/var/spool/press/$n.job"
  done
}
after_disk() {
  [ ! -e /var/spool/press/1.job ] || fail "the oldest file is still there"
  [ -e /var/spool/press/5.job ] || fail "the newest file is gone"
  umount /var/spool/press
}

before_why_1() { $NAME config check >/dev/null; systemctl reload $NAME; until_so "reloaded" reloaded; systemctl stop press.service; }

# One Alertmanager that says yes, and a second gateway without a daemon.
prepare_fleet() {
  printf 'line-7\nline-8\n' >/root/gateways
  mkdir -p /root/line-8
  cat >/usr/local/bin/ssh <<'SSH'
#!/bin/sh
gateway=$1 program=$2
shift 2
[ "$gateway" = root@line-7 ] || set -- "$@" --config /root/line-8/config.toml
exec "$program" "$@"
SSH
  chmod 755 /usr/local/bin/ssh
  printf '[daemon]\nstate_dir = "/root/line-8"\nruntime_dir = "/root/line-8/run"\n[detect]\njournal = false\nkernel_log = false\n' >/root/line-8/config.toml
  $NAME --config /root/line-8/config.toml run --once --dry-run >/dev/null 2>&1
  systemd-run -q --unit peer python3 -c '
from http.server import *
class Peer(BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b"{}"
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = answer
HTTPServer(("127.0.0.1", 9093), Peer).serve_forever()'
}
before_fleet_1() {
  local wins
  until_so "the peer answers" python3 -c 'import urllib.request; urllib.request.urlopen("http://127.0.0.1:9093/", timeout=1)'
  # What is taken over counts at half.
  for wins in 1 2; do
    kill_press
    until_so "the press is repaired $wins times" repaired "$wins"
  done
}
repaired() { [ "$($NAME tasks --all --status closed --json | grep -oE '"resolution": *"fixed"' | wc -l)" = "$1" ]; }

# --- the recipes

try() {
  local recipe=$1 block text n=0
  afresh "$(command -v "prepare_$recipe" || echo :)"
  for block in "$BOOK/$recipe"/*.{toml,sh}; do echo "$block"; done | sort >$BOOK/blocks
  while read -r block; do
    case $block in
      *'*'*) ;;
      *.toml) write "$block" ;;
      *)
        n=$((n + 1))
        ! command -v "before_${recipe}_$n" >/dev/null || "before_${recipe}_$n"
        # The page's next block, where that shows something.
        text=$(printf '%s/%s/%03d.text' $BOOK "$recipe" $((10#$(basename "$block" .sh) + 1)))
        [ -e "$text" ] || text=''
        run "$block" "$text" </dev/null
        ;;
    esac
  done <$BOOK/blocks
  ! command -v "after_$recipe" >/dev/null || "after_$recipe"
  $NAME audit verify >/dev/null || fail "audit"
  say "$recipe ($SECONDS s)"
}

inside() {
  local recipe
  cut_up
  [ "$(wc -l <$BOOK/recipes)" = 10 ] || fail "the page has not ten recipes: $(paste -sd' ' $BOOK/recipes)"
  # What the machine's kernel says is of other beds, too.
  mkdir -p /etc/systemd/journald.conf.d
  printf '[Journal]\nReadKMsg=no\n' >/etc/systemd/journald.conf.d/50-own.conf
  systemctl restart systemd-journald
  mkdir -p $ETC
  tuned '' >$ETC/config.toml
  $NAME install >/dev/null
  printf '[Service]\nExecStart=/bin/true\n' >$UNIT
  while read -r recipe <&3; do
    [[ -n ${RECIPES:-} && ,$RECIPES, != *,$recipe,* ]] || try "$recipe"
  done 3<$BOOK/recipes
}

if [ $# -ge 1 ]; then outside "$@"; else inside; fi
