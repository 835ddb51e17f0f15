"""A publisher's web server on this machine: it can serve, stall, truncate and lie."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

Answer = Callable[[BaseHTTPRequestHandler], None]


class Publisher:
    """Answers each path as told; `requests` are the paths asked for, in order."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[str] = []
        self.closing = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.requests.append(self.path)
                owner.answers.get(self.path, lambda handler: handler.send_error(404))(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def serve(self, path: str, body: bytes, **headers: str) -> str:
        """Serve a file properly; return its address."""
        return self._answer(path, body, body, stall=False, headers=headers)

    def truncate(self, path: str, body: bytes) -> str:
        """Promise a whole file, send half of it, and hang up."""
        return self._answer(path, body, body[: len(body) // 2], stall=False)

    def stall(self, path: str, body: bytes) -> str:
        """Send half of a file, and then nothing."""
        return self._answer(path, body, body[: len(body) // 2], stall=True)

    def stay_silent(self, path: str) -> str:
        """Take the request, and answer nothing."""
        self.answers[path] = lambda handler: self.closing.wait(60) and None
        return self.address(path)

    def hang_up(self, path: str) -> str:
        """Close the connection without an answer."""
        self.answers[path] = lambda handler: None
        return self.address(path)

    def refuse(self, path: str, status: int) -> str:
        """Answer with an error, and a page that says so."""
        self.answers[path] = lambda handler: handler.send_error(status)
        return self.address(path)

    def redirect(self, path: str, to: str) -> str:
        """Send the visitor elsewhere."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(302)
            handler.send_header("Location", to)
            handler.end_headers()

        self.answers[path] = answer
        return self.address(path)

    def _answer(
        self,
        path: str,
        promised: bytes,
        sent: bytes,
        stall: bool,
        headers: dict[str, str] | None = None,
    ) -> str:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(promised)))
            for name, value in (headers or {}).items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(sent)
            handler.wfile.flush()
            if stall:
                self.closing.wait(60)

        self.answers[path] = answer
        return self.address(path)
