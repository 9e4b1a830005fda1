"""nginx: a blue-green swap by rewriting the upstream and reloading with SIGHUP."""

import os
import signal
import subprocess
import time
from pathlib import Path

from bench.backends import Backend, BackendSettings
from bench.build import tool
from bench.processes import PartyError, answers, end, free_port, spawn, wait_until
from bench.side import BLUE, GREEN

CONFIGURATION = """\
daemon off;
{user}worker_processes 1;
pid {home}/nginx.pid;
error_log {home}/error.log notice;
events {{ worker_connections 4096; }}
http {{
  access_log {home}/access.log combined buffer=64k flush=1s;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  keepalive_requests 10000000;
  keepalive_timeout 3600s;
  include {home}/upstream.conf;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://live;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_next_upstream off;
    }}
  }}
}}
"""


def binary() -> str:
    return tool("nginx", "/usr/sbin/nginx")


def version() -> str:
    said = subprocess.run([binary(), "-v"], capture_output=True, text=True, check=True).stderr
    return said.strip().partition("/")[2]


class Nginx:
    def __init__(self, home: Path, settings: BackendSettings) -> None:
        self.port = free_port()
        self._home = home
        self._backends = {name: Backend(settings, name, home) for name in (BLUE, GREEN)}
        self._process: subprocess.Popen[bytes] | None = None
        self._configuration = home / "nginx.conf"
        # Started by root, nginx would give its workers to another user who cannot read this folder.
        user = "user root;\n" if os.geteuid() == 0 else ""
        self._configuration.write_text(CONFIGURATION.format(home=home, port=self.port, user=user))
        self._before: set[int] = set()

    def start(self) -> None:
        self._backends[BLUE].start()
        self._point_at(BLUE)
        self._check()
        self._process = spawn([binary(), "-c", str(self._configuration)], self._home / "nginx.log")
        wait_until(lambda: answers(f"http://127.0.0.1:{self.port}/healthz"), "nginx answers")

    def prepare(self) -> None:
        self._backends[GREEN].start()

    def validate(self, to: str) -> None:
        self._point_at(to)
        self._check()

    def switch(self, to: str) -> int:
        del to
        assert self._process is not None
        self._before = self._children()
        command_ns = time.monotonic_ns()
        self._process.send_signal(signal.SIGHUP)
        return command_ns

    def settle(self, to: str) -> None:
        wait_until(lambda: not self._children() <= self._before, f"nginx has a new worker for {to}")

    def retire(self, name: str) -> None:
        # The old workers hold the requests and streams that are still open on the old backend.
        wait_until(lambda: not self._children() & self._before, "nginx's old workers have finished")
        self._backends[name].stop()
        self._backends[name].start()

    def retries(self) -> int:
        """The configuration says `proxy_next_upstream off`."""
        return 0

    def shell_command(self, to: str) -> list[str]:
        """`nginx -s reload` ends when the signal is sent."""
        del to
        return []

    def stop(self) -> None:
        if self._process is not None:
            end(self._process)
        for backend in self._backends.values():
            backend.stop()

    def _point_at(self, name: str) -> None:
        fresh = self._home / "upstream.new"
        fresh.write_text(f"upstream live {{ server 127.0.0.1:{self._backends[name].port}; keepalive 64; }}\n")
        fresh.rename(self._home / "upstream.conf")

    def _check(self) -> None:
        done = subprocess.run(
            [binary(), "-t", "-q", "-c", str(self._configuration)], capture_output=True, check=False
        )
        if done.returncode != 0:
            raise PartyError(f"nginx refuses its configuration: {done.stderr.decode()}")

    def _children(self) -> set[int]:
        assert self._process is not None
        pid = self._process.pid
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
