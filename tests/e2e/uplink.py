"""The uplink's doctor on a real systemd, a real kernel and real daemons: what is broken, found when, told, repaired.

Run by uplink.sh inside a bed: `uplink.py table` prints a row a fault, `uplink.py undo SEEDS` cuts the box off by its own
repair, with a kill -9 in between and without, and waits for the way back.

What is real: kernel, veth links, ARP, routes, TLS, systemd, systemd-networkd, udhcpd of BusyBox, the daemon. What is emulated:
the provider, the resolver and the destinations (network namespaces and small servers here), the wrong clock (the destination's
certificate begins in the future; a bed may not set the clock).
"""
import json
import os
import random
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time

NAME = "autonomous-orchestrator"
BASE = "/root/uplink"
CONF = f"{BASE}/config.toml"
HUB, DNS, TRAP = "203.0.113.10", "203.0.113.53", "203.0.113.66"
CONFIG = f"""[daemon]
state_dir = "{BASE}/state"
runtime_dir = "{BASE}/run"
startup_grace_s = 0
log_level = "info"
[detect]
disabled = ["clock_unsynced", "config_drift", "container_unhealthy", "disk", "memory_pressure", "port_conflict", "readonly_fs",
            "service_failed", "service_flapping", "service_inactive", "stale_process", "thermal", "invalid_unit_path", "service_hung",
            "storage_wear"]
interfaces = ["wan0"]
journal = false
kernel_log = false
[fix]
stability_s = 5
[mode]
medium = "auto"
[mode.action]
renew_uplink = "MODE"
[mode.class]
network_down = "observe"
[webhook]
url = "https://hub.test/told"
ca_file = "{BASE}/ca.pem"
timeout_s = 4
[ping]
url = "https://hub.test/ping"
ca_file = "{BASE}/ca.pem"
every_s = 5
timeout_s = 4
[[log_file]]
path = "{BASE}/app.log"
"""


def sh(*argv, check=True):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()} {done.stdout.strip()}")
    return done.stdout


def ip(*words, ns=None, check=True):
    return sh("ip", *(["-n", ns] if ns else []), *words, check=check)


def put(path, text, mode="w"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, mode, encoding="utf-8") as out:
        out.write(text)


# --- the world outside: a namespace with the router, the resolver and the destinations ---------------------------------

WORLD = r'''
import os, socket, ssl, sys, threading, struct
base, hub, dns, trap = sys.argv[1:]
def serve(address, pem):
    def loop():
        one = socket.socket(); one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.IPPROTO_IP, 15, 1)
        one.bind((address, 443)); one.listen(64)
        while True:
            peer, _ = one.accept()
            threading.Thread(target=answer, args=(peer,), daemon=True).start()
    def answer(peer):
        try:
            peer.settimeout(5)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{base}/{open(f'{base}/cert-{address}').read().strip()}.pem")
            with context.wrap_socket(peer, server_side=True) as sealed:
                got = sealed.recv(65536)
                while got and b"\r\n\r\n" not in got: got += sealed.recv(65536)
                if b"POST" in got[:8]:
                    head, _, body = got.partition(b"\r\n\r\n")
                    size = int([l.split(b":")[1] for l in head.split(b"\r\n") if l.lower().startswith(b"content-length")][0])
                    while len(body) < size: body += sealed.recv(65536)
                    with open(f"{base}/told", "ab") as out: out.write(body.replace(b"\n", b" ") + b"\n")
                sealed.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        except (OSError, ValueError, IndexError):
            pass
        finally:
            peer.close()
    threading.Thread(target=loop, daemon=True).start()
serve(hub, "hub"); serve(trap, "trap")
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); one.setsockopt(socket.IPPROTO_IP, 15, 1); one.bind((dns, 53))
while True:
    query, peer = one.recvfrom(512)
    mode = open(f"{base}/dns").read().strip()
    if mode == "dead": continue
    end = 12
    while query[end]: end += query[end] + 1
    kind = struct.unpack(">H", query[end + 1:end + 3])[0]
    question = query[12:end + 5]
    head = query[:2] + b"\x81\x80\x00\x01" + (b"\x00\x01" if kind == 1 else b"\x00\x00") + b"\x00\x00\x00\x00"
    record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04" + socket.inet_aton(trap if mode == "captive" else hub)
    try: one.sendto(head + question + (record if kind == 1 else b""), peer)
    except OSError: pass  # the cable is out
'''


def certificates():
    run = lambda *words: sh("openssl", *words)
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=test root",
        "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", f"{BASE}/ca.key", "-out", f"{BASE}/ca.pem")
    put(f"{BASE}/ext", "subjectAltName=DNS:hub.test\nbasicConstraints=CA:FALSE\n")
    os.makedirs(f"{BASE}/db/new", exist_ok=True)
    put(f"{BASE}/db/index", "")
    put(f"{BASE}/db/ca.cnf", f"[ca]\ndefault_ca=x\n[x]\ndir={BASE}/db\ndatabase={BASE}/db/index\nnew_certs_dir={BASE}/db/new\nrand_serial=yes\n"
        "default_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n")
    year = int(time.strftime("%Y"))
    for name, begins, ends in (("hub", f"{year - 1}0101000000Z", f"{year + 3}0101000000Z"), ("early", f"{year + 2}0101000000Z", f"{year + 3}0101000000Z")):
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=hub.test", "-keyout", f"{BASE}/{name}.key",
            "-out", f"{BASE}/{name}.csr")
        run("ca", "-batch", "-config", f"{BASE}/db/ca.cnf", "-cert", f"{BASE}/ca.pem", "-keyfile", f"{BASE}/ca.key", "-in", f"{BASE}/{name}.csr",
            "-startdate", begins, "-enddate", ends, "-extfile", f"{BASE}/ext", "-notext", "-out", f"{BASE}/{name}.crt")
        sh("sh", "-c", f"cat {BASE}/{name}.key {BASE}/{name}.crt > {BASE}/{name}.pem")
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=portal",
        "-keyout", f"{BASE}/trap.key", "-out", f"{BASE}/trap.crt")
    sh("sh", "-c", f"cat {BASE}/trap.key {BASE}/trap.crt > {BASE}/trap.pem")
    os.chmod(f"{BASE}/ca.pem", 0o600)


class World:
    def __init__(self):
        put(f"{BASE}/world.py", WORLD)
        put(f"{BASE}/dns", "ok\n")
        put(f"{BASE}/cert-{HUB}", "hub\n")
        put(f"{BASE}/cert-{TRAP}", "trap\n")
        os.makedirs("/run/netns", exist_ok=True)
        ip("netns", "add", "isp")
        ip("link", "set", "lo", "up", ns="isp")
        for address in (HUB, DNS, TRAP):
            ip("addr", "add", f"{address}/32", "dev", "lo", ns="isp")
        ip("link", "add", "wan0", "type", "veth", "peer", "name", "isp0", "netns", "isp")
        ip("addr", "add", "192.0.2.1/24", "dev", "isp0", ns="isp")
        ip("link", "set", "isp0", "up", ns="isp")
        put(f"{BASE}/udhcpd.conf", "start 192.0.2.100\nend 192.0.2.120\ninterface isp0\nmin_lease 10\nmax_leases 20\n"
            f"lease_file {BASE}/leases\npidfile {BASE}/udhcpd.pid\noption subnet 255.255.255.0\noption router 192.0.2.1\noption lease LEASE\n")
        put(f"{BASE}/leases", "")
        self.server = subprocess.Popen(["ip", "netns", "exec", "isp", "python3", f"{BASE}/world.py", BASE, HUB, DNS, TRAP])
        self.dhcp = None
        put("/etc/systemd/network/wan0.network", NETWORK)
        sh("sh", "-c", f"umount /etc/resolv.conf 2>/dev/null; rm -f /etc/resolv.conf; echo 'nameserver {DNS}' > /etc/resolv.conf")
        sh("systemctl", "start", "systemd-networkd")

    def lease(self, seconds, network="192.0.2"):
        self.no_lease()
        put(f"{BASE}/leases", "")
        text = open(f"{BASE}/udhcpd.conf", encoding="utf-8").read().replace("LEASE", str(seconds)).replace("192.0.2", network)
        put(f"{BASE}/udhcpd-now.conf", text)
        self.dhcp = subprocess.Popen(["ip", "netns", "exec", "isp", "busybox", "udhcpd", "-f", f"{BASE}/udhcpd-now.conf"],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def no_lease(self):
        if self.dhcp:
            self.dhcp.kill()
            self.dhcp.wait()
            self.dhcp = None


NETWORK = "[Match]\nName=wan0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n[DHCPv4]\nUseDNS=no\n"


def reaches():
    done = subprocess.run(["ip", "route", "get", HUB], capture_output=True, text=True, check=False)
    try:
        with socket.create_connection((HUB, 443), 2):
            return done.returncode == 0
    except OSError:
        return False


def wait(what, good, seconds):
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        got = good()
        if got:
            return time.monotonic() - began, got
        time.sleep(0.25)
    raise RuntimeError(f"{what}: not within {seconds} s")


# --- the daemon ----------------------------------------------------------------------------------------------------------


def start(mode):
    put(CONF, CONFIG.replace("MODE", mode))
    log = open(f"{BASE}/daemon.log", "ab")
    return subprocess.Popen([NAME, "run", "--config", CONF], stdout=log, stderr=log)


def stop(daemon):
    daemon.terminate()
    daemon.wait(20)


def rows(sql, *values):
    try:
        with sqlite3.connect(f"file:{BASE}/state/tasks.db?mode=ro", uri=True, timeout=10) as db:
            return db.execute(sql, values).fetchall()
    except sqlite3.OperationalError:
        return []


def uplinks(after=0):
    return rows("SELECT id, status, evidence, cause FROM tasks WHERE issue_type = 'uplink_down' AND id > ? ORDER BY id", after)


def last_task():
    found = rows("SELECT max(id) FROM tasks")
    return (found[0][0] or 0) if found else 0


# --- the faults -----------------------------------------------------------------------------------------------------------


class Fault:
    def __init__(self, name, stage, inject, end, how="real", mode="suggest", waits=100, repaired=False, lease=20):
        self.name, self.stage, self.inject, self.end = name, stage, inject, end
        self.how, self.mode, self.waits, self.repaired, self.lease = how, mode, waits, repaired, lease


def faults(world):
    def gateway(there):
        ip("addr", "add" if there else "del", "192.0.2.1/24", "dev", "isp0", ns="isp")
        if there:
            ip("neigh", "flush", "dev", "wan0", check=False)

    def peer(there):
        ip("addr", "add" if there else "del", f"{HUB}/32", "dev", "lo", ns="isp")

    def second():
        ip("link", "add", "wan1", "type", "veth", "peer", "name", "isp1", "netns", "isp")
        ip("addr", "add", "198.51.100.1/24", "dev", "isp1", ns="isp")
        ip("link", "set", "isp1", "up", ns="isp")
        ip("link", "set", "wan1", "up")
        ip("addr", "add", "198.51.100.2/24", "dev", "wan1")
        ip("route", "add", "default", "via", "198.51.100.1", "dev", "wan1", "metric", "4000")
        time.sleep(15)
        ip("link", "set", "isp0", "down", ns="isp")

    def no_second():
        ip("link", "set", "isp0", "up", ns="isp")
        ip("link", "del", "wan1")

    def flushed():
        ip("addr", "add", "172.20.0.1/32", "dev", "wan0")
        ip("route", "add", "172.21.0.0/16", "dev", "wan0")
        ip("addr", "del", sh("sh", "-c", "ip -o -4 addr show dev wan0 | awk '/192.0.2/{print $4}'").strip(), "dev", "wan0")

    def renamed(old, new):
        ip("link", "set", old, "down")
        ip("link", "set", old, "name", new)
        ip("link", "set", new, "up")

    def wrong_route(there):
        if there:
            ip("link", "add", "lan0", "type", "veth", "peer", "name", "lan1", "netns", "isp")
            ip("link", "set", "lan0", "up")
            ip("link", "set", "lan1", "up", ns="isp")
            ip("addr", "add", "10.77.0.1/24", "dev", "lan0")
            ip("route", "del", "default")
            ip("route", "add", "default", "via", "10.77.0.9", "dev", "lan0")
        else:
            ip("link", "del", "lan0")
            sh("networkctl", "reconfigure", "wan0")

    def lost(there):
        if there:
            world.no_lease()
        else:
            world.lease(20)
            sh("networkctl", "reconfigure", "wan0")

    return [
        Fault("cable out", "link", lambda: ip("link", "set", "isp0", "down", ns="isp"), lambda: ip("link", "set", "isp0", "up", ns="isp")),
        Fault("lease lost, no DHCP server", "address", lambda: lost(True), lambda: lost(False)),
        Fault("address taken away, mode auto", "route", flushed, lambda: None, mode="auto", repaired=True, lease=3600),
        Fault("wrong route", "route", lambda: wrong_route(True), lambda: wrong_route(False)),
        Fault("gateway silent", "gateway", lambda: gateway(False), lambda: gateway(True)),
        Fault("dead resolver", "resolver", lambda: put(f"{BASE}/dns", "dead\n"), lambda: put(f"{BASE}/dns", "ok\n")),
        Fault("captive DNS", "peer", lambda: put(f"{BASE}/dns", "captive\n"), lambda: put(f"{BASE}/dns", "ok\n")),
        Fault("time far off, TLS fails", "clock", lambda: put(f"{BASE}/cert-{HUB}", "early\n"), lambda: put(f"{BASE}/cert-{HUB}", "hub\n"), how="emulated"),
        Fault("peer down", "peer", lambda: peer(False), lambda: peer(True)),
        Fault("interface renamed", "link", lambda: renamed("wan0", "wan7"), lambda: renamed("wan7", "wan0")),
        Fault("two uplinks, the first cut", "", second, no_second, waits=45),
    ]


def told():
    try:
        with open(f"{BASE}/told", encoding="utf-8", errors="replace") as source:
            return source.read()
    except FileNotFoundError:
        return ""


def one(world, fault):
    if fault.lease != 20:
        world.lease(fault.lease)
        sh("networkctl", "reconfigure", "wan0")
        wait("reachable", reaches, 60)
    before, told_before = last_task(), len(told())
    daemon = start(fault.mode)
    try:
        # The doctor learns the way while it is whole.
        time.sleep(15)
        began = time.monotonic()
        fault.inject()
        found, row = "", None
        try:
            _, row = wait(fault.name, lambda: uplinks(before), fault.waits)
            found = f"{time.monotonic() - began:.0f}"
        except RuntimeError:
            pass
        stage, cause, says = "none", "", ""
        if row:
            # Each look names its stage: the last one counts.
            time.sleep(0 if fault.repaired else 22)
            evidence = json.loads(uplinks(before)[-1][2])
            stage, cause, says = evidence["stage"], evidence["stage_cause"], evidence["stage_says"]
        put(f"{BASE}/app.log", "2026-01-01 00:00:00 ERROR cannot resolve host broker.example.com\n", "a")
        action = outcome = "none"
        if fault.repaired:
            wait("repair", lambda: rows("SELECT 1 FROM attempts WHERE outcome IN ('verified', 'failed', 'undone', 'refused') AND task_id > ?", before), 120)
        tried = rows("SELECT action_text, outcome FROM attempts WHERE task_id > ? AND action_text LIKE 'set up interface%'", before)
        proposed = rows("SELECT 1 FROM tasks WHERE id > ? AND issue_type = 'uplink_down' AND proposed_action IS NOT NULL", before)
        if tried:
            action, outcome = tried[-1][0].replace("set up interface", "renew"), tried[-1][1]
        elif proposed:
            action = "proposed"
        kept = ""
        if fault.repaired:
            kept = "by hand kept" if "172.20.0.1" in ip("addr", "show", "dev", "wan0") and "172.21.0.0/16" in ip("route") else "BY HAND LOST"
            ip("addr", "del", "172.20.0.1/32", "dev", "wan0", check=False)
            ip("route", "del", "172.21.0.0/16", check=False)
        fault.end()
        if fault.lease != 20:
            world.lease(20)
            sh("networkctl", "reconfigure", "wan0")
        closed = ""
        if row:
            took, _ = wait(f"{fault.name}: the end", lambda: all(status in ("closed",) for _, status, *_ in uplinks(before)), 120)
            closed = f"{took:.0f}"
        wait("reachable again", reaches, 60)
        time.sleep(3)
        said = told()[told_before:]
        about = sum('"uplink_down"' in line for line in said.splitlines())
        others = sum('"log_error"' in line or '"network_down"' in line for line in said.splitlines())
        good = stage == (fault.stage or "none") and (not fault.repaired or (outcome == "verified" and kept == "by hand kept"))
        print(f"ROW\t{fault.name}\t{fault.how}\t{found}\t{stage}/{cause}\t{action}\t{outcome}\t{about}+{others}\t{closed}\t{kept or says}", flush=True)
        return good
    finally:
        stop(daemon)


def table(world):
    print("ROW\tfault\thow\tfound after (s)\tstage/cause\taction\tverified\ttold: uplink+others\tover after (s)\tsays", flush=True)
    bad = 0
    for fault in faults(world):
        if ONLY and ONLY not in fault.name:
            continue
        try:
            bad += not one(world, fault)
        except (RuntimeError, subprocess.SubprocessError) as why:
            bad += 1
            print(f"ROW\t{fault.name}\tBROKE: {why}", flush=True)
            fault.end() if "end" not in str(why) else None
    return bad


def shape():
    """Addresses and routes of the interface, without what counts down."""
    addresses = [line.split()[3] for line in ip("-o", "-4", "addr", "show", "dev", "wan0").splitlines()]
    routes = sorted(" ".join(line.split()) for line in ip("route", "show", "dev", "wan0").splitlines())
    return sorted(addresses), [line for line in routes if "linkdown" not in line]


def undo(world, seeds, first):
    """The repair itself cuts the box off: the router is gone, and whoever gives leases by now gives those of another network."""
    bad = 0
    for seed in range(first, first + seeds):
        dice = random.Random(seed)
        kills, moment = dice.random() < 0.6, dice.uniform(0.0, 3.0)
        ip("route", "replace", "172.21.0.0/16", "via", "192.0.2.1", "dev", "wan0")
        had, daemon = shape(), start("auto")
        wrong = lambda: [address for address in shape()[0] if address.startswith("10.9.9.")]
        time.sleep(12)
        ip("addr", "del", "192.0.2.1/24", "dev", "isp0", ns="isp")
        ip("addr", "add", "10.9.9.250/24", "dev", "isp0", ns="isp")
        world.lease(3600, "10.9.9")
        began = time.monotonic()
        what = "without a kill"
        try:
            wait("the wrong address", wrong, 200)
            changed = time.monotonic()
            if kills:
                time.sleep(moment)
                daemon.send_signal(signal.SIGKILL)
                daemon.wait(10)
                what = f"kill -9 {moment:.1f} s after the change, never started again"
            wait("the way back", lambda: set(had[0]) <= set(shape()[0]) and set(had[1]) <= set(shape()[1]) and not wrong(), 150)
            print(f"ROW\tseed {seed}\t{what}\tchanged after {changed - began:.0f} s\tundone by itself {time.monotonic() - changed:.0f} s later\tyes", flush=True)
        except RuntimeError as why:
            bad += 1
            print(f"ROW\tseed {seed}\t{what}\t{why}\t{shape()} had {had}\tNO", flush=True)
            print(sh("journalctl", "-u", "systemd-networkd", "-u", f"{NAME}-undo-wan0.service", "--no-pager", "-n", "30"), flush=True)
        if daemon.poll() is None:
            stop(daemon)
        sh("systemctl", "stop", f"{NAME}-undo-wan0.timer", check=False)
        ip("addr", "del", "10.9.9.250/24", "dev", "isp0", ns="isp")
        ip("addr", "replace", "192.0.2.1/24", "dev", "isp0", ns="isp")
        world.lease(3600)
        sh("networkctl", "reconfigure", "wan0")
        time.sleep(3)
        wait("reachable again", lambda: reaches() and any("proto dhcp" in line for line in shape()[1]), 60)
    return bad


ONLY = os.environ.get("UPLINK_ONLY", "")


def main():
    os.makedirs(f"{BASE}/state", exist_ok=True)
    put(f"{BASE}/app.log", "")
    certificates()
    world = World()
    bad = 1
    try:
        world.lease(20 if sys.argv[1] == "table" else 3600)
        wait("the box is reachable", reaches, 60)
        bad = table(world) if sys.argv[1] == "table" else undo(world, int(sys.argv[2]), int(sys.argv[3]))
    finally:
        if bad:
            with open(f"{BASE}/daemon.log", encoding="utf-8", errors="replace") as source:
                print(source.read()[-6000:])
        world.no_lease()
        world.server.kill()
    sys.exit(1 if bad else 0)


main()
