"""A shop over Python's own HTTP server. It recognises an order by the key in a header: an order with a known key has no
second effect. `GET /by-key/KEY` answers 200 or 404, and `GET /book` has the keys of all requests and of all orders."""

import http.server
import json
import sys

requests, orders = [], []


class Shop(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/book":
            return self.answer(200, {"requests": requests, "orders": orders})
        key = self.path.removeprefix("/by-key/")
        self.answer(200 if key in orders else 404, {"key": key})

    def do_POST(self):
        """`/lost` takes the first request and does not answer it, and `/dropped` does not even take it."""
        key = self.headers["Idempotency-Key"]
        self.rfile.read(int(self.headers["Content-Length"]))
        is_first = key not in requests
        requests.append(key)
        if key not in orders and not (is_first and self.path == "/dropped"):
            orders.append(key)
        if is_first and self.path in ("/dropped", "/lost"):
            self.close_connection = True
        else:
            self.answer(201, {"requests": requests.count(key)})


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Shop).serve_forever()
