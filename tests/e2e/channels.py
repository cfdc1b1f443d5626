#!/usr/bin/env python3
"""The real daemon with every channel at once: told, peers away for a while, killed at each step of a delivery, and peers
that misbehave (see scripts/bench-channels.sh). Prints one table of each; exit status 1 when one says something else than
docs/NOTIFY.md promises.

Real where a real one is here: Exim, Mosquitto, Alertmanager. The others are simulated, each request held against what
its vendor publishes (see Hooks)."""

import argparse
import base64
import concurrent.futures
import email
import email.policy
import http.server
import json
import mailbox
import os
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
EXIM, MOSQUITTO, ALERTMANAGER = "/usr/sbin/exim4", "/usr/sbin/mosquitto", "/usr/bin/prometheus-alertmanager"
CHANNELS = ["hook", "slack", "teams", "ntfy", "telegram", "email", "mqtt"]
# A channel of this name is that of `[webhook]`.
KINDS = {"hook": "webhook"}
# Steps of a delivery; all but `bytes` are AO_KILL_AT of debug builds (src/daemon/kill_point.rs).
STEPS = {"before_sending": "before it is marked", "sending": "marked", "bytes": "bytes gone", "before_confirmed": "answered"}
HEAD = ("| channel | peer | told once | all peers away, 4 new problems | killed: " + ", ".join(STEPS.values())
        + " | repeats of 4 kills, known by | secrets found | bytes of one message |")  # fmt: skip
DOCUMENT = os.path.join(ROOT, "docs", "NOTIFY.md")
DETECTORS = ["clock_unsynced", "config_drift", "container_unhealthy", "disk", "memory_pressure", "network_down", "port_conflict",
             "readonly_fs", "service_failed", "service_flapping", "service_inactive", "stale_process", "thermal", "uplink",
             "invalid_unit_path", "storage_wear"]  # fmt: skip
PATIENCE_S = 300
PLC = re.compile(r"plc-[a-z0-9]+(?:-[a-z0-9]+)*")
SECRETS = {
    "hook": "whk-5f2c90aa71d04e6b", "slack": "T0AA11BB2/B0CC33DD4/s1ackHookSecretPath", "teams": "sig=teamsWorkflowSecret77",
    "ntfy": "tk_ntfy0secret0token0xx", "telegram": "7712345678:AAtelegramSecretTokenOfABot0000", "email": "mail-s3cret-word",
    "mqtt": "mqtt-s3cret-word",
}  # fmt: skip
TEAMS_PATH = "/workflows/9f/triggers/manual/paths/invoke?api-version=1&" + SECRETS["teams"]
LOCK = threading.Lock()
PORTS = iter(range(20_000 + os.getpid() % 50 * 200, 32_000))
COMPLAINTS = []


def complain(what):
    with LOCK:
        COMPLAINTS.append(what)
    print(f"FAILED {what}", file=sys.stderr, flush=True)


def free_port():
    """Each is given out once, and none is of those that the kernel gives to whoever connects."""
    with LOCK:
        for port in PORTS:
            try:
                with socket.create_server(("127.0.0.1", port)):
                    return port
            except OSError:
                continue
    sys.exit("FAILED no free port")


def wait_for(what, condition, deadline_s=PATIENCE_S):
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            complain(f"not within {deadline_s} s: {what}")
            return False
        time.sleep(0.05)
    return True


class Proxy:
    """Before one peer: counts what the daemon sends, can be away, and can kill the daemon once its bytes have arrived."""

    def __init__(self, target):
        self.target, self.port, self.up, self.down = target, free_port(), 0, 0
        self.gate, self.server, self.pairs = None, None, []
        self.open()

    def open(self):
        self.server = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
        threading.Thread(target=self.accept, args=(self.server,), daemon=True).start()

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for one in self.pairs:
            for end in one:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.pairs = []

    def accept(self, server):
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            try:
                peer = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            self.pairs.append((client, peer))
            threading.Thread(target=self.pump, args=(client, peer, True), daemon=True).start()
            threading.Thread(target=self.pump, args=(peer, client, False), daemon=True).start()

    def pump(self, source, sink, is_up):
        try:
            while data := source.recv(65536):
                if is_up:
                    self.up += len(data)
                else:
                    self.down += len(data)
                    if self.gate:
                        self.gate()
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Arrivals:
    """What reached somebody, whatever the channel."""

    def __init__(self):
        self.all = []

    def add(self, channel, text, over, ident):
        names = PLC.findall(text)
        with LOCK:
            self.all.append({"channel": channel, "plc": names[0] if names else "", "over": over, "ident": ident, "text": text, "at": time.monotonic()})

    def of(self, channel, plc=None, over=False):
        return [one for one in self.all if one["channel"] == channel and (plc is None or one["plc"] == plc) and one["over"] == over]


class Hooks(http.server.ThreadingHTTPServer):
    """Five vendors behind one TLS port; what a request has to be like is what each publishes:
    docs.slack.dev/reference/block-kit/blocks, learn.microsoft.com (workflows, adaptive cards), docs.ntfy.sh/publish,
    core.telegram.org/bots/api#sendmessage."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder, arrivals):
        super().__init__(("127.0.0.1", 0), Hook)
        self.arrivals = arrivals
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(f"{folder}/server.pem", f"{folder}/server.key")
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request, client_address):
        try:
            wrapped = self.context.wrap_socket(request, server_side=True)
        except (ssl.SSLError, OSError):
            return
        super().finish_request(wrapped, client_address)

    def handle_error(self, request, client_address):
        pass


class Hook(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, kind="application/json"):
        body = body.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        telegram = self.path == f"/bot{SECRETS['telegram']}/getMe"
        ntfy = self.path == "/v1/health"
        self.answer(200 if telegram or ntfy else 404, '{"ok":true,"healthy":true,"result":{}}' if telegram or ntfy else "{}")

    def do_POST(self):
        length = int(self.headers.get("content-length", "-1"))
        raw = self.rfile.read(max(length, 0))
        wrong = []

        def must(what, condition):
            if not condition:
                wrong.append(what)

        must("content-length", length > 0)
        must("content-type", self.headers.get("content-type", "").split(";")[0] == "application/json")
        try:
            body = json.loads(raw)
        except ValueError:
            return self.answer(400, "{}")
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        ident = self.headers.get("idempotency-key", "")
        must("idempotency-key", ident)
        if self.path == "/in":
            channel = "hook"
            must("bearer", bearer == SECRETS["hook"])
            must("key", body.get("key") == ident)
            over, text = body.get("event") == "close", json.dumps(body, ensure_ascii=False)
            reply = (200, "{}", "application/json")
        elif self.path == f"/services/{SECRETS['slack']}":
            channel, text = "slack", json.dumps(body, ensure_ascii=False)
            blocks = body.get("blocks", [])
            must("text", isinstance(body.get("text"), str) and body["text"])
            must("1 to 50 blocks", 1 <= len(blocks) <= 50)
            for block in blocks:
                kind = block.get("type")
                must(f"block {kind}", kind in ("header", "section", "context"))
                if kind == "header":
                    must("header: plain_text of 1 to 150", block["text"]["type"] == "plain_text" and 1 <= len(block["text"]["text"]) <= 150)
                if kind == "section":
                    must("section: 1 to 3000", 1 <= len(block["text"]["text"]) <= 3000)
                if kind == "context":
                    must("context: 1 to 10 elements", 1 <= len(block["elements"]) <= 10)
            over = body["text"].startswith("✅")
            # What a reader can tell a repeat by stands in the footer.
            must("the key is seen", ident in text)
            reply = (200, "ok", "text/plain") if not wrong else (400, "invalid_blocks", "text/plain")
        elif self.path == TEAMS_PATH:
            channel, text = "teams", json.dumps(body, ensure_ascii=False).replace("\\\\", "")
            must("type", body.get("type") == "message")
            card = body.get("attachments", [{}])[0]
            must("contentType", card.get("contentType") == "application/vnd.microsoft.card.adaptive")
            must("AdaptiveCard", card.get("content", {}).get("type") == "AdaptiveCard" and card["content"].get("version"))
            must("28 KB", len(raw) <= 28 * 1024)
            over = "✅" in text
            reply = (202, "", "text/plain")
        elif self.path == "/":
            channel, text = "ntfy", body.get("title", "") + "\n" + body.get("message", "")
            must("bearer", bearer == SECRETS["ntfy"])
            must("topic", re.fullmatch(r"[-_A-Za-z0-9]{1,64}", body.get("topic", "")))
            must("message: 4096 bytes", len(body.get("message", "").encode()) <= 4096)
            must("priority", body.get("priority") in (1, 2, 3, 4, 5))
            must("tags", all(isinstance(tag, str) for tag in body.get("tags", [])))
            over = "white_check_mark" in body.get("tags", [])
            reply = (200, '{"id":"x","event":"message"}', "application/json")
        elif self.path == f"/bot{SECRETS['telegram']}/sendMessage":
            channel, text = "telegram", body.get("text", "")
            must("chat_id", body.get("chat_id") == "-1001234567890")
            must("text of 1 to 4096", 1 <= len(text.encode("utf-16-le")) // 2 <= 4096)
            over = text.startswith("✅")
            reply = (200, '{"ok":true,"result":{"message_id":1}}', "application/json")
        else:
            return self.answer(404, '{"ok":false,"error_code":404,"description":"Not Found"}')
        if wrong:
            complain(f"{channel}: not as its vendor wants it: {wrong}")
        self.server.arrivals.add(channel, text, over, ident)
        return self.answer(*reply)


class Real:
    """A program that runs until it is told to go."""

    def __init__(self, name, argv):
        self.name, self.argv, self.process = name, argv, None

    def start(self):
        with open(f"{FOLDER}/{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None


def exim():
    clear, sealed, work = free_port(), free_port(), f"{FOLDER}/work"
    os.makedirs(work)
    os.chmod(work, 0o777)
    text = f"""spool_directory = {work}/spool
log_file_path = {work}/log-%s
pid_file_path = {work}/pid
primary_hostname = mail.test
keep_environment =
local_interfaces = 127.0.0.1
daemon_smtp_ports = {clear} : {sealed}
tls_on_connect_ports = {sealed}
tls_advertise_hosts = *
tls_certificate = {FOLDER}/server.pem
tls_privatekey = {FOLDER}/server.key
host_lookup =
rfc1413_hosts =
smtp_accept_max = 64
acl_smtp_rcpt = recipients
begin acl
recipients:
  accept authenticated = *
  deny message = relay not permitted
begin routers
all:
  driver = accept
  transport = file
begin transports
file:
  driver = appendfile
  file = {work}/box
  mode = 0644
  mode_fail_narrower = false
  {"user = Debian-exim" if os.geteuid() == 0 else ""}
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{gw}}}}{{eq{{$auth3}}{{{SECRETS["email"]}}}}}}}}}
  server_set_id = $auth2
"""
    with open(f"{FOLDER}/exim.conf", "w", encoding="ascii") as out:
        out.write(text)
    return sealed, Real("exim", [EXIM, "-C", f"{FOLDER}/exim.conf", "-bdf"])


def mosquitto():
    port = free_port()
    subprocess.run(["mosquitto_passwd", "-b", "-c", f"{FOLDER}/users", "gw", SECRETS["mqtt"]], check=True)
    store = f"{FOLDER}/mosquitto"
    os.makedirs(store)
    with open(f"{FOLDER}/mosquitto.conf", "w", encoding="ascii") as out:
        # Persistent, as Debian ships it.
        out.write(f"listener {port} 127.0.0.1\ncertfile {FOLDER}/server.pem\nkeyfile {FOLDER}/server.key\n"
                  f"password_file {FOLDER}/users\n{'user root' if os.geteuid() == 0 else ''}\n"
                  f"persistence true\npersistence_location {store}/\n")  # fmt: skip
    return port, Real("mosquitto", [MOSQUITTO, "-c", f"{FOLDER}/mosquitto.conf"])


def alertmanager():
    port = free_port()
    with open(f"{FOLDER}/alertmanager.yml", "w", encoding="ascii") as out:
        out.write("route:\n  receiver: none\nreceivers:\n  - name: none\n")
    return port, Real("alertmanager", [ALERTMANAGER, f"--config.file={FOLDER}/alertmanager.yml", f"--storage.path={FOLDER}/alertmanager",
                                       f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="])  # fmt: skip


def watch_mail(arrivals):
    """Reads what Exim delivered; each mail once."""
    seen = 0
    path = f"{FOLDER}/work/box"
    while True:
        time.sleep(0.05)
        if not os.path.exists(path):
            continue
        with open(path, "rb") as source:
            parts = re.split(rb"(?m)^From (?=\S+ \w{3} \w{3} )", source.read())[1:]
        # The last one may still be on its way: it ends with an empty line.
        parts = [part for part in parts if part.endswith(b"\n\n")]
        for part in parts[seen:]:
            message = email.message_from_bytes(part.split(b"\n", 1)[1], policy=email.policy.default)
            text = f"{message['subject']}\n{message.get_content()}"
            arrivals.add("email", text, text.startswith("✅"), message["message-id"])
        seen = len(parts)


def subscriber(port):
    return ["mosquitto_sub", "-h", "localhost", "-p", str(port), "-u", "gw", "-P", SECRETS["mqtt"], "--cafile", f"{FOLDER}/ca.pem"]


def watch_bus(port, arrivals):
    """A client with a session of its own: what comes while the broker starts again is kept for it."""
    while True:
        argv = [*subscriber(port), "-t", "+/+/event", "-q", "1", "-c", "-i", "reads-along"]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for line in process.stdout:
            document = json.loads(line)
            arrivals.add("mqtt", json.dumps(document, ensure_ascii=False), document["event"] == "close", document["key"])
        # The broker was not up yet.
        time.sleep(0.2)


def retained(port, topic):
    done = subprocess.run([*subscriber(port), "-t", topic, "-v", "-W", "2", "--retained-only"], capture_output=True, text=True, check=False)
    lines = (line.partition(" ") for line in done.stdout.splitlines())
    return {topic: payload for topic, _, payload in lines}


def notify(channel, port):
    """The section of one channel whose peer listens at `port`."""
    secret = f"{FOLDER}/secret-{channel}"
    text = {
        "hook": f'url = "https://localhost:{port}/in"\ntoken_file = "{secret}"',
        "slack": f'token_file = "{secret}-{port}"',
        "teams": f'url = "https://localhost:{port}{TEAMS_PATH}"',
        "ntfy": f'url = "https://localhost:{port}"\ntopic = "plant-7-gateways"\ntoken_file = "{secret}"',
        "telegram": f'url = "https://localhost:{port}"\ntoken_file = "{secret}"\nto = ["-1001234567890"]',
        "email": f'server = "localhost:{port}"\nsecurity = "tls"\nuser = "gw"\ntoken_file = "{secret}"\nfrom = "iac1@mail.test"\nto = ["ann@mail.test"]',
        "mqtt": f'server = "localhost:{port}"\nuser = "gw"\ntoken_file = "{secret}"',
    }[channel]
    files = {secret: SECRETS[channel], f"{secret}-{port}": f"https://localhost:{port}/services/{SECRETS['slack']}"}
    for path, word in files.items():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as out:
            out.write(word + "\n")
    return f'[[notify]]\nname = "{channel}"\nkind = "{KINDS.get(channel, channel)}"\nca_file = "{FOLDER}/ca.pem"\n{text}\n'


def take_and_close(listener):
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            return


class Gateway:
    """One daemon with probes of its own; a fault is a port where nobody listens."""

    def __init__(self, name, sections, plcs, more=""):
        self.name, self.folder = name, f"{FOLDER}/{name}"
        os.makedirs(f"{self.folder}/state")
        self.ports = {plc: free_port() for plc in plcs}
        self.listeners, self.process = {}, None
        probes = "".join(f'[[probe]]\nname = "{plc}"\ntcp = "127.0.0.1:{port}"\ninterval_s = 1\nfailures = 1\n' for plc, port in self.ports.items())
        folder = self.folder
        self.head = f"""[daemon]
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
kill_switch = "{folder}/disable"
rules_dir = "{folder}/rules.d"
runbooks_dir = "{folder}/runbooks.d"
bundle = "{folder}/knowledge.bundle"
managers = ["declared"]
startup_grace_s = 0
safe_start = false
log_level = "debug"
host_name = "{name}"
[detect]
journal = false
kernel_log = false
disabled = {json.dumps(DETECTORS)}
[fix]
stability_s = 1
[escalation]
per_hour = 100
per_day = 500
spread_s = 0
coalesce_s = 1
"""
        self.tail = more + probes
        self.configure(sections)

    def configure(self, sections):
        # The address of a hook is a secret.
        path = os.open(f"{self.folder}/config.toml", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(path, "w", encoding="utf-8") as out:
            out.write(self.head + self.tail + sections)
        checked = subprocess.run([BINARY, "--config", f"{self.folder}/config.toml", "config", "check"], capture_output=True, text=True, check=False)
        if checked.returncode:
            sys.exit(f"FAILED {checked.stdout}{checked.stderr}")

    def works(self, plc, is_so=True):
        if is_so and plc not in self.listeners:
            self.listeners[plc] = socket.create_server(("127.0.0.1", self.ports[plc]))
            threading.Thread(target=take_and_close, args=(self.listeners[plc],), daemon=True).start()
        elif not is_so and plc in self.listeners:
            listener = self.listeners.pop(plc)
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def start(self, kill_at=None):
        environment = {key: word for key, word in os.environ.items() if key != "AO_KILL_AT"}
        if kill_at:
            environment["AO_KILL_AT"] = kill_at
        with open(f"{self.folder}/log", "ab") as log:
            argv = [BINARY, "--config", f"{self.folder}/config.toml", "run"]
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def run(self, *words):
        done = subprocess.run([BINARY, "--config", f"{self.folder}/config.toml", *words], capture_output=True, text=True, check=False)
        with open(f"{self.folder}/said", "a", encoding="utf-8") as out:
            out.write(done.stdout + done.stderr)
        return done.stdout + done.stderr

    def rows(self, channel, states=None):
        try:
            db = sqlite3.connect(f"file:{self.folder}/state/tasks.db?mode=ro", uri=True, timeout=10)
            rows = db.execute("SELECT operation, state, last_error FROM outbox WHERE destination = ? ORDER BY id", [channel]).fetchall()
            db.close()
        except sqlite3.OperationalError:
            return []
        return [row for row in rows if states is None or row[1] in states]

    def finding(self, channel):
        """Why this channel is down, as the daemon tells it by another."""
        db = sqlite3.connect(f"file:{self.folder}/state/tasks.db?mode=ro", uri=True, timeout=10)
        sql = "SELECT issue_message FROM tasks WHERE issue_type = 'self_escalation_down' AND subject = ? AND status <> 'closed'"
        found = db.execute(sql, [channel]).fetchone()
        db.close()
        return found[0] if found else ""

    def leaks(self):
        """How often a secret stands in anything that the daemon and its tool wrote; a password as SMTP says it, too."""
        words = [word.encode() for word in SECRETS.values()] + [TEAMS_PATH.encode()]
        words += [base64.b64encode(f"\0gw\0{SECRETS['email']}".encode()), base64.b64encode(SECRETS["email"].encode())]
        found = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                # What the operator wrote himself is not ours.
                if name == "config.toml" or not os.path.isfile(f"{folder}/{name}"):
                    continue
                with open(f"{folder}/{name}", "rb") as source:
                    data = source.read()
                hits = sum(data.count(word) for word in words)
                if hits:
                    complain(f"{self.name}: {hits} secrets in {folder}/{name}")
                found += hits
        return found


def everyday(peers, arrivals, table):
    """All channels at once: told, away and back, the end."""
    proxies = {channel: Proxy(port) for channel, port in peers["ports"].items()}
    sections = "".join(notify(channel, proxies[channel].port) for channel in CHANNELS)
    plcs = ["plc-first", "plc-away1", "plc-away2", "plc-away3", "plc-over"]
    more = f'[alertmanager]\npeers = ["http://127.0.0.1:{proxies["alertmanager"].port}"]\nresend_s = 5\n'
    gateway = Gateway("iac1", sections, plcs, more)
    for plc in plcs:
        gateway.works(plc)
    gateway.start()
    wait_for("the broker knows the gateway", lambda: retained(peers["ports"]["mqtt"], "autonomous-orchestrator/iac1/online"))
    said = gateway.run("notify", "test")
    for channel in CHANNELS:
        wait_for(f"the test at {channel}", lambda: [one for one in arrivals.of(channel) if "TEST" in one["text"]], 60)  # noqa: B023
    print(said, file=sys.stderr)

    def firing():
        done = subprocess.run(["curl", "-s", f"http://127.0.0.1:{peers['ports']['alertmanager']}/api/v2/alerts"], capture_output=True, text=True, check=False)
        try:
            return {PLC.findall(json.dumps(alert))[0] for alert in json.loads(done.stdout)}
        except (ValueError, IndexError):
            return set()

    # Told.
    before = {name: proxy.up for name, proxy in proxies.items()}
    gateway.works("plc-first", False)
    for channel in CHANNELS:
        wait_for(f"plc-first at {channel}", lambda: arrivals.of(channel, "plc-first"))  # noqa: B023
        wait_for(f"{channel} confirmed", lambda: not gateway.rows(channel, {"pending", "sending", "unknown"}))  # noqa: B023
    wait_for("plc-first at Alertmanager", lambda: "plc-first" in firing())
    time.sleep(1)
    for channel in CHANNELS:
        table[channel]["delivered"] = str(len(arrivals.of(channel, "plc-first")))
    table["alertmanager"]["delivered"] = str(len(firing()))
    for name, proxy in proxies.items():
        table[name]["bytes"] = f"{proxy.up - before[name]:,}"
    problems = retained(peers["ports"]["mqtt"], "autonomous-orchestrator/iac1/problem/#")
    discovery = retained(peers["ports"]["mqtt"], "homeassistant/#")
    if len(problems) != 1 or len(discovery) != 2:
        complain(f"mqtt: {len(problems)} problems and {len(discovery)} discoveries are retained")

    # Away: nobody can be reached; one problem ends meanwhile.
    for name, proxy in proxies.items():
        proxy.close()
    for one in peers["real"]:
        one.stop()
    away = ["plc-away1", "plc-away2", "plc-away3", "plc-over"]
    for plc in away:
        gateway.works(plc, False)
    waiting = {"pending", "unknown", "sending"}
    for channel in CHANNELS:
        wait_for(f"rows wait for {channel}", lambda: len(gateway.rows(channel, waiting)) >= 4)  # noqa: B023
    # A delivery of it was tried and did not go.
    wait_for("each was tried", lambda: all(any(row[2] for row in gateway.rows(channel, waiting)) for channel in CHANNELS))
    waited = {channel: len(gateway.rows(channel, waiting)) for channel in CHANNELS}
    gateway.works("plc-over")
    wait_for("what is over waits no more", lambda: all(len(gateway.rows(channel, waiting)) == 3 for channel in CHANNELS), 120)
    for one in peers["real"]:
        one.start()
    for proxy in proxies.values():
        proxy.open()
    for channel in CHANNELS:
        wait_for(f"what waited at {channel}", lambda: all(arrivals.of(channel, plc) for plc in away[:3]))  # noqa: B023
        wait_for(f"nothing waits for {channel}", lambda: not gateway.rows(channel, waiting))  # noqa: B023
    wait_for("Alertmanager knows all", lambda: {"plc-first", *away[:3]} <= firing())
    time.sleep(2)
    for channel in CHANNELS:
        came = sum(len(arrivals.of(channel, plc)) for plc in away[:3])
        over = len(arrivals.of(channel, "plc-over")) + len(arrivals.of(channel, "plc-over", over=True))
        if came != 3 or over:
            complain(f"{channel}: {came} of 3 came after it was away, {over} of what was over")
        table[channel]["away"] = f"{waited[channel]} waited, {waited[channel] - came} ended meanwhile, {came} came"
    table["alertmanager"]["away"] = f"no queue: {len(firing())} of 4 that are true were told again"

    # The end.
    gateway.works("plc-first")
    for channel in CHANNELS:
        wait_for(f"the end at {channel}", lambda: arrivals.of(channel, "plc-first", over=True))  # noqa: B023
    wait_for("the retained problem goes", lambda: len(retained(peers["ports"]["mqtt"], "autonomous-orchestrator/iac1/problem/#")) == 3, 60)
    for words in (["status"], ["status", "--json"], ["config", "show"], ["doctor"], ["notify"], ["history", "--json"], ["tasks", "--json"], ["audit", "verify"]):
        gateway.run(*words)
    gateway.kill()
    wait_for("the last will", lambda: "offline" in retained(peers["ports"]["mqtt"], "autonomous-orchestrator/iac1/online").values(), 30)
    return gateway


def crash(channel, step, peers, arrivals):
    """How often it came when the daemon was killed at this step, and by how many marks the repeats differ."""
    plc = f"plc-{channel}-{step.replace('_', '-')}"
    proxy = Proxy(peers["ports"][channel])
    gateway = Gateway(f"gw-{channel}-{step.replace('_', '-')}", notify(channel, proxy.port), [plc])
    if step == "bytes":
        gateway.start()
        first = gateway.process

        def gate():
            # The answer is held back until it is known whether the message has arrived.
            end = time.monotonic() + 0.7
            while time.monotonic() < end and first.poll() is None:
                if arrivals.of(channel, plc):
                    first.kill()
                time.sleep(0.02)

        proxy.gate = gate
    else:
        gateway.start(f"{step}/{channel}")
    wait_for(f"{channel}: killed at {step}", lambda: gateway.process.poll() is not None)
    if gateway.process.poll() != -signal.SIGKILL:
        complain(f"{channel}: {step}: ended with {gateway.process.poll()}")
    if step in ("bytes", "before_confirmed"):
        # A mail server says that it has it before it lies in the box.
        wait_for(f"{channel}: arrived before {step}", lambda: arrivals.of(channel, plc), 30)
    at_death, proxy.gate = len(arrivals.of(channel, plc)), None
    gateway.start()
    wait_for(f"{channel}: told after {step}", lambda: gateway.rows(channel, {"confirmed"}))
    wait_for(f"{channel}: arrived after {step}", lambda: arrivals.of(channel, plc), 30)
    time.sleep(1)
    came = arrivals.of(channel, plc)
    gateway.run("status", "--json")
    leaks = gateway.leaks()
    gateway.stop()
    return channel, step, at_death, len(came), len({one["ident"] for one in came}), leaks


class Foe:
    """A peer that misbehaves."""

    def __init__(self, answer, context=None):
        self.answer, self.context, self.asked = answer, context, 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.server.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        self.asked += 1
        try:
            if self.context:
                client = self.context.wrap_socket(client, server_side=True)
            self.answer(client)
            client.close()
        except (OSError, ssl.SSLError):
            pass


def request(client):
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
    while len(body) < length:
        body += client.recv(65536)


def http_answer(status, headers, body):
    def answer(client):
        request(client)
        client.sendall(f"HTTP/1.1 {status}\r\n{headers}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)

    return answer


def silence(client):
    while client.recv(65536):
        pass


def trickle(client):
    request(client)
    for byte in b"HTTP/1.1 200 OK\r\nx-slow: " + b"y" * 600:
        client.sendall(bytes([byte]))
        time.sleep(1)


def yes_man(client):
    client.sendall(b"220 hello\r\n")
    for _ in range(6):
        if not client.recv(65536):
            return
        client.sendall(b"250 ok\r\n")


def mute_broker(client):
    client.recv(65536)
    client.sendall(b"\x20\x02\x00\x00")
    silence(client)


FOES = {
    # name: (kind, what it does, how, section, wanted states, words of the reason)
    "elsewhere": ("webhook", "redirects to another host", http_answer("302 Found", "location: https://evil.example/x\r\n", b""), "pending", "redirected to another host"),
    "portal": ("webhook", "200 with a login page", http_answer("200 OK", "content-type: text/html\r\n", b"<!DOCTYPE html><title>Sign in</title>"), "pending", "web page"),
    "silent": ("webhook", "takes the request, never answers", lambda client: (request(client), silence(client)), "unknown", "timeout"),
    "trickle": ("webhook", "answers one byte a second", trickle, "unknown", "timeout"),
    "flood": ("webhook", "10 MB of answer", http_answer("200 OK", "", b"x" * 10_000_000), "confirmed", ""),
    "deaf-tls": ("slack", "no TLS handshake", silence, "pending", ""),
    "bot-line": ("telegram", "token of two lines", silence, "pending", "more than one word"),
    "mute-mail": ("email", "mail server that says nothing", silence, "pending", ""),
    "yes-man": ("email", "mail server: 250 to everything", yes_man, "pending", "250 ok"),
    "mute-bus": ("mqtt", "broker that says nothing", silence, "pending", ""),
    "no-ack": ("mqtt", "broker that never acknowledges", mute_broker, "unknown", "timed out"),
    "refused": ("ntfy", "connection refused", None, "pending", "efused"),
}


def hostile(table):
    """Twelve that misbehave beside one that works, which comes last."""
    works, held = [], []

    def take(client):
        request(client)
        works.append(time.monotonic())
        client.sendall(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")

    good = Foe(take)
    foes = {name: Foe(how) if how else None for name, (_, _, how, _, _) in FOES.items()}
    sections = ""
    for name, (kind, _, _, _, _) in FOES.items():
        port = foes[name].port if foes[name] else free_port()
        two_lines = f"{FOLDER}/two-lines"
        with open(os.open(two_lines, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as out:
            out.write("7712:AAsecret\nX-Evil:1\n")
        keys = {
            "webhook": f'url = "http://127.0.0.1:{port}/hook"',
            "slack": f'url = "https://127.0.0.1:{port}/hook"',
            "ntfy": f'url = "http://127.0.0.1:{port}"\ntopic = "x"',
            "telegram": f'url = "https://127.0.0.1:{port}"\nto = ["-100"]\ntoken_file = "{two_lines}"',
            "email": f'server = "127.0.0.1:{port}"\nsecurity = "plain"\nfrom = "gw@mail.test"\nto = ["ann@mail.test"]',
            "mqtt": f'server = "127.0.0.1:{port}"\nsecurity = "plain"',
        }[kind]
        sections += f'[[notify]]\nname = "{name}"\nkind = "{kind}"\n{keys}\n'
    working = f'[[notify]]\nname = "works"\nkind = "webhook"\nurl = "http://127.0.0.1:{good.port}/hook"\n'
    plcs = [f"plc-h{n}" for n in range(6)]
    gateway = Gateway("Gerät-Ω-7", sections + working, plcs)
    alone = Gateway("alone", working, ["plc-alone"])
    for plc in plcs[1:]:
        gateway.works(plc)
    alone.works("plc-alone")
    # What a fault takes to be told where nobody is away.
    alone.start()
    wait_for("it is up", lambda: os.path.exists(f"{alone.folder}/state/tasks.db"))
    time.sleep(5)
    began = time.monotonic()
    alone.works("plc-alone", False)
    wait_for("told alone", lambda: works)
    base = works[-1] - began if works else float("nan")
    alone.stop()
    gateway.start()
    for plc in plcs:
        before = len(works)
        began = time.monotonic()
        gateway.works(plc, False)
        wait_for(f"{plc} is told by the one that works", lambda: len(works) > before, 600)  # noqa: B023
        held.append(time.monotonic() - began)
        time.sleep(5)

    def outcome(name):
        """State of the first row, and why: of the row, or of the finding that the channel is down."""
        rows = gateway.rows(name) or [(None, None, None)]
        _, state, why = next((row for row in rows if row[2]), rows[0])
        return state, why or gateway.finding(name)

    wait_for("each foe was tried", lambda: all("" not in outcome(name) or outcome(name)[0] == "confirmed" for name in FOES), 120)
    for name, (_, what, _, wanted, words) in FOES.items():
        state, why = outcome(name)
        table.append((what, state, why))
        if state not in (wanted, "sending") or words not in why:
            complain(f"{name}: {state}: {why}")
    # Seconds that a probe, a worker and the courier take; far below one time limit of a peer that is away.
    if max(held) > base + 10:
        complain(f"the one that works was held up for {max(held):.0f} s")
    # One is taken out of the configuration while rows wait for it.
    gateway.configure(sections.split('[[notify]]\nname = "elsewhere"')[0] + '[[notify]]\nname = "portal"' + sections.split('name = "portal"')[1] + working)
    gateway.process.send_signal(signal.SIGHUP)
    wait_for("status tells of the channel that is gone", lambda: "for elsewhere, which is not configured" in gateway.run("status"), 60)
    status = [line.strip() for line in gateway.run("status").splitlines() if "elsewhere" in line or "stuck" in line]
    wait_for("it is down no more", lambda: not gateway.finding("elsewhere"), 60)
    gateway.stop()
    return base, held, status


def documented(lines):
    """The table of docs/NOTIFY.md is this one, but for versions and bytes; UPDATE_DOCS=1 writes it there."""
    begin, end = "<!-- channels: begin -->\n", "<!-- channels: end -->"
    with open(DOCUMENT, encoding="utf-8") as source:
        text = source.read()
    before, _, rest = text.partition(begin)
    written, _, after = rest.partition(end)
    if os.environ.get("UPDATE_DOCS") and not COMPLAINTS:
        with open(DOCUMENT, "w", encoding="utf-8") as out:
            out.write(before + begin + "\n".join(lines) + "\n" + end + after)
        return
    cells = [[cell.strip() for at, cell in enumerate(line.strip("|").split("|")) if at not in (1, 7)] for line in lines]
    there = [[cell.strip() for at, cell in enumerate(line.strip("|").split("|")) if at not in (1, 7)] for line in written.splitlines()]
    for row in cells:
        if row not in there:
            complain(f"docs/NOTIFY.md has another row (UPDATE_DOCS=1 writes it anew): {row}")


def version(argv, pattern):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else "?"


def main():
    global FOLDER, BINARY  # noqa: PLW0603
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("binary")
    options.add_argument("--only", choices=["everyday", "crash", "hostile"])
    options.add_argument("--keep", action="store_true")
    options = options.parse_args()
    BINARY = os.path.abspath(options.binary)
    FOLDER = tempfile.mkdtemp(prefix="ao-channels.")
    os.chmod(FOLDER, 0o755)
    sys.dont_write_bytecode = True
    sys.path.insert(0, HERE)
    from github_stub import make_ca

    make_ca(FOLDER)
    os.chmod(f"{FOLDER}/server.key", 0o644)
    arrivals = Arrivals()
    hooks = Hooks(FOLDER, arrivals)
    mail_port, mail = exim()
    bus_port, bus = mosquitto()
    alert_port, alerts = alertmanager()
    real = [mail, bus, alerts]
    ports = {name: hooks.server_address[1] for name in CHANNELS} | {"email": mail_port, "mqtt": bus_port, "alertmanager": alert_port}
    peers = {"ports": ports, "real": real}
    for one in real:
        one.start()
    threading.Thread(target=watch_mail, args=(arrivals,), daemon=True).start()
    threading.Thread(target=watch_bus, args=(bus_port, arrivals), daemon=True).start()
    simulated = "simulated after what its vendor publishes"
    table = {channel: {"peer": simulated} for channel in CHANNELS}
    table["email"]["peer"] = "Exim " + version([EXIM, "-bV"], r"Exim version (\S+)")
    table["mqtt"]["peer"] = "Mosquitto " + version([MOSQUITTO, "-h"], r"mosquitto version (\S+)")
    table["alertmanager"] = {"peer": "Alertmanager " + version([ALERTMANAGER, "--version"], r"version (\S+)"), "killed": "not queued", "repeats": "an alert is a state", "leaks": "0"}
    began = time.monotonic()
    try:
        time.sleep(1)
        leaks = 0
        if options.only in (None, "everyday"):
            gateway = everyday(peers, arrivals, table)
            leaks = gateway.leaks()
        if options.only in (None, "crash"):
            jobs = [(channel, step) for step in STEPS for channel in CHANNELS]
            with concurrent.futures.ThreadPoolExecutor(max_workers=14) as pool:
                done = list(pool.map(lambda job: crash(*job, peers, arrivals), jobs))
            marks = {"hook": "`key`", "slack": "key in the footer", "teams": "key in the footer", "ntfy": "by nothing: the same text twice", "telegram": "by nothing: the same text twice", "email": "`Message-ID`", "mqtt": "`key`"}
            for channel in CHANNELS:
                mine = {step: (at_death, came, idents) for one, step, at_death, came, idents, _ in done if one == channel}
                table[channel]["killed"] = ", ".join(str(mine[step][1]) for step in STEPS)
                twice = sum(came - 1 for _, came, _ in mine.values())
                table[channel]["repeats"] = f"{twice}, {marks[channel]}"
                table[channel]["leaks"] = str(leaks + sum(one[5] for one in done if one[0] == channel))
                for step, (at_death, came, idents) in mine.items():
                    wanted = (0, 1) if step in ("before_sending", "sending") else (1, 2)
                    if (at_death, came) != wanted or idents != 1:
                        complain(f"{channel}: killed at {step}: {at_death} before, {came} in all, {idents} marks")
        if options.only in (None, "everyday", "crash"):
            lines = [HEAD, "|---" * (HEAD.count("|") - 1) + "|"]
            for name, row in table.items():
                cells = (row.get(key, "") for key in ("peer", "delivered", "away", "killed", "repeats", "leaks", "bytes"))
                lines.append("| " + " | ".join([KINDS.get(name, name), *cells]) + " |")
            print("\n".join(lines))
            if options.only is None:
                documented(lines)
        if options.only in (None, "hostile"):
            rows = []
            base, held, status = hostile(rows)
            print("\n| a peer that | the row | why, as `status` has it |\n|---|---|---|")
            for what, state, why in rows:
                print(f"| {what} | {state} | {why} |")
            seconds = ", ".join(f"{one:.1f}" for one in held)
            print(f"\nfault to message, one channel alone: {base:.1f} s; the one that works, beside {len(FOES)} that do not: {seconds} s")
            for line in status:
                print(f"status: {line}")
    finally:
        for one in real:
            one.stop()
        if not options.keep and not COMPLAINTS:
            subprocess.run(["rm", "-rf", FOLDER], check=False)
        else:
            print(f"kept: {FOLDER}", file=sys.stderr)
    print(f"{'FAILED' if COMPLAINTS else 'PASS'} after {time.monotonic() - began:.0f} s", file=sys.stderr)
    # Threads of peers that misbehave may still wait.
    sys.stdout.flush()
    os._exit(1 if COMPLAINTS else 0)


main()
