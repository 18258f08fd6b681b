"""A PostgreSQL server of one's own on loopback, for the tests and for benchmarks/sources/postgres.py."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PASSWORD = "pl%nted-" + secrets.token_hex(8)  # grepped for in everything that is written


def find_programs() -> Path | None:
    """The folder of the server's programs; None where there is none. Debian keeps them off the PATH."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))[::-1]
    needed = ("initdb", "postgres", "pg_isready")
    return next((each for each in folders if all((each / name).is_file() for name in needed)), None)


class Server:
    """A cluster in a folder of its own; user postgres, authentication by password."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="linkodds-postgres-"))
        self._as_user: list[str] = []
        if os.getuid() == 0:  # initdb refuses root
            user = next(each for each in pwd.getpwall() if each.pw_name in ("postgres", "nobody"))
            with contextlib.suppress(KeyError):
                user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
            self._as_user = ["setpriv", *ids]
        word = self.folder / "password"
        word.write_text(PASSWORD + "\n")
        word.chmod(0o644)
        initdb = [str(programs / "initdb"), "--pgdata", str(self.folder / "data"), "--username=postgres", "--no-sync"]
        initdb += ["--encoding=UTF8", "--no-locale", "--auth=scram-sha-256", f"--pwfile={word}"]
        subprocess.run(
            [*self._as_user, *initdb], check=True, capture_output=True, cwd="/", env={"PATH": os.environ["PATH"]}
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, rest: str = "", *, password: bool = True) -> str:
        """The URL of its database, with the password or without."""
        word = ":" + PASSWORD.replace("%", "%25") if password else ""
        return f"postgresql://postgres{word}@127.0.0.1:{self.port}/postgres{rest}"

    def start(self) -> None:
        """Start it, and wait until it lets somebody in: after a kill it first takes back what was not committed."""
        options = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_wal_size=256MB"]
        options += ["shared_buffers=64MB", "log_min_messages=fatal", "autovacuum=off"]
        command = [str(self._programs / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        command += [word for option in options for word in ("-c", option)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as_user, *command], stdout=log, stderr=log, cwd="/", start_new_session=True
            )
        self.wait()

    def wait(self) -> None:
        """Wait until it takes connections."""
        ready = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        for _ in range(1200):
            if subprocess.run(ready, check=False).returncode == 0:
                return
            assert self._process is not None
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError((self.folder / "log").read_text(errors="replace")[-2000:])

    def cpu_seconds(self) -> float:
        """Of the server and of its connections that are closed."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """SIGKILL to the server and to all that it started, at once."""
        assert self._process is not None
        children = [
            int(pid) for pid in Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        ]
        for pid in (self._process.pid, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        while any(Path(f"/proc/{pid}").exists() for pid in children):  # their memory has to be gone before a new start
            time.sleep(0.01)

    def close(self) -> None:
        """Stop it and delete its folder."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
        shutil.rmtree(self.folder)


@contextlib.contextmanager
def running_server(programs: Path) -> Iterator[Server]:
    """A server that runs, and is gone afterwards."""
    server = Server(programs)
    try:
        server.start()
        yield server
    finally:
        server.close()
