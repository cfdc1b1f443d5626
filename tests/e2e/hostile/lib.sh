# shellcheck shell=bash
# What the hostile scripts share: sourced on this machine and in the bed, where it lies beside them.
NAME=autonomous-orchestrator
FAILED=0

# in_bed SCRIPT BINARY [FILE:DEST…]: runs SCRIPT as root on a systemd of its own.
in_bed() {
  local script=$1 binary=$2 here
  here=$(cd "$(dirname "$script")" && pwd)
  shift 2
  BED_TIMEOUT=${BED_TIMEOUT:-300} "$here/../../../scripts/bed.sh" run systemd "$script" \
    "$binary:/usr/local/bin/$NAME" "$here/lib.sh:/root/lib.sh" "$@"
}

check() { # WHAT COMMAND…
  local what=$1
  shift
  if "$@" >/dev/null 2>&1; then echo "ok    $what"; else echo "FAIL  $what"; FAILED=1; fi
}

# until_so SECONDS COMMAND…
until_so() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep .2
  done
}

# shop UNIT PORT: a service whose command says where it listens.
shop() {
  printf 'import http.server, sys\nhttp.server.test(port=int(sys.argv[2]))\n' >/opt/shop.py
  printf '[Service]\nExecStart=/usr/bin/python3 /opt/shop.py --port %s\n[Install]\nWantedBy=multi-user.target\n' "$2" \
    >"/etc/systemd/system/$1.service"
}

# github_stub: a tracker on port 8443, its token and authority where the configuration below names them.
STUB=/root/e2e/github
github_stub() {
  local token
  token=ghs_$(openssl rand -hex 16)
  python3 /root/e2e/github_stub.py make-ca $STUB >/dev/null 2>&1
  mkdir -p /etc/$NAME
  (umask 077 && printf '%s\n' "$token" >/etc/$NAME/github-token)
  cp $STUB/ca.pem /etc/$NAME/github-ca.pem
  systemd-run -q --unit=stub /usr/bin/python3 /root/e2e/github_stub.py serve --dir $STUB --port 8443 --token "$token" \
    --schema /root/e2e/github_schema.json
}
# tracker_config: the section that names it.
tracker_config() {
  printf '[escalation.github]\nrepository = "acme/gateways"\ntoken_file = "/etc/%s/github-token"\n' $NAME
  printf 'api_url = "https://localhost:8443"\nca_file = "/etc/%s/github-ca.pem"\n' $NAME
}

not() { ! "$@"; }
as() { runuser -u "$1" -- sh -c "$2"; } # USER SCRIPT
sql() { python3 -c 'import sqlite3,sys; [print(*row, sep="|") for row in sqlite3.connect("file:/var/lib/autonomous-orchestrator/tasks.db?mode=ro", uri=True).execute(sys.argv[1])]' "$1"; }
none() { [ -z "$(sql "$1")" ]; }
some() { [ -n "$(sql "$1")" ]; }
daemon_pid() { systemctl show -P MainPID $NAME; }

# Starts the daemon and waits until it reads the journal.
start_daemon() {
  systemctl daemon-reload
  systemctl start $NAME
  until_so 30 some "SELECT 1 FROM cursors WHERE stream = 'journal'"
}

# Last line of a script: what there is to see when something failed, and the exit status.
outcome() {
  if [ $FAILED != 0 ]; then
    sql "SELECT id, issue_type, subject, severity, status, said_by, evidence, substr(issue_message, 1, 80) FROM tasks" || true
    $NAME history | tail -n 30 || true
    journalctl -u $NAME -n 30 --no-pager -o cat || true
  fi
  exit $FAILED
}
