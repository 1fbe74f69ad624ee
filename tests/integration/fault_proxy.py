#!/usr/bin/env python3
"""fault_proxy.py UPSTREAM_PORT FAULT EVERY [METHODS]: an HTTP proxy in front of a server on this
machine that spoils every EVERY-th request (of METHODS, e.g. GET,PUT; all by default) and passes the
others on as they are. Prints its port. FAULT:
  none
  500       answered with 500, not passed on
  slowdown  answered with 503 SlowDown and Retry-After: 1, not passed on
  reset     the connection is reset after the request was read, not passed on
  lost      passed on, but the connection is reset in place of the answer
  truncate  half of the answer's body, then the connection ends
  flip      one bit of the answer's body is wrong, if it is larger than 1 MB
  stall     half of the answer's body, then nothing more"""
import http.client
import http.server
import socket
import struct
import sys
import threading

upstream, fault, every = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
methods = sys.argv[4].split(",") if len(sys.argv) > 4 else None
lock, count = threading.Lock(), 0


def is_due(method):
    global count
    if fault == "none" or (methods and method not in methods):
        return False
    with lock:
        count += 1
        return count % every == 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body, headers=()):
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        # The handler's files hold the socket open too: shut down is not a reset, closing is.
        self.rfile.close()
        self.wfile.close()
        self.connection.close()

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        due = is_due(self.command)
        if due and fault == "500":
            return self.answer(500, b"<Error><Code>InternalError</Code></Error>")
        if due and fault == "slowdown":
            return self.answer(503, b"<Error><Code>SlowDown</Code></Error>", [("Retry-After", "1")])
        if due and fault == "reset":
            return self.reset()
        connection = http.client.HTTPConnection("127.0.0.1", upstream, timeout=120)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "expect":
                connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        data = response.read()
        if due and fault == "lost":
            connection.close()
            return self.reset()
        self.send_response_only(response.status)
        for name, value in response.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        length = response.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        connection.close()
        if self.command == "HEAD":
            return None
        spoilt = due and response.status < 300 and len(data) > 1
        if spoilt and fault == "flip" and len(data) > 1_000_000:
            data = bytearray(data)
            data[len(data) // 2] ^= 1
        if spoilt and fault in ("truncate", "stall"):
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            if fault == "stall":
                self.connection.settimeout(60)
                try:
                    self.connection.recv(1)
                except OSError:
                    pass
            self.close_connection = True
            return None
        self.wfile.write(data)
        return None

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = serve


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # the client went away, or was sent away


server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
