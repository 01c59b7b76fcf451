"""The images of containers: the official ones that images.env names where they can be had, else stand-ins.

A stand-in is built here from Debian's packages, PyPI and Maven (`stand_ins/`), keeps what compose and the tests rely on of
the image that it stands in for, and is tagged with a digest of what it is made of: it is built once. (Debian's packages
are as new as they were then.)
"""

from __future__ import annotations

import hashlib
import os
import shutil
import ssl
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.containers.docker import Docker, DockerFailed, need, run
from tests.support.kafka_broker import jars_directory, kafka_jars, kafka_version
from tests.support.services import REPOSITORY, ServiceUnavailable

STAND_INS = Path(__file__).parent / "stand_ins"
PREFIX = "penstock-test"

KAFKA, CLICKHOUSE, HAPROXY, PYTHON = "KAFKA_IMAGE", "CLICKHOUSE_IMAGE", "HAPROXY_IMAGE", "PYTHON_IMAGE"

_DEBIAN = {"python": ("bookworm", "ca-certificates,python3,python3-venv"), "haproxy": ("trixie", "haproxy,wget")}
"""Release and packages of those that begin with an empty system: the releases that have the versions of images.env."""
_PULL_SECONDS = 300

_BRIDGE_NEEDS = ("chdb", "lz4", "zstandard")


def pinned() -> dict[str, str]:
    """Variable to image, as images.env has them, or the environment in its place."""
    lines = (REPOSITORY / "images.env").read_text(encoding="utf-8").splitlines()
    named = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {variable: os.environ.get(variable) or image for variable, image in named.items()}


def is_stand_in(image: str) -> bool:
    """Whether it was built here in the place of another."""
    return image.startswith(f"{PREFIX}/")


class Images:
    """Images in an engine.

    Args:
        say: told before something that takes long.
        installs: whether programs that are missing may be installed.
    """

    def __init__(self, docker: Docker, say: Callable[[str], None], *, installs: bool = False) -> None:
        self._docker = docker
        self._say = say
        self._installs = installs

    def get(self, variable: str) -> str:
        """The image for one of `pinned`; it is in the engine then.

        Raises:
            ServiceUnavailable: it can neither be pulled nor be built here.
        """
        official = pinned()[variable]
        if self._has(official) or self._pulled(official):
            return official
        return self._stand_in(variable.removesuffix("_IMAGE").lower())

    def _has(self, image: str) -> bool:
        return bool(self._docker("image", "ls", "--quiet", image))

    def _pulled(self, image: str) -> bool:
        try:
            self._docker("pull", "--quiet", image, timeout_seconds=_PULL_SECONDS)
        except DockerFailed:
            return False
        return True

    def _stand_in(self, name: str) -> str:
        base = self._debian(name) if name in _DEBIAN else self._stand_in("python")
        if name == "kafka" and not jars_directory().is_dir():
            self._need("mvn", "maven")
        with _context(name) as directory:
            tag = f"{PREFIX}/{name}:{_digest(directory, base)}"
            if not self._has(tag):
                self._say(f"building {tag}: the official image cannot be pulled")
                try:
                    self._docker("build", "--quiet", f"--build-arg=BASE={base}", f"--tag={tag}", directory)
                except DockerFailed as failed:
                    raise ServiceUnavailable(str(failed)) from None
        return tag

    def _need(self, program: str, package: str) -> None:
        if self._installs:
            need(program, package, self._say)
        elif shutil.which(program) is None:
            raise ServiceUnavailable(
                f"an image cannot be pulled, and {program} is missing, with which it could be built"
            )

    def _debian(self, name: str) -> str:
        """A system with nothing but what is needed, made by Debian's own tool from Debian's packages."""
        release, packages = _DEBIAN[name]
        tag = f"{PREFIX}/debian-{name}:{release}-{hashlib.sha256(packages.encode()).hexdigest()[:6]}"
        if self._has(tag):
            return tag
        if os.geteuid() != 0:
            raise ServiceUnavailable("no image can be pulled, and only root can make one from Debian's packages")
        self._need("mmdebstrap", "mmdebstrap")
        self._say(f"making {tag} from Debian's packages")
        with tempfile.TemporaryDirectory(prefix="penstock-debian-") as directory:
            archive = Path(directory) / "base.tar"
            source = f"deb {_mirror()} {release} main"
            try:
                run(["mmdebstrap", "--variant=minbase", f"--include={packages}", release, archive, source])
                self._docker("import", archive, tag)
            except DockerFailed as failed:
                raise ServiceUnavailable(str(failed)) from None
        return tag


@contextmanager
def _context(name: str) -> Iterator[Path]:
    """What an image is built from."""
    with tempfile.TemporaryDirectory(prefix=f"penstock-{name}-") as made:
        directory = Path(made)
        shutil.copytree(STAND_INS / name, directory, dirs_exist_ok=True)
        if name == "python":
            shutil.copy(_authorities(), directory / "ca-certificates.crt")
        elif name == "kafka":
            shutil.copytree(kafka_jars(), directory / "jars")
        elif name == "clickhouse":
            bridge = directory / "bridge" / "tests" / "support"
            bridge.mkdir(parents=True)
            for file in ("clickhouse_bridge.py", "clickhouse_faults.py"):
                shutil.copy(REPOSITORY / "tests" / "support" / file, bridge)
            (directory / "requirements.txt").write_text("".join(map(_locked, _BRIDGE_NEEDS)), encoding="utf-8")
        yield directory


def _digest(directory: Path, base: str) -> str:
    """Of all that goes in: names and contents, but of Kafka's jars the version alone."""
    made_of = hashlib.sha256(f"{base} {kafka_version()}".encode())
    for file in sorted(path for path in directory.rglob("*") if path.is_file() and path.suffix != ".jar"):
        made_of.update(str(file.relative_to(directory)).encode() + b"\0" + file.read_bytes())
    return made_of.hexdigest()[:12]


def _locked(package: str) -> str:
    """A line of a requirements file with the version that the lock file has."""
    with (REPOSITORY / "uv.lock").open("rb") as file:
        versions = {found["name"]: found.get("version", "") for found in tomllib.load(file)["package"]}
    return f"{package}=={versions[package]}\n"


def _authorities() -> Path:
    """The certificates that this machine trusts."""
    paths = ssl.get_default_verify_paths()
    found = [name for name in (paths.cafile, paths.openssl_cafile, "/etc/ssl/certs/ca-certificates.crt") if name]
    return next(Path(name) for name in found if Path(name).is_file())


def _mirror() -> str:
    """The one that this machine takes Debian's packages from, else Debian's own."""
    named = ["Identifier: Packages", "Label: Debian", "Component: main"]
    found = run(["apt-get", "indextargets", "--format", "$(REPO_URI)", *named]).splitlines()
    return found[0] if found else "http://deb.debian.org/debian"
