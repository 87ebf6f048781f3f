from __future__ import annotations

import json
import os
import re
import socket
import stat
from pathlib import Path

import pytest

from htcondor_operator.condor.debian_packages import Mirror, parse_deb822, parse_one_line
from htcondor_operator.condor.install import Condor, check_site, site_condor
from htcondor_operator.condor.pool import configuration
from htcondor_operator.condor.relocation import elf_kind
from htcondor_operator.launcher import environment, ports
from htcondor_operator.launcher.airflow import airflow_settings, sqlalchemy_url
from htcondor_operator.launcher.demo import archived, workflow_of
from htcondor_operator.launcher.home import Home, load_secrets
from htcondor_operator.launcher.postgres import Postgres
from htcondor_operator.launcher.services import Service, services
from htcondor_operator.launcher.stack import OWNED, purge, tail
from htcondor_operator.launcher.supervisor import ServiceState, layers
from htcondor_operator.vocabulary import OwlError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in ("OWL_CACHE", "OWL_DATABASE_URL", "CONDOR_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    made = Home(tmp_path / "home")
    made.make()
    return made


# --- ports


def test_a_port_is_remembered(tmp_path: Path):
    file = tmp_path / "ports.json"
    first = ports.choose("api", file)
    assert ports.choose("api", file) == first


def test_a_taken_port_is_changed_but_not_under_a_running_service(tmp_path: Path):
    file = tmp_path / "ports.json"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        file.write_text(json.dumps({"api": port}))
        assert ports.choose("api", file, keep=True) == port
        assert ports.choose("api", file) != port


def test_a_new_port_is_none_the_kernel_gives_to_others():
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    chosen = {ports.any_free() for _ in range(20)}
    assert len(chosen) > 1
    assert all(ports.LOWEST <= port < first for port in chosen)


def test_a_damaged_file_of_ports_is_made_anew(tmp_path: Path):
    file = tmp_path / "ports.json"
    file.write_text("{")
    assert ports.choose("api", file) > 0
    assert json.loads(file.read_text())


# --- secrets and environment


def test_secrets_are_made_once_and_private(home: Home):
    secrets = load_secrets(home)
    assert load_secrets(home) == secrets
    assert stat.S_IMODE((home.root / "secrets.json").stat().st_mode) == 0o600
    assert json.loads(home.passwords_file.read_text()) == secrets.passwords


def test_the_environment_survives_its_file(home: Home):
    stack = environment.describe(home)
    stack.environment["OWL_ODD"] = 'it\'s "odd" $HOME # \\ ü'
    environment.write(stack)
    assert environment.read(home.environment_file) == stack.environment
    assert stat.S_IMODE(home.environment_file.stat().st_mode) == 0o600


def test_everything_private_when_nothing_is_given(home: Home):
    stack = environment.describe(home)
    assert stack.postgres is not None
    assert stack.pool is not None
    assert stack.environment["CONDOR_CONFIG"] == str(home.pool / "condor_config")
    assert [s.name for s in services(stack)][:3] == ["postgres", "schema", "condor"]


def test_the_sites_own_services_win(home: Home, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONDOR_CONFIG", "/etc/condor/condor_config")
    monkeypatch.setenv("OWL_DATABASE_URL", "postgresql://owl:secret@db.example/airflow")
    stack = environment.describe(home)
    assert stack.pool is None
    assert stack.postgres is None
    assert stack.environment["CONDOR_CONFIG"] == "/etc/condor/condor_config"
    assert not {"postgres", "condor"} & {s.name for s in services(stack)}


def test_our_own_variables_are_not_taken_for_the_sites(home: Home, monkeypatch: pytest.MonkeyPatch):
    stack = environment.describe(home)
    environment.write(stack)
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    again = environment.describe(home)
    assert again.pool is not None
    assert again.postgres is not None


def test_a_home_below_tmp_switches_dagmans_strict_mode_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CONDOR_CONFIG", raising=False)
    pool = environment._pool(Home(Path("/tmp/somewhere/.owl")), {})
    assert pool.extra["DAGMAN_USE_STRICT"] == 0
    assert "DAGMAN_USE_STRICT" not in environment._pool(Home(Path("/srv/owl")), {}).extra


def test_folders_of_path_that_cannot_be_entered_are_left_out(home: Home, tmp_path: Path):
    env = environment.outside(home, {"PATH": f"/usr/bin:{tmp_path / 'missing'}:/usr/bin"})
    assert env["PATH"] == "/usr/bin"


def test_airflow_listens_on_the_loopback(home: Home):
    settings = airflow_settings(home, Path("/x"), "postgresql:///a", 1234, load_secrets(home))
    assert settings["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert settings["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:1234/execution/"
    assert ";" not in settings["AIRFLOW__CORE__EXECUTOR"]


def test_sqlalchemys_urls():
    url = "postgresql://owl@/airflow?host=%2Frun%2Fowl"
    assert sqlalchemy_url(url, "asyncpg") == "postgresql+asyncpg://owl@/airflow?host=%2Frun%2Fowl"


# --- services


def test_services_stop_after_those_that_need_them(home: Home):
    order = [
        [s.name for s in layer] for layer in layers(list(services(environment.describe(home))))
    ]
    place = {name: index for index, layer in enumerate(order) for name in layer}
    assert place["postgres"] < place["schema"] < place["scheduler"]
    assert place["condor"] < place["gateway"]


def test_services_in_a_circle_are_a_mistake():
    circle = [Service("a", ("x",), after=("b",)), Service("b", ("x",), after=("a",))]
    with pytest.raises(AssertionError, match="circle"):
        layers(circle)


@pytest.mark.parametrize("state", list(ServiceState))
def test_no_state_is_good_and_bad(state: ServiceState):
    assert not (state.is_good and state.is_bad)


def test_a_long_path_moves_the_socket(tmp_path: Path):
    near = Postgres(Path("/srv/owl/postgres/data"))
    far = Postgres(Path("/srv") / ("x" * 120) / "postgres/data")
    assert near.socket_dir == Path("/srv/owl/postgres/socket")
    assert len(str(far.socket_dir)) < 90
    assert str(os.getuid()) in far.socket_dir.name


# --- what is left behind


def test_a_purge_leaves_what_owl_did_not_make(home: Home):
    (home.root / "mine").write_text("x")
    purge(home)
    assert [p.name for p in home.root.iterdir()] == ["mine"]
    assert "mine" not in OWNED


def test_a_purge_removes_an_empty_home(home: Home):
    purge(home)
    assert not home.root.exists()


def test_the_tail_of_a_log_survives_odd_bytes(tmp_path: Path):
    log = tmp_path / "x.log"
    log.write_bytes(b"first\n" * 50 + b"\xff\xfe last\n")
    assert tail(log, 2).splitlines()[-1].endswith("last")
    assert "does not exist" in tail(tmp_path / "none.log")


# --- HTCondor's installation and configuration


def test_mirrors_of_a_sources_file():
    text = """\
Types: deb
# URIs: http://old.example/debian
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert parse_deb822(text) == [Mirror("http://mirror.example/debian", keyring)]


def test_mirrors_of_a_sources_list():
    text = """\
# deb http://old.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib
deb http://mirror.example/debian-security bookworm-security main
deb-src http://mirror.example/debian bookworm main
deb https://other.example/cloud cloud other
"""
    assert parse_one_line(text) == [Mirror("http://mirror.example/debian", "/k.gpg")]


def test_a_site_condor_is_known_by_its_variable_or_path(tmp_path: Path):
    master = tmp_path / "condor_master"
    master.write_text("#!/bin/sh\n")
    master.chmod(0o755)
    assert site_condor({"CONDOR_CONFIG": "/etc/condor/condor_config", "PATH": ""})
    assert site_condor({"PATH": str(tmp_path)})
    assert not site_condor({"PATH": "/nowhere"})


@pytest.mark.parametrize("version", ["23.9.6", "26.1.0"])
def test_a_site_condor_of_another_major_version_is_refused(tmp_path: Path, version: str):
    program = tmp_path / "condor_version"
    program.write_text(f"#!/bin/sh\necho '$CondorVersion: {version} 2026-01-01 $'\n")
    program.chmod(0o755)
    with pytest.raises(OwlError, match=re.escape(version)):
        check_site({"PATH": str(tmp_path)})
    program.write_text(program.read_text().replace(version, "25.14.1"))
    assert check_site({"PATH": str(tmp_path)}) == "25.14.1"


def test_a_site_condor_without_programs_is_explained():
    with pytest.raises(OwlError, match="CONDOR_CONFIG"):
        check_site({"CONDOR_CONFIG": "/etc/condor/condor_config", "PATH": "/nowhere"})


def test_elf_files_are_told_apart(tmp_path: Path):
    text = tmp_path / "script"
    text.write_text("#!/bin/sh\n" + "x" * 100)
    assert elf_kind(Path("/bin/true")) == "program"
    assert elf_kind(text) is None


def test_extra_settings_of_the_pool_win():
    folder = Path("/x")
    condor = Condor(folder, folder, folder, folder, folder, folder, "25.0")
    extra = {"NEGOTIATOR_INTERVAL": 7, "STARTER_DEFAULT_JOB_HOOK_KEYWORD": "OWL"}
    text = configuration(condor, Path("/pool"), user="me", cpus=3, extra=extra)
    lines = dict(line.split(" = ", 1) for line in text.splitlines())
    assert lines["NEGOTIATOR_INTERVAL"] == "7"
    assert lines["STARTER_DEFAULT_JOB_HOOK_KEYWORD"] == "OWL"
    assert lines["NETWORK_INTERFACE"] == "127.0.0.1"
    assert lines["ALLOW_WRITE"] == "me@$(UID_DOMAIN)"


# --- the demo


def test_the_workflow_follows_the_instrument():
    assert workflow_of("j8bt05njq") == "sdp_prearch_acs"
    assert workflow_of("octx01abq") == "sdp_prearch_stis"
    with pytest.raises(OwlError, match="x12345678"):
        workflow_of("x12345678")


def test_products_come_before_previews(tmp_path: Path):
    for name in ("a_flt.fits", "a_raw.fits", "a_preview.png", "a.tra", "manifest.json"):
        (tmp_path / name).touch()
    assert [(k, p.name) for k, p in archived(tmp_path)] == [
        ("product", "a_flt.fits"),
        ("preview", "a_preview.png"),
    ]
