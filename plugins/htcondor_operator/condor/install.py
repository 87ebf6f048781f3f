"""A private HTCondor without root: from the machine's own Debian mirror into a prefix.

Only condor and the closure of its shared libraries are downloaded, with an apt state of our own,
unpacked with ``dpkg -x`` and pointed at the prefix's own loader and libraries with ``patchelf``.
Nothing is exported in ``LD_LIBRARY_PATH``, so jobs run with the host's libraries.
A site's own HTCondor always wins over this one: see :func:`site_condor`.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from htcondor_operator.condor.debian_packages import Say, choose, closure
from htcondor_operator.condor.programs import COMPOSE, require, run
from htcondor_operator.condor.relocation import find_patchelf, relocate
from htcondor_operator.vocabulary import ErrorKind, OwlError

MAJOR = 25
"""Major version of the bindings; daemons of another one fail to authenticate (seen: 23 with 25)."""

STAMP = "owl-condor.json"


@dataclass(frozen=True)
class Condor:
    """Where an HTCondor's programs are."""

    bin: Path
    sbin: Path
    lib: Path
    libexec: Path
    share: Path
    release: Path
    version: str

    def path(self, inherited: str) -> str:
        """Return a PATH on which this HTCondor's programs come first."""
        return os.pathsep.join(dict.fromkeys([str(self.bin), str(self.sbin), inherited]))


def site_condor(environment: Mapping[str, str] | None = None) -> bool:
    """Whether the site has its own HTCondor, which then must be used."""
    env = os.environ if environment is None else environment
    return bool(env.get("CONDOR_CONFIG")) or bool(
        shutil.which("condor_master", path=env.get("PATH"))
    )


def check_site(environment: Mapping[str, str]) -> str:
    """Return the version of the site's HTCondor.

    Raises
    ------
    OwlError
        When its major version does not fit the bindings: authentication would fail later.
    """
    command = shutil.which("condor_version", path=environment.get("PATH"))
    if not command:
        raise OwlError(
            ErrorKind.MISSING_EXECUTABLE,
            f"CONDOR_CONFIG is {environment.get('CONDOR_CONFIG')!r} but condor_version is not on "
            "PATH: add HTCondor's bin folder to PATH, or unset CONDOR_CONFIG for a private pool.",
        )
    try:
        done = subprocess.run(
            [command],
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        words = done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        words = "no answer within 20 s"
    match = re.search(r"CondorVersion: ((\d+)\.\d+\.\d+)", words)
    if not match or int(match[2]) != MAJOR:
        raise OwlError(
            ErrorKind.SUBMIT_REFUSED,
            f"{command} is HTCondor {match[1] if match else words.strip()!r}; OWL's bindings need "
            f"{MAJOR}.x. Upgrade it, or take it off PATH for a private pool.",
        )
    return match[1]


def installed(prefix: Path) -> Condor | None:
    """Return the private HTCondor in `prefix` if it is complete."""
    try:
        stamp = json.loads((prefix / STAMP).read_text())
    except (OSError, ValueError):
        return None
    # The loader's absolute path is inside every program: a moved prefix does not run.
    if stamp.get("prefix") != str(prefix):
        return None
    usr = prefix / "usr"
    return Condor(
        bin=usr / "bin",
        sbin=usr / "sbin",
        lib=prefix / stamp["lib"],
        libexec=prefix / stamp["libexec"],
        share=usr / "share" / "condor",
        release=usr,
        version=stamp["version"],
    )


def ensure_condor(prefix: Path, say: Say = lambda _: None) -> Condor:
    """Return the private HTCondor in `prefix`; install it first if it is not there.

    Two processes may call this at once: one installs, the other waits. An interrupted installation
    leaves nothing that looks complete.

    Raises
    ------
    OwlError
        Kind ``missing_executable`` when this machine cannot install it.
    """
    prefix = prefix.absolute()
    if found := installed(prefix):
        return found
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with _locked(prefix.with_name(prefix.name + ".lock")):
        if found := installed(prefix):
            return found
        building = prefix.with_name(prefix.name + ".building")
        shutil.rmtree(building, ignore_errors=True)
        shutil.rmtree(prefix, ignore_errors=True)
        try:
            _build(building, prefix, say)
            building.rename(prefix)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    found = installed(prefix)
    assert found is not None
    return found


def _build(building: Path, prefix: Path, say: Say) -> None:
    require("apt-get", "apt-cache", "dpkg")
    patchelf = find_patchelf()
    root, apt = building / "root", building / "apt"
    root.mkdir(parents=True)
    mirror, suite, version, options = choose(apt, MAJOR, say)
    packages = closure(options)
    say(f"HTCondor {version}: {len(packages)} packages from {mirror.uri} ({suite})")
    debs = apt / "debs"
    debs.mkdir()
    run(["apt-get", *options, "download", "-q", *packages], cwd=debs)
    say("HTCondor: unpacking")
    for deb in sorted(debs.glob("*.deb")):
        run(["dpkg", "-x", str(deb), str(root)])
    relocate(root, prefix, patchelf)
    libexec = _folder_of(root, "condor_shared_port")
    stamp = {
        "prefix": str(prefix),
        "version": version,
        "suite": suite,
        "packages": packages,
        "lib": "usr/lib/condor",
        "libexec": str(libexec.relative_to(root)),
    }
    (root / STAMP).write_text(json.dumps(stamp, indent=1))
    for child in root.iterdir():
        child.rename(building / child.name)
    root.rmdir()
    shutil.rmtree(apt)


def _folder_of(root: Path, name: str) -> Path:
    for found in root.rglob(name):
        return found.parent
    raise OwlError(ErrorKind.MISSING_EXECUTABLE, f"the condor package has no {name}. {COMPOSE}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
