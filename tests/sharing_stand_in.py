"""A stand-in of a hub on loopback: what its client asks for when repositories are made, filled and fetched.

`python stand_in.py` prints its address and serves until it is ended; a GET of /seen gives what it was asked.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_stand_in"
LARGE = (".safetensors", ".html")


class Hub:
    """Repositories by kind and name: a branch is a list of commits, a commit the files by path."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], dict[str, list[tuple[str, dict[str, bytes]]]]] = {}
        self.private: dict[tuple[str, str], bool] = {}
        self.large: dict[str, bytes] = {}  # by SHA-256
        self.seen: list[str] = []

    def commit_of(self, kind: str, name: str, revision: str) -> tuple[str, dict[str, bytes]]:
        branches = self.repositories[kind, name]
        every = [one for commits in branches.values() for one in commits]
        return branches[revision][-1] if revision in branches else next(one for one in every if one[0] == revision)

    def commit(self, kind: str, name: str, branch: str, lines: list[dict]) -> str:
        branches = self.repositories[kind, name]
        files = dict(branches[branch][-1][1])
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        sha = hashlib.sha1(repr((branch, len(branches[branch]), sorted(files))).encode()).hexdigest()
        branches[branch].append((sha, files))
        return sha


def handler_of(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, body: object = None, **headers: str) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content_Type": "application/json", **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def serve(self) -> None:
            path = unquote(urlsplit(self.path).path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b"".join(iter(self.chunk, b""))
            hub.seen.append(f"{self.command} {path}")
            if path == "/seen":
                return self.answer(200, {"seen": hub.seen, "private": list(hub.private.values())})
            for pattern, method in ROUTES.items():
                found = re.fullmatch(pattern, f"{self.command} {path}")
                if found:
                    writes = self.command not in {"GET", "HEAD"} and "/storage/" not in path
                    if writes and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                        return self.answer(401, {"error": "Invalid username or password."})
                    try:
                        return getattr(self, method)(body, *found.groups())
                    except (KeyError, StopIteration):
                        return self.answer(404, {"error": "not found"}, X_Error_Code="RepoNotFound")
            return self.answer(501, {"error": f"{self.command} {path}"})

        do_GET = do_HEAD = do_POST = do_PUT = serve

        def chunk(self) -> bytes:
            data = self.rfile.read(int(self.rfile.readline(), 16))
            self.rfile.readline()
            return data

        def create(self, body: bytes) -> None:
            asked = json.loads(body)
            kind, name = asked.get("type", "model"), f"{asked['organization']}/{asked['name']}"
            new = (kind, name) not in hub.repositories
            hub.repositories.setdefault((kind, name), {"main": [("0" * 40, {})]})
            hub.private[kind, name] = asked.get("private", asked.get("visibility") == "private")
            place = "" if kind == "model" else f"{kind}s/"
            self.answer(200 if new else 409, {"url": f"http://{self.headers['Host']}/{place}{name}"})

        def validate(self, _body: bytes) -> None:
            self.answer(200, {"errors": [], "warnings": []})

        def branch(self, _body: bytes, kind: str, name: str, branch: str) -> None:
            branches = hub.repositories[kind, name]
            new = branch not in branches
            branches.setdefault(branch, [branches["main"][-1]])
            self.answer(200 if new else 409, {})

        def preupload(self, body: bytes, _kind: str, _name: str, _revision: str) -> None:
            files = [one["path"] for one in json.loads(body)["files"]]
            modes = {path: "lfs" if path.endswith(LARGE) else "regular" for path in files}
            self.answer(200, {"files": [{"path": p, "uploadMode": m, "shouldIgnore": False} for p, m in modes.items()]})

        def batch(self, body: bytes, _name: str) -> None:
            objects = [
                {**one, "actions": {"upload": {"href": f"http://{self.headers['Host']}/storage/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            self.answer(200, {"objects": objects, "transfer": "basic"})

        def store(self, body: bytes, oid: str) -> None:
            assert hashlib.sha256(body).hexdigest() == oid
            hub.large[oid] = body
            self.answer(200, {})

        def commit(self, body: bytes, kind: str, name: str, revision: str) -> None:
            sha = hub.commit(kind, name, revision, [json.loads(line) for line in body.splitlines()])
            self.answer(200, {"commitUrl": f"http://{self.headers['Host']}/{name}/commit/{sha}", "commitOid": sha})

        def info(self, _body: bytes, kind: str, name: str, revision: str = "main") -> None:
            sha, files = hub.commit_of(kind, name, revision)
            self.answer(200, {"id": name, "sha": sha, "siblings": [{"rfilename": path} for path in files]})

        def tree(self, _body: bytes, kind: str, name: str, revision: str) -> None:
            files = hub.commit_of(kind, name, revision)[1]
            self.answer(200, [{"type": "file", "path": path, **described(path, data)} for path, data in files.items()])

        def file(self, _body: bytes, name: str, revision: str, path: str) -> None:
            sha, files = hub.commit_of("model", name, revision)
            self.answer(200, files[path], ETag=f'"{described(path, files[path])["oid"]}"', X_Repo_Commit=sha)

        def page(self, _body: bytes, name: str, path: str) -> None:
            """What a static Space shows people."""
            kind = "text/html; charset=utf-8" if path in {"", "index.html"} else "application/octet-stream"
            self.answer(200, hub.commit_of("space", name, "main")[1][path or "index.html"], Content_Type=kind)

    return Handler


def described(path: str, data: bytes) -> dict:
    """A file as a listing of a repository tells of it."""
    oid = hashlib.sha1(data).hexdigest()
    if not path.endswith(LARGE):
        return {"oid": oid, "size": len(data)}
    digest = hashlib.sha256(data).hexdigest()
    return {"oid": digest, "size": len(data), "lfs": {"oid": digest, "size": len(data), "pointerSize": 130}}


NAME = r"([\w.-]+/[\w.-]+)"
ROUTES = {
    r"POST /api/repos/create": "create",
    r"POST /api/validate-yaml": "validate",
    rf"POST /api/(model|space)s/{NAME}/branch/(.+)": "branch",
    rf"POST /api/(model|space)s/{NAME}/preupload/(.+)": "preupload",
    rf"POST /(?:spaces/)?{NAME}\.git/info/lfs/objects/batch": "batch",
    r"PUT /storage/(\w+)": "store",
    rf"POST /api/(model|space)s/{NAME}/commit/(.+)": "commit",
    rf"GET /api/(model|space)s/{NAME}": "info",
    rf"GET /api/(model|space)s/{NAME}/revision/(.+)": "info",
    rf"GET /api/(model|space)s/{NAME}/tree/([^/]+)": "tree",
    rf"GET /static/{NAME}/(.*)": "page",
    rf"(?:GET|HEAD) /{NAME}/resolve/([^/]+)/(.+)": "file",
}


def serve() -> ThreadingHTTPServer:
    """A stand-in at a free port of loopback, which answers once it is told to serve."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(Hub()))
    server.daemon_threads = True
    return server


if __name__ == "__main__":
    made = serve()
    print(f"http://127.0.0.1:{made.server_port}", flush=True)
    made.serve_forever()
