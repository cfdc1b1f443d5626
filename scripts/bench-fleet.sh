#!/usr/bin/env bash
# A thousand simulated gateways with 20 faults each against three real
# Alertmanagers on this machine, with docs/alertmanager.yml.
#
#   scripts/bench-fleet.sh [GATEWAYS]
#
# Prints what was accepted, requests per second, memory of each peer, groups
# formed, what is missing after a peer was killed and restarted, a poison label,
# and the end. Fails when anything is lost.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

apt_need prometheus-alertmanager:prometheus-alertmanager python3:python3
AO_FLEET_GATEWAYS=${1:-1000} CI=true \
  cargo test --locked -q --test integration fleet::thousand::a_fleet -- --nocapture
