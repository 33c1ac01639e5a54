from __future__ import annotations

from pathlib import Path

import pytest

from lhsim import _resources
from lhsim.errors import InputError


def _write(folder: Path, *stems: str) -> None:
    folder.mkdir(parents=True)
    for stem in stems:
        (folder / f"{stem}.toml").touch()
    (folder / "README.md").touch()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that has the package lhsim in it, and nothing else yet."""
    package = tmp_path / "root" / "lhsim"
    package.mkdir(parents=True)
    monkeypatch.setattr(_resources, "_PACKAGE", package)
    return package.parent


@pytest.fixture
def checkout(root: Path) -> Path:
    (root / "pyproject.toml").touch()
    _write(root / "models", "push", "polling")
    _write(root / "experiments", "scaling")
    return root


def test_a_checkout_has_its_data_beside_the_package(checkout: Path) -> None:
    assert _resources.names("models") == ["polling", "push"]
    assert _resources.names("experiments") == ["scaling"]
    assert _resources.find("models", "push") == checkout / "models" / "push.toml"


def test_a_wheel_has_its_data_inside_and_nothing_beside_it_counts(root: Path) -> None:
    _write(root / "lhsim" / "_data" / "models", "polling")
    _write(root / "models", "stranger")
    assert _resources.names("models") == ["polling"]
    inside = root / "lhsim" / "_data" / "models" / "polling.toml"
    assert _resources.find("models", "polling") == inside
    (root / "pyproject.toml").touch()
    assert _resources.names("models") == ["polling"]


def test_a_folder_of_strangers_beside_an_installed_package_is_not_read(root: Path) -> None:
    _write(root / "models", "stranger")
    assert _resources.names("models") == []
    with pytest.raises(InputError, match="unknown system 'stranger'"):
        _resources.find("models", "stranger")


def test_an_unknown_name_gets_the_nearest_suggested(checkout: Path) -> None:
    with pytest.raises(InputError, match=r"unknown system 'poling' \(did you mean 'polling'\?\)"):
        _resources.find("models", "poling")
    with pytest.raises(InputError, match="unknown experiment 'x'; allowed: scaling"):
        _resources.find("experiments", "x")


def test_a_name_is_not_looked_for_in_the_working_directory(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "mine.toml", "polling", "polling.toml"):
        Path(name).touch()
    assert _resources.find("models", "polling").is_relative_to(checkout)
    assert _resources.find("models", "polling.toml") == Path("polling.toml")
    assert _resources.find("models", "./mine") == Path("mine")
    assert _resources.find("models", Path("mine")) == Path("mine")
    with pytest.raises(InputError, match="unknown system 'mine'"):
        _resources.find("models", "mine")


def test_a_path_without_a_file_is_refused(checkout: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.toml: does not exist"):
        _resources.find("models", "no.toml")
    with pytest.raises(InputError, match="is a directory"):
        _resources.find("models", f"{tmp_path}/")
    with pytest.raises(InputError, match="does not exist"):
        _resources.find("models", "a\0.toml")


def test_the_data_of_this_checkout_are_found() -> None:
    assert Path(_resources.__file__).parent == _resources._PACKAGE
    root = _resources._PACKAGE.parent
    assert _resources.names("models") == sorted(p.stem for p in (root / "models").glob("*.toml"))
