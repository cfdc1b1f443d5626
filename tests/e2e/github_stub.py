#!/usr/bin/env python3
"""A stand-in for the part of GitHub's REST API that is used, over HTTPS.

    github_stub.py make-ca DIR            CA and server certificate for localhost (needs openssl)
    github_stub.py serve --dir DIR [--port 8443] [--token T] [--schema FILE] [--public]
    github_stub.py selftest               checks itself; exit status 0 or 1

Files in DIR: state.json (written atomically, read at start), requests.log (one
JSON object a line), control (failure modes for the requests to come, one a
line; see FAILURES), events.json (what humans did on an issue). Standard library only.

FAILURES, each used up by the first request that fits. A prefix `POST:` or
`POST /issues:` lets requests of other methods, or whose path ends otherwise, pass:
    401 403 404 410 422 500 502 503   that status, nothing done
    502-after-accept                  done, but answered 502
    timeout[=S]                       no answer for S seconds (default 120)
    timeout-after-accept[=S]          done, but no answer
    reset                             connection reset, nothing done
    reset-after-accept                done, then the connection is reset
    html-after-accept                 done, but the answer is no JSON
    cut-after-accept                  done, but the answer breaks off in the middle
    huge-after-accept                 done, but the answer has 3 MB
    slow-after-accept                 done, but the answer comes a byte a second
    429:retry-after=N                 secondary limit
    403:reset=N                       primary limit used up until N seconds from now
    drop-labels                       done without labels, as without push access
    301:PATH                          moved to PATH on this server
"""

import argparse
import hashlib
import http.server
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

BODY_MAX = 65_536
LABEL_MAX = 50
PER_PAGE_DEFAULT = 30
PER_PAGE_MAX = 100
RATE_LIMIT = 5_000
HANG_S = 120
SCHEMA_DEFAULT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "github_schema.json")
USER = "gateway-bot"

# What a user object must have, beside login, id and type.
USER_LINKS = (
    "avatar_url events_url followers_url following_url gists_url html_url organizations_url "
    "received_events_url repos_url starred_url subscriptions_url url"
).split()


# --- time and files ---------------------------------------------------------


def iso(epoch):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))


def http_date(epoch):
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(epoch))


def write_atomically(path, text):
    new = path + ".new"
    with open(new, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(new, path)


# --- JSON schema, the subset that GitHub's description uses ------------------

JSON_TYPES = {
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "array": lambda v: isinstance(v, list),
    "object": lambda v: isinstance(v, dict),
}


def schema_errors(schema, value, where="body"):
    """Complaints, empty when the value fits."""
    if value is None and schema.get("nullable"):
        return []
    for key in ("oneOf", "anyOf"):
        if key in schema:
            options = [schema_errors(option, value, where) for option in schema[key]]
            return [] if any(not errors for errors in options) else [f"{where}: fits no alternative"]
    kind = schema.get("type")
    if kind in JSON_TYPES and not JSON_TYPES[kind](value):
        return [f"{where}: is not {kind}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{where}: not one of {schema['enum']}"]
    errors = []
    if isinstance(value, dict):
        known = schema.get("properties", {})
        errors += [f"{where}.{name}: missing" for name in schema.get("required", []) if name not in value]
        for name, inner in value.items():
            if name in known:
                errors += schema_errors(known[name], inner, f"{where}.{name}")
            elif known:
                # GitHub ignores unknown names; here they are a mistake of ours.
                errors.append(f"{where}.{name}: unknown")
    if isinstance(value, list) and "items" in schema:
        for index, inner in enumerate(value):
            errors += schema_errors(schema["items"], inner, f"{where}[{index}]")
    return errors


# --- state ------------------------------------------------------------------


class Store:
    """Issues, comments and labels of one repository tree; one lock around all."""

    def __init__(self, directory, public):
        self.directory = directory
        self.path = os.path.join(directory, "state.json")
        self.control = os.path.join(directory, "control")
        self.log_path = os.path.join(directory, "requests.log")
        self.public = public
        self.lock = threading.RLock()
        self.base = ""
        self.state = {"repos": {}, "next_id": 1000, "used": 0}
        if os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as source:
                self.state = json.load(source)

    def save(self):
        write_atomically(self.path, json.dumps(self.state, indent=1))

    def repo(self, name):
        return self.state["repos"].setdefault(name, {"issues": [], "comments": [], "labels": []})

    def new_id(self):
        self.state["next_id"] += 1
        return self.state["next_id"]

    def log(self, entry):
        with self.lock, open(self.log_path, "a", encoding="utf-8") as out:
            out.write(json.dumps(entry) + "\n")

    def take_failure(self, method, path):
        """The first line of the control file that fits this request; it is removed."""
        with self.lock:
            try:
                with open(self.control, encoding="utf-8") as source:
                    lines = [line.strip() for line in source if line.strip()]
            except FileNotFoundError:
                return None
            for index, line in enumerate(lines):
                prefix = re.match(r"(GET|POST|PATCH|PUT|DELETE)( /\S*?)?:", line)
                wanted, ending = (prefix.group(1), (prefix.group(2) or "").strip()) if prefix else (method, "")
                mode = line[prefix.end() :] if prefix else line
                if wanted == method and path.endswith(ending):
                    del lines[index]
                    write_atomically(self.control, "".join(text + "\n" for text in lines))
                    return mode
            return None


# --- objects as GitHub shows them --------------------------------------------


def user_object(base):
    links = {name: f"{base}/users/{USER}/{name}" for name in USER_LINKS}
    return {"login": USER, "id": 7, "node_id": "U_7", "gravatar_id": "", "type": "Bot", "site_admin": False, **links}


def label_object(base, repo, label):
    return {"url": f"{base}/repos/{repo}/labels/{urllib.parse.quote(label['name'])}", "default": False, **label}


def issue_object(store, repo, issue):
    url = f"{store.base}/repos/{repo}/issues/{issue['number']}"
    labels = [label_object(store.base, repo, l) for l in store.repo(repo)["labels"] if l["name"] in issue["labels"]]
    return {
        **{k: issue[k] for k in ("id", "number", "title", "body", "state", "state_reason", "created_at", "updated_at", "closed_at")},
        "node_id": f"I_{issue['id']}",
        "url": url,
        "repository_url": f"{store.base}/repos/{repo}",
        "labels_url": url + "/labels{/name}",
        "comments_url": url + "/comments",
        "events_url": url + "/events",
        "html_url": f"https://github.com/{repo}/issues/{issue['number']}",
        "user": user_object(store.base),
        "labels": labels,
        "assignee": None,
        "assignees": [],
        "milestone": None,
        "locked": False,
        "comments": sum(1 for c in store.repo(repo)["comments"] if c["issue"] == issue["number"]),
        "author_association": "MEMBER",
    }


def comment_object(store, repo, comment):
    url = f"{store.base}/repos/{repo}/issues/comments/{comment['id']}"
    return {
        **{k: comment[k] for k in ("id", "body", "created_at", "updated_at")},
        "node_id": f"IC_{comment['id']}",
        "url": url,
        "html_url": f"https://github.com/{repo}/issues/{comment['issue']}#issuecomment-{comment['id']}",
        "issue_url": f"{store.base}/repos/{repo}/issues/{comment['issue']}",
        "user": user_object(store.base),
        "author_association": "MEMBER",
    }


def repo_object(store, repo, required):
    """Every required field, those that matter with a true value."""
    url = f"{store.base}/repos/{repo}"
    known = {
        "id": 42,
        "node_id": "R_42",
        "name": repo.split("/")[1],
        "full_name": repo,
        "private": not store.public,
        "visibility": "public" if store.public else "private",
        "owner": {**user_object(store.base), "login": repo.split("/")[0]},
        "has_issues": True,
        "archived": False,
        "disabled": False,
        "fork": False,
        "permissions": {"admin": False, "push": True, "pull": True},
        "default_branch": "main",
        "url": url,
        "created_at": iso(0),
        "updated_at": iso(0),
        "pushed_at": iso(0),
    }
    filler = {name: url + "/" + name if name.endswith("_url") else 0 for name in required}
    return {**filler, **known}


# --- operations ---------------------------------------------------------------


class Refused(Exception):
    """An answer that is not success."""

    def __init__(self, status, message, errors=None, headers=None):
        super().__init__(message)
        self.status = status
        self.payload = {"message": message, "documentation_url": "https://docs.github.com/rest"}
        if errors:
            self.payload["errors"] = [{"message": text} for text in errors]
        self.headers = headers or {}


def label_names(labels):
    return [label if isinstance(label, str) else label.get("name", "") for label in labels]


def check_texts(body):
    """GitHub's limits on what the schema calls plain strings."""
    errors = []
    if len(body.get("body") or "") > BODY_MAX:
        errors.append("body is too long (maximum is 65536 characters)")
    for name in label_names(body.get("labels") or []):
        if not name or len(name) > LABEL_MAX:
            errors.append(f"label name '{name[:60]}' must have 1 to {LABEL_MAX} characters")
    if "title" in body and not str(body["title"] or "").strip():
        errors.append("title is missing")
    if errors:
        raise Refused(422, "Validation Failed", errors)


def ensure_labels(store, repo, names):
    known = {label["name"] for label in store.repo(repo)["labels"]}
    for name in names:
        if name not in known:
            known.add(name)
            store.repo(repo)["labels"].append(
                {"id": store.new_id(), "node_id": "LA_1", "name": name, "color": "ededed", "description": None}
            )


def find_issue(store, repo, number):
    for issue in store.repo(repo)["issues"]:
        if issue["number"] == int(number):
            return issue
    raise Refused(404, "Not Found")


def create_issue(store, repo, body, drop_labels=False):
    check_texts(body)
    names = [] if drop_labels else label_names(body.get("labels") or [])
    ensure_labels(store, repo, names)
    issues = store.repo(repo)["issues"]
    now = iso(time.time())
    issue = {
        "id": store.new_id(),
        "number": max((i["number"] for i in issues), default=0) + 1,
        "title": str(body["title"]),
        "body": body.get("body"),
        "labels": names,
        "state": "open",
        "state_reason": None,
        "created_at": now,
        "updated_at": now,
        "closed_at": None,
    }
    issues.append(issue)
    store.save()
    return issue


def update_issue(store, repo, number, body, drop_labels=False):
    check_texts(body)
    issue = find_issue(store, repo, number)
    now = iso(time.time())
    for name in ("title", "body"):
        if body.get(name) is not None:
            issue[name] = str(body[name])
    if "labels" in body and not drop_labels:
        issue["labels"] = label_names(body["labels"])
        ensure_labels(store, repo, issue["labels"])
    if body.get("state") == "closed" and issue["state"] == "open":
        issue.update(state="closed", closed_at=now, state_reason=body.get("state_reason") or "completed")
    elif body.get("state") == "open" and issue["state"] == "closed":
        issue.update(state="open", closed_at=None, state_reason="reopened")
    issue["updated_at"] = now
    store.save()
    return issue


def create_comment(store, repo, number, body):
    check_texts(body)
    issue = find_issue(store, repo, number)
    now = iso(time.time())
    comment = {"id": store.new_id(), "issue": issue["number"], "body": body["body"], "created_at": now, "updated_at": now}
    store.repo(repo)["comments"].append(comment)
    issue["updated_at"] = now
    store.save()
    return comment


def update_comment(store, repo, comment_id, body):
    check_texts(body)
    for comment in store.repo(repo)["comments"]:
        if comment["id"] == int(comment_id):
            comment.update(body=body["body"], updated_at=iso(time.time()))
            store.save()
            return comment
    raise Refused(404, "Not Found")


def list_issues(store, repo, query):
    """Filters and order of GitHub; the default state is open."""
    state = query.get("state", "open")
    wanted = {name for name in query.get("labels", "").split(",") if name}
    found = [
        issue
        for issue in store.repo(repo)["issues"]
        if state in ("all", issue["state"])
        and wanted <= set(issue["labels"])
        and query.get("creator", USER) == USER
        and issue["updated_at"] >= query.get("since", "")
    ]
    key = {"updated": "updated_at", "created": "created_at"}.get(query.get("sort", "created"), "created_at")
    return sorted(found, key=lambda i: (i[key], i["number"]), reverse=query.get("direction", "desc") == "desc")


def list_events(store, number):
    """What humans did: events.json maps an issue's number to its events, written by the test."""
    try:
        with open(os.path.join(store.directory, "events.json"), encoding="utf-8") as file:
            return json.load(file).get(str(number), [])
    except FileNotFoundError:
        return []


# --- routing ------------------------------------------------------------------

ROUTES = [
    # method, path after /repos/owner/name, operation of the description, status
    ("GET", r"", "get_repo", 200),
    ("GET", r"/issues", "list_issues", 200),
    ("POST", r"/issues", "create_issue", 201),
    ("GET", r"/issues/(\d+)", "get_issue", 200),
    ("PATCH", r"/issues/(\d+)", "update_issue", 200),
    ("GET", r"/issues/(\d+)/events", "list_events", 200),
    ("GET", r"/issues/(\d+)/comments", "list_comments", 200),
    ("POST", r"/issues/(\d+)/comments", "create_comment", 201),
    ("PATCH", r"/issues/comments/(\d+)", "update_comment", 200),
    ("GET", r"/labels", "list_labels", 200),
    ("POST", r"/labels", "create_label", 201),
]


def route(method, path):
    """(operation, status, repository, arguments) or a refusal."""
    match = re.fullmatch(r"/repos/([\w.-]+/[\w.-]+)(/.*)?", path)
    if not match:
        raise Refused(404, "Not Found")
    repo, rest = match.group(1), (match.group(2) or "").rstrip("/")
    for wanted, pattern, operation, status in ROUTES:
        found = re.fullmatch(pattern, rest)
        if found and wanted == method:
            return operation, status, repo, found.groups()
    raise Refused(404, "Not Found")


def perform(store, schema, request):
    """Runs one operation; returns (status, answer, is_list)."""
    # An Enterprise server has its API below a path.
    path = request["path"].removeprefix("/api/v3")
    if path == "/user":
        return 200, user_object(store.base), False
    operation, status, repo, arguments = route(request["method"], path)
    described = schema.get(operation, {"request": None, "query": [], "response_required": []})
    body = request["body"]
    if described["request"] is not None:
        if not isinstance(body, dict):
            raise Refused(400, "Problems parsing JSON")
        errors = schema_errors(described["request"], body)
        if errors:
            raise Refused(422, "Validation Failed", errors)
    unknown = [name for name in request["query"] if described["query"] and name not in described["query"]]
    if unknown:
        raise Refused(422, "Validation Failed", [f"unknown query parameter {name}" for name in unknown])
    drop = request["failure"] == "drop-labels"
    with store.lock:
        answer = run_operation(store, described, operation, repo, arguments, request, drop)
    items = answer if isinstance(answer, list) else [answer]
    for item in items:
        missing = [name for name in described["response_required"] if name not in item]
        if missing:
            raise Refused(500, f"the stub's own answer lacks {missing}")
    return status, answer, isinstance(answer, list)


def run_operation(store, described, operation, repo, arguments, request, drop):
    body, query = request["body"], request["query"]
    if operation == "get_repo":
        return repo_object(store, repo, described["response_required"])
    if operation == "list_issues":
        return [issue_object(store, repo, issue) for issue in list_issues(store, repo, query)]
    if operation == "create_issue":
        return issue_object(store, repo, create_issue(store, repo, body, drop))
    if operation == "get_issue":
        return issue_object(store, repo, find_issue(store, repo, arguments[0]))
    if operation == "update_issue":
        return issue_object(store, repo, update_issue(store, repo, arguments[0], body, drop))
    if operation == "list_events":
        return list_events(store, find_issue(store, repo, arguments[0])["number"])
    if operation == "list_comments":
        number = find_issue(store, repo, arguments[0])["number"]
        return [comment_object(store, repo, c) for c in store.repo(repo)["comments"] if c["issue"] == number]
    if operation == "create_comment":
        return comment_object(store, repo, create_comment(store, repo, arguments[0], body))
    if operation == "update_comment":
        return comment_object(store, repo, update_comment(store, repo, arguments[0], body))
    if operation == "create_label":
        if body["name"] in [label["name"] for label in store.repo(repo)["labels"]]:
            raise Refused(422, "Validation Failed", ["already_exists"])
        ensure_labels(store, repo, [body["name"]])
        store.save()
    labels = [label_object(store.base, repo, label) for label in store.repo(repo)["labels"]]
    return labels[-1] if operation == "create_label" else labels


# --- failures -------------------------------------------------------------------

AFTER_ACCEPT = ("502-after-accept", "timeout-after-accept", "reset-after-accept")
BROKEN = ("html-after-accept", "cut-after-accept", "huge-after-accept", "slow-after-accept")


def raise_failure(failure, base):
    """The modes that answer without doing anything."""
    if re.fullmatch(r"\d{3}", failure):
        raise Refused(int(failure), "refused by the control file")
    if match := re.fullmatch(r"429:retry-after=(\d+)", failure):
        raise Refused(429, "You have exceeded a secondary rate limit", headers={"retry-after": match.group(1)})
    if match := re.fullmatch(r"403:reset=(\d+)", failure):
        headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time()) + int(match.group(1)))}
        raise Refused(403, "API rate limit exceeded", headers=headers)
    if match := re.fullmatch(r"301:(/.*)", failure):
        raise Refused(301, "Moved Permanently", headers={"location": base + match.group(1)})


def hang_seconds(failure):
    return float(failure.split("=", 1)[1]) if "=" in failure else HANG_S


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "github.com"
    store = schema = token = None

    def log_message(self, *_arguments):
        """requests.log has everything."""

    def read_request(self):
        split = urllib.parse.urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw.decode("utf-8", "replace")
        return {
            "method": self.command,
            "path": split.path,
            "query": dict(urllib.parse.parse_qsl(split.query)),
            "body": body,
            "failure": self.store.take_failure(self.command, split.path) or "",
        }

    def check_headers(self):
        if not self.headers.get("user-agent"):
            raise Refused(403, "Request forbidden by administrative rules: User-Agent is missing")
        if self.token and self.headers.get("authorization") not in (f"Bearer {self.token}", f"token {self.token}"):
            raise Refused(401, "Bad credentials")

    def handle_request(self):
        request = self.read_request()
        failure, status, headers = request["failure"], 0, {}
        try:
            if failure.split("=")[0] in ("timeout", "reset"):
                self.break_off(request, failure)
                return
            raise_failure(failure, self.store.base)
            self.check_headers()
            status, answer, is_list = perform(self.store, self.schema, request)
            if is_list:
                answer, headers = self.paginate(answer, request)
            if failure == "502-after-accept":
                status, answer = 502, {"message": "Server Error"}
            elif failure in BROKEN:
                self.answer_broken(request, status, failure)
                return
            elif failure.split("=")[0] in AFTER_ACCEPT:
                self.break_off(request, failure)
                return
        except Refused as refused:
            status, answer, headers = refused.status, refused.payload, refused.headers
        self.answer(request, status, answer, headers)

    def answer_broken(self, request, status, failure):
        """Done, and said so in the status; the body is of no use."""
        self.note(request, status, None)
        text = b"<html>a proxy in between</html>"
        if failure == "huge-after-accept":
            text = b"[" + b'"x",' * 750_000 + b'"x"]'
        self.send_response_only(status)
        self.send_header("date", http_date(time.time()))
        self.send_header("content-length", str(len(text) * (2 if failure == "cut-after-accept" else 1)))
        self.end_headers()
        self.close_connection = True
        try:
            if failure == "slow-after-accept":
                for at in range(len(text)):
                    self.wfile.write(text[at : at + 1])
                    time.sleep(1)
            else:
                self.wfile.write(text)
        except OSError:
            pass

    def break_off(self, request, failure):
        self.note(request, 0, None)
        if failure.startswith("timeout"):
            time.sleep(hang_seconds(failure))
        else:
            # RST instead of FIN: the client cannot know what became of it.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def paginate(self, items, request):
        query = request["query"]
        size = max(1, min(PER_PAGE_MAX, int(query.get("per_page", PER_PAGE_DEFAULT))))
        page = max(1, int(query.get("page", 1)))
        last = max(1, -(-len(items) // size))
        links = []
        for name, number in (("next", page + 1), ("last", last)):
            if page < last:
                rest = urllib.parse.urlencode({**query, "page": number})
                links.append(f'<{self.store.base}{request["path"]}?{rest}>; rel="{name}"')
        return items[(page - 1) * size : page * size], ({"link": ", ".join(links)} if links else {})

    def answer(self, request, status, payload, headers):
        text = json.dumps(payload).encode()
        etag = '"' + hashlib.sha256(text).hexdigest() + '"'
        if self.command == "GET" and status == 200 and self.headers.get("if-none-match") == etag:
            status, text = 304, b""
        with self.store.lock:
            self.store.state["used"] += 0 if status == 304 else 1
            used = self.store.state["used"]
        self.note(request, status, payload)
        self.send_response_only(status)
        every = {
            "server": "github.com",
            "date": http_date(time.time()),
            "content-type": "application/json; charset=utf-8",
            "content-length": str(len(text)),
            "etag": etag,
            "x-ratelimit-limit": str(RATE_LIMIT),
            "x-ratelimit-remaining": str(max(0, RATE_LIMIT - used)),
            "x-ratelimit-reset": str(int(time.time()) + 3600),
            "x-ratelimit-used": str(used),
            "x-github-request-id": f"STUB:{used}",
        }
        for name, value in {**every, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def note(self, request, status, payload):
        number = payload.get("number") if isinstance(payload, dict) else None
        self.store.log(
            {
                "time": time.time(),
                "status": status,
                "number": number,
                "authorized": "authorization" in self.headers,
                "user_agent": self.headers.get("user-agent"),
                **request,
            }
        )

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_request


# --- certificates ------------------------------------------------------------------


def make_ca(directory):
    """A CA of our own and a server certificate by it for localhost and 127.0.0.1."""
    os.makedirs(directory, exist_ok=True)

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, cwd=directory, capture_output=True)

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(
        "req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=Test CA",
        "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
    )  # fmt: skip
    openssl("req", *curve, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    with open(os.path.join(directory, "server.ext"), "w", encoding="utf-8") as out:
        out.write(
            "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n"
            "keyUsage=digitalSignature\nextendedKeyUsage=serverAuth\n"
        )
    openssl(
        "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-out", "server.pem", "-days", "30", "-extfile", "server.ext",
    )  # fmt: skip


class Server(http.server.ThreadingHTTPServer):
    """TLS is agreed per connection in its own thread, so that a client that
    hangs in the handshake cannot stop the others."""

    daemon_threads = True
    context = None

    def finish_request(self, request, client_address):
        try:
            wrapped = self.context.wrap_socket(request, server_side=True)
        except (ssl.SSLError, OSError):
            return
        try:
            super().finish_request(wrapped, client_address)
        finally:
            wrapped.close()

    def handle_error(self, _request, _client_address):
        """A client that was killed in mid-request is what the tests do."""


def make_server(options):
    if not os.path.exists(os.path.join(options.dir, "server.pem")):
        make_ca(options.dir)
    schema = {}
    if options.schema and os.path.exists(options.schema):
        with open(options.schema, encoding="utf-8") as source:
            schema = json.load(source)["operations"]
    store = Store(options.dir, options.public)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(options.dir, "server.pem"), os.path.join(options.dir, "server.key"))
    handler = type("Bound", (Handler,), {"store": store, "schema": schema, "token": options.token})
    server = Server(("127.0.0.1", options.port), handler)
    server.context = context
    store.base = f"https://localhost:{server.server_address[1]}"
    return server


# --- its own test -------------------------------------------------------------------


def call(server, context, method, path, body=None, headers=None):
    import http.client

    port = server.server_address[1]
    client = http.client.HTTPSConnection("localhost", port, context=context, timeout=5)
    sent = {"user-agent": "selftest", "authorization": "Bearer t", **(headers or {})}
    client.request(method, path, json.dumps(body) if body is not None else None, sent)
    response = client.getresponse()
    text = response.read()
    client.close()
    return response.status, json.loads(text) if text else None, response.headers


def selftest():
    with tempfile.TemporaryDirectory() as directory:
        options = argparse.Namespace(dir=directory, port=0, token="t", schema=SCHEMA_DEFAULT, public=False)
        server = make_server(options)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        context = ssl.create_default_context(cafile=os.path.join(directory, "ca.pem"))
        check_behaviour(directory, lambda *a, **k: call(server, context, *a, **k))
        server.shutdown()
        server.server_close()
    print("selftest ok")


def check_behaviour(directory, do):
    control = os.path.join(directory, "control")
    issues = "/repos/o/r/issues"
    new = {"title": "t", "body": "b", "labels": ["ao-0123456789ab"]}
    assert do("GET", issues, headers={"authorization": "Bearer x"})[0] == 401
    assert do("GET", "/repos/o/r")[1]["private"] is True
    assert do("POST", issues, new)[1]["number"] == 1
    assert do("POST", issues, {"body": "no title"})[0] == 422
    assert do("POST", issues, {**new, "colour": 1})[0] == 422
    assert do("POST", issues, {**new, "body": "x" * 65_537})[0] == 422
    assert do("POST", issues, {**new, "labels": ["x" * 51]})[0] == 422
    write_atomically(control, "POST /comments:500\nPOST /issues:502-after-accept\nPOST:reset-after-accept\nPOST:429:retry-after=7\n403:reset=9\ndrop-labels\n")
    assert do("POST", issues, new)[0] == 502
    try:
        do("POST", issues, new)
        raise AssertionError("the connection was not reset")
    except OSError:
        pass
    assert do("POST", issues, new)[2]["retry-after"] == "7"
    limited = do("GET", issues)
    assert limited[0] == 403 and limited[2]["x-ratelimit-remaining"] == "0"
    assert do("POST", issues, new)[1]["labels"] == []
    listed = do("GET", f"{issues}?labels=ao-0123456789ab&state=all&per_page=2&sort=created&direction=desc")
    assert [issue["number"] for issue in listed[1]] == [3, 2], listed
    assert 'rel="next"' in listed[2]["link"]
    assert do("GET", issues, headers={"if-none-match": do("GET", issues)[2]["etag"]})[0] == 304
    closed = do("PATCH", f"{issues}/1", {"state": "closed", "state_reason": "completed"})
    assert closed[1]["state"] == "closed" and closed[1]["closed_at"]
    assert [issue["number"] for issue in do("GET", issues)[1]] == [4, 3, 2]
    assert do("POST", f"{issues}/1/comments", {"body": "c"})[0] == 500
    comment = do("POST", f"{issues}/1/comments", {"body": "c"})[1]
    assert do("PATCH", f"{issues}/comments/{comment['id']}", {"body": "d"})[1]["body"] == "d"
    assert do("GET", f"{issues}/1")[1]["comments"] == 1
    assert do("GET", f"{issues}/99")[0] == 404
    with open(os.path.join(directory, "requests.log"), encoding="utf-8") as source:
        assert all("time" in json.loads(line) for line in source)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("make-ca").add_argument("dir")
    commands.add_parser("selftest")
    serve = commands.add_parser("serve")
    serve.add_argument("--dir", required=True)
    serve.add_argument("--port", type=int, default=8443)
    serve.add_argument("--token", help="expected in Authorization; without it any is accepted")
    serve.add_argument("--schema", default=SCHEMA_DEFAULT)
    serve.add_argument("--public", action="store_true", help="the repository is public")
    options = parser.parse_args()
    if options.command == "make-ca":
        make_ca(options.dir)
    elif options.command == "selftest":
        selftest()
    else:
        server = make_server(options)
        print(f"listening on https://localhost:{server.server_address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
