"""A server that answers everything with 418 over TLS, on a free port of loopback,
for as long as standard input is open. Its certificate is in the working directory.

Prints the port.
"""

import http.server
import os
import ssl
import sys
import threading


class Teapot(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(418)
        self.send_header("content-length", "0")
        self.end_headers()


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Teapot)
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
# The server's threads would go on.
os._exit(0)
