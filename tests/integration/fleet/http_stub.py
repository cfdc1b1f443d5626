#!/usr/bin/env python3
"""Takes any request and writes it down: http_stub.py DIR [--tls]. Answers what DIR/status says (200)."""

import http.server
import json
import os
import ssl
import sys

DIRECTORY = sys.argv[1]


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length).decode("utf-8", "replace")
        try:
            with open(os.path.join(DIRECTORY, "status"), encoding="utf-8") as file:
                status = int(file.read())
        except FileNotFoundError:
            status = 200
        entry = {
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": body,
            "status": status,
        }
        with open(os.path.join(DIRECTORY, "requests"), "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        try:
            with open(os.path.join(DIRECTORY, "answer"), "rb") as file:
                content = file.read()
        except FileNotFoundError:
            content = b"{}"
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = answer

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
scheme = "http"
if "--tls" in sys.argv:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(DIRECTORY, "server.pem"), os.path.join(DIRECTORY, "server.key"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "https"
print(f"{scheme}://127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()
