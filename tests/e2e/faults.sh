#!/usr/bin/env bash
# Runs INSIDE the systemd bed as root (see run.sh): GitHub stub, configuration,
# `install`, start, faults. Exit status 0 when every expectation held.
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

# Windows shortened and budgets widened: one hour's worth of faults happens in
# minutes here. Medium risk is allowed, or nobody would approve the drop-ins.
write_config() {
  cat >/etc/$NAME/config.toml <<TOML
[daemon]
startup_grace_s = 1
[mode]
medium = "auto"
[detect]
unit_sweep_s = 5
host_sweep_s = 2
path_sweep_s = 3
flap_restarts = 4
flap_window_s = 60
stale_after_s = 1
quiet_s = 20
[budget]
fingerprint_per_hour = 6
fingerprint_per_day = 20
unit_per_hour = 20
host_per_hour = 200
host_per_day = 200
[fix]
stability_s = 5
quick_deadline_s = 10
research_deadline_s = 20
cleanable = ["/srv/e2e-small/log/*.[0-9]", "/var/log/*.gz"]
[escalation]
per_hour = 20
per_day = 40
coalesce_s = 2
[escalation.github]
repository = "acme/gateways"
token_file = "/etc/$NAME/github-token"
api_url = "https://localhost:8443"
ca_file = "/etc/$NAME/github-ca.pem"
timeout_s = 5
TOML
}

write_config
python3 /root/e2e/faults.py prepare
$NAME config check
$NAME install
systemctl daemon-reload
systemctl enable -q $NAME
systemctl start $NAME
systemctl is-active $NAME
exec python3 /root/e2e/faults.py run
