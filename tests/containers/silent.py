"""A process that says that it is ready, and ends every other request without an answer; it prints the id of each.

It runs where penstock's image has no tests: standard library only.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Silent(BaseHTTPRequestHandler):
    """One connection."""

    def do_GET(self) -> None:
        if self.path == "/readyz":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status":"ready"}')
        else:
            self._end()

    def _end(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        print(self.headers["X-Request-ID"], flush=True)
        self.close_connection = True

    do_POST = do_PATCH = do_DELETE = _end  # noqa: N815 - what `http.server` calls

    def log_message(self, *_: object) -> None:
        """Nothing but ids is printed."""


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(sys.argv[1])), Silent).serve_forever()
