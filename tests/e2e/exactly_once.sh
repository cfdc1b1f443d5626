#!/usr/bin/env bash
# Runs INSIDE the systemd bed as root (see section issues of scripts/test.sh): GitHub stub, configuration,
# `install`, start, two faults that nothing repairs. Exit status 0 when every
# expectation held.
set -euo pipefail
NAME=autonomous-orchestrator
STUB=/root/e2e/github
export STUB

python3 /root/e2e/github_stub.py make-ca "$STUB"
TOKEN=ghs_$(openssl rand -hex 16)
install -d -m 755 /etc/$NAME
(umask 077 && printf '%s\n' "$TOKEN" >/etc/$NAME/github-token)
cp "$STUB/ca.pem" /etc/$NAME/github-ca.pem

# The stub runs as a unit of its own, so that it outlives nothing and its output
# is in the journal like any other program's.
systemd-run -q --unit=e2e-github-stub /usr/bin/python3 /root/e2e/github_stub.py \
  serve --dir "$STUB" --port 8443 --token "$TOKEN" --schema /root/e2e/github_schema.json

# The kernel's log is that of the whole machine: faults of other beds are none here.
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nReadKMsg=no\n' >/etc/systemd/journald.conf.d/bed.conf
systemctl restart systemd-journald

# Deadlines are shortened, so that a human is told within minutes; budgets are as shipped.
cat >/etc/$NAME/config.toml <<TOML
[daemon]
startup_grace_s = 1
safe_start = false
[detect]
unit_sweep_s = 5
kernel_log = false
[fix]
stability_s = 5
quick_deadline_s = 10
research_deadline_s = 20
[escalation]
coalesce_s = 2
[escalation.github]
repository = "acme/gateways"
token_file = "/etc/$NAME/github-token"
api_url = "https://localhost:8443"
ca_file = "/etc/$NAME/github-ca.pem"
timeout_s = 5
TOML

$NAME config check
$NAME install
systemctl daemon-reload
systemctl start $NAME
exec python3 /root/e2e/exactly_once.py
