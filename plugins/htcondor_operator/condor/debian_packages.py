"""HTCondor's packages on the Debian mirrors of this machine, by an apt with a state of its own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from htcondor_operator.condor.programs import COMPOSE, run
from htcondor_operator.vocabulary import ErrorKind, OwlError

SUITES = ("forky", "sid")
KEYRINGS = (
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Mirror:
    """A Debian mirror of this machine and the key that it is signed by."""

    uri: str
    keyring: str


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


def choose(apt: Path, major: int, say: Say) -> tuple[Mirror, str, str, list[str]]:
    """Find a mirror and suite with an HTCondor that fits the bindings."""
    reasons = []
    for mirror in mirrors():
        keyring = mirror.keyring or next((k for k in KEYRINGS if Path(k).is_file()), "")
        for suite in SUITES:
            say(f"HTCondor: asking {mirror.uri} for {suite}")
            shutil.rmtree(apt, ignore_errors=True)
            options = _apt_options(apt, Mirror(mirror.uri, keyring), suite)
            try:
                run(["apt-get", *options, "update", "-q"])
                version = _candidate(options)
            except OwlError as error:
                reasons.append(f"{mirror.uri} {suite}: {error.message.splitlines()[-1]}")
                continue
            if version.split(".")[0] == str(major):
                return mirror, suite, version, options
            reasons.append(f"{mirror.uri} {suite}: condor {version or 'missing'}")
    raise OwlError(
        ErrorKind.MISSING_EXECUTABLE,
        f"no HTCondor {major} can be installed from this machine's package mirrors "
        f"({'; '.join(reasons) or 'there is none in /etc/apt'}). {COMPOSE}",
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
    policy = run(["apt-cache", *options, "policy", "condor"])
    match = re.search(r"Candidate:\s*(\S+)", policy)
    return match[1] if match and match[1] != "(none)" else ""


def closure(options: Sequence[str]) -> list[str]:
    """Return condor and the shared libraries that it needs, directly or not."""
    seen: set[str] = set()
    todo = ["condor"]
    flags = [f"--no-{k}" for k in ("recommends", "suggests", "conflicts", "breaks", "replaces")]
    while todo:
        seen.update(todo)
        text = run(["apt-cache", *options, "depends", *flags, "--no-enhances", *todo])
        needed = re.findall(r"^ {1,2}\|?(?:Pre)?Depends: ([a-z0-9.+\-]+)$", text, re.MULTILINE)
        todo = sorted({name for name in needed if _is_library(name)} - seen)
    return sorted(seen)


def _is_library(package: str) -> bool:
    return (
        package.startswith("lib")
        and not package.startswith(("libjs-", "libperl"))
        and not package.endswith(("-perl", "-bin", "-dev", "-common"))
    )
