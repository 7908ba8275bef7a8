"""A foreign API: three answers a second, 429 for all further calls.    python3 api.py PORT"""
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

answered = []


class Api(BaseHTTPRequestHandler):
    def do_POST(self):
        city = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["city"]
        answered[:] = [moment for moment in answered if moment > time.monotonic() - 1]
        status, body = 429, {"message": "too many requests"}
        if len(answered) < 3:
            answered.append(time.monotonic())
            status, body = 200, {"city": city, "degrees": 12 + 3 * len(city) % 20}
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


HTTPServer(("127.0.0.1", int(sys.argv[1])), Api).serve_forever()
