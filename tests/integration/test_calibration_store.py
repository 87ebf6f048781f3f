"""The reference store and what RF, BC and REUSE make of it, through their commands."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from astropy.io import fits
from calibration_site import Site, make_site

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Header, image_hdu, read, write
from calibration.fits.files import checksum_faults
from calibration.references import store


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


def reference(path: Path, **cards: object) -> Path:
    header = Header()
    for key, value in cards.items():
        header.set(key, value)  # type: ignore[arg-type]
    path.parent.mkdir(exist_ok=True)
    write(path, [image_hdu(header, None, primary=True)])
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_add_list_and_verify(site: Site, tmp_path: Path) -> None:
    first, second = (reference(tmp_path / "new" / f"{n}_drk.fits", A=n) for n in "ab")
    done = site.run("references", "add", str(first), "--references", "references",
                    "--context", "hst_0001.pmap")  # fmt: skip
    assert done.stdout == "1 added: a_drk.fits; 0 were there; version 1 of references\n"
    done = site.run("references", "add", str(first), str(second), "--references", "references")
    assert done.stdout == "1 added: b_drk.fits; 1 were there; version 2 of references\n"
    done = site.run("references", "list", "--json", "--references", "references")
    files = json.loads(done.stdout)["files"]
    assert {n: (e["version"], e["context"], e["sha256"]) for n, e in files.items()} == {
        "a_drk.fits": (1, "hst_0001.pmap", digest(first)),
        "b_drk.fits": (2, None, digest(second)),
    }
    reference(site.root / "references" / "loose_drk.fits")
    done = site.run("references", "verify", "--references", "references")
    assert done.stdout == "not listed: loose_drk.fits\n2 files verified\n"
    inside = site.root / "references" / "a_drk.fits"
    inside.write_bytes(inside.read_bytes().replace(b"'a ", b"'z "))
    done = site.run("references", "verify", "--references", "references")
    assert done.returncode == ExitCode.REFERENCE_BAD
    assert "a_drk.fits has sha256" in done.stderr


def test_a_name_never_changes_its_content(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    old = reference(tmp_path / "a" / "x_drk.fits", A=1)
    new = reference(tmp_path / "b" / "x_drk.fits", A=2)
    other = reference(tmp_path / "b" / "y_drk.fits", A=3)
    assert store.add(folder, [old]) == ["x_drk.fits"]
    with pytest.raises(CalibrationError, match="needs a new name") as caught:
        store.add(folder, [other, new])
    assert caught.value.code == ExitCode.REFERENCE_BAD
    assert sorted(p.name for p in folder.glob("*.fits")) == ["x_drk.fits"]  # all or none
    assert digest(folder / "x_drk.fits") == digest(old)
    with pytest.raises(CalibrationError, match="needs a new name"):
        store.add(tmp_path / "fresh", [old, new])
    damaged = tmp_path / "cut_drk.fits"
    damaged.write_bytes(old.read_bytes()[:1000])
    with pytest.raises(CalibrationError, match=r"cut_drk\.fits") as caught:
        store.add(folder, [other, damaged])
    assert caught.value.code == ExitCode.REFERENCE_BAD
    assert store.load(folder)["version"] == 1


def test_a_stopped_add_is_done_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "store"
    files = [reference(tmp_path / "new" / f"{n}_drk.fits", A=n) for n in "ab"]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "_write", stop)
        with pytest.raises(KeyboardInterrupt):
            store.add(folder, files)
    assert store.load(folder)["version"] == 0
    assert store.add(folder, files) == ["a_drk.fits", "b_drk.fits"]
    assert store.verify(folder) == ([], [])


def test_several_at_once_lose_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    files = [reference(tmp_path / "new" / f"{n}_drk.fits", A=n) for n in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda path: store.add(folder, [path]), files))
    index = store.load(folder)
    assert sorted(entry["version"] for entry in index["files"].values()) == list(range(1, 13))


def test_a_listed_file_is_read_only_when_it_was_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "store"
    store.add(folder, [reference(tmp_path / "x_drk.fits", A=1)])
    path, sums = folder / "x_drk.fits", []

    def counted(path: Path) -> str:
        sums.append(path.name)
        return digest(path)

    monkeypatch.setattr(store, "sha256_of", counted)
    found = store.used(folder, "x_drk.fits")
    assert found is not None
    assert (found.sha256, found.version, sums) == (digest(path), 1, [])
    os.utime(path, ns=(1, 1))
    assert store.used(folder, "x_drk.fits") == found
    assert sums == ["x_drk.fits"]
    assert store.verify(folder) == ([], [])
    sums.clear()
    assert store.used(folder, "x_drk.fits") == found
    assert sums == []
    path.write_bytes(path.read_bytes() + bytes(2880))
    with pytest.raises(CalibrationError, match=r"x_drk\.fits is not what was added"):
        store.used(folder, "x_drk.fits")


def test_provenance_in_headers_and_notes(site: Site) -> None:
    dataset = site.simulate("--detector", "ACS/HRC", "--small")[0]
    folder = site.root / "references"
    files = sorted(map(str, folder.glob("*.fits")))
    assert site.run("references", "add", *files, "--references", "references").returncode == 0
    for node in ("2FITS", "RF", "RF", "BC", "CA"):
        site.must(node, dataset)
    note = json.loads((site.root / "work" / dataset / f"{dataset}_references.json").read_text())
    assert (note["rule"], note["context"], note["store"]) == ("local headers", None, 1)
    dark = note["references"]["DARKFILE"]
    size = (folder / dark).stat().st_size
    assert note["files"][dark] == {"sha256": digest(folder / dark), "bytes": size, "version": 1}
    header = fits.getheader(site.root / "work" / dataset / f"{dataset}_flt.fits")
    assert (header["REFRULE"], header["REFSTORE"], header["CRDS_CTX"]) == (
        "local headers",
        1,
        "N/A",
    )
    lines = [str(line) for line in header["HISTORY"]]
    at = lines.index(f"RF DARKFILE {dark} sha256")  # once, although RF ran twice
    assert lines[at + 1] == f"RF {digest(folder / dark)}"
    assert sum(line.startswith("RF DARKFILE") for line in lines) == 1


def test_a_reference_that_changed_or_is_anothers_is_named(site: Site) -> None:
    dataset = site.simulate("--detector", "ACS/HRC", "--small")[0]
    for node in ("2FITS", "RF", "BC"):
        site.must(node, dataset)
    dark = next((site.root / "references").glob("*_drk.fits"))
    whole = dark.read_bytes()
    with fits.open(dark, mode="update") as hdus:
        hdus[0].header["DETECTOR"] = "WFC"
    site.fails("BC", dataset, ExitCode.REFERENCE_BAD, f"{dark.name} is for DETECTOR WFC, not HRC",
               f"{dark.name} is not the file that RF chose")  # fmt: skip
    dark.write_bytes(whole)
    site.run("references", "add", str(dark), "--references", "references")
    dark.write_bytes(whole.replace(b"MODEL", b"MODFL", 1))
    site.fails("RF", dataset, ExitCode.REFERENCE_BAD, dark.name, "not what was added")
    dark.write_bytes(b"no FITS file")
    site.fails("RF", dataset, ExitCode.REFERENCE_BAD, dark.name)


def test_crds_context_in_headers_and_a_broken_mapping_through_rf(
    site: Site, shared_data: Path
) -> None:
    source, folder = shared_data / "hst" / "crds_mappings", site.root / "references" / "mappings"
    folder.mkdir()
    for path in source.glob("hst*acs*"):
        (folder / path.name).symlink_to(path)
    (folder / "hst.pmap").symlink_to(source / "hst.pmap")
    raw = shared_data / "hst" / "acs_hrc_raw" / "j8bt05njq_raw.fits"
    (site.root / "incoming" / raw.name).symlink_to(raw)
    own = read(raw)[0].header
    site.must("2FITS", "j8bt05njq")
    needed = ("CCDTAB", "OSCNTAB", "BPIXTAB", "BIASFILE", "DARKFILE", "PFLTFILE")
    names = [own.text(k).rpartition("$")[2] for k in (*needed, "IDCTAB")]
    names += ["w3m1716tj_imp.fits", "v9718263j_npl.fits"]  # of keywords that the header has not
    site.fails("RF", "j8bt05njq", ExitCode.REFERENCE_MISSING, *names)
    for name in names:
        reference(site.root / "references" / name, INSTRUME="ACS", DETECTOR="HRC")
    assert "by crds hst.pmap" in site.must("RF", "j8bt05njq")
    staged = read(site.root / "work" / "j8bt05njq" / raw.name)
    assert not checksum_faults(staged)
    header = staged[0].header
    assert [header.text(k) for k in needed] == [own.text(k) for k in needed]
    assert (header.text("CRDS_CTX"), header.text("CRDS_VER")[:1]) == ("hst.pmap", "1")
    (folder / "hst_acs_darkfile.rmap").unlink()
    (folder / "hst_acs_darkfile.rmap").symlink_to(source / "hst_acs_darkfile_badexpr.rmap")
    site.fails("RF", "j8bt05njq", ExitCode.MAPPING_BAD, "hst_acs_darkfile.rmap", "x= ")
