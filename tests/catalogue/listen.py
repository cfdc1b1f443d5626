"""A service that listens: `listen.py PORT`. Says so in the journal when it cannot.

`/srv/cat/listen-PORT.http` holds the HTTP status it answers with (default 200)."""

import http.server
import os
import sys

PORT = int(sys.argv[1])


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            with open(f"/srv/cat/listen-{PORT}.http", encoding="ascii") as source:
                status = int(source.read())
        except FileNotFoundError:
            status = 200
        self.send_response(status)
        self.end_headers()

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    allow_reuse_address = True


try:
    server = Server(("0.0.0.0", PORT), Answer)
except OSError as why:
    sys.exit(f"cannot listen on 0.0.0.0:{PORT}: {os.strerror(why.errno)}")
with open(f"/run/cat/listen-{PORT}.starts", "a", encoding="ascii") as out:
    import time

    out.write(f"{time.time()} {os.getpid()}\n")
server.serve_forever()
