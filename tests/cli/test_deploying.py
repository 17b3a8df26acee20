"""`portable deploy`: what it asks before data is lost sight of, and what it says when it is interrupted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from portable.cli import deploy, destroy, main
from portable.deploy import Change, Place, Progress

LOSING = Change("replace", "AWS::DynamoDB::Table", "UsersTable", "", "users-1 holds data")


class Deployer:
    """Tells a change, and notes what it is asked for."""

    def __init__(self, *changes: Change, ended: BaseException | None = None) -> None:
        self.changes = changes
        self.ended = ended
        self.applied = 0

    def where(self, *_: Any) -> str:
        return "account 1, eu-west-1"

    def preview(self, *_: Any) -> Sequence[Change]:
        return self.changes

    def apply(self, _artifact: Any, _place: Place, _progress: Progress) -> Mapping[str, str]:
        self.applied += 1
        if self.ended:
            raise self.ended
        return {"url": "https://shop.example"}

    def holding(self, *_: Any) -> Sequence[str]:
        return ()

    def destroy(self, *_: Any, **__: Any) -> None:
        if self.ended:
            raise self.ended


def use(monkeypatch: pytest.MonkeyPatch, deployer: Deployer, *answers: str) -> None:
    """Deploy with it, at a terminal where somebody answers so; at none without an answer."""
    artifact = SimpleNamespace(manifest=SimpleNamespace(app="shop"))
    left = list(answers)
    for module in (deploy, destroy):
        monkeypatch.setattr(module, "chosen_deployment", lambda _: (deployer, artifact, Place("dev")))
    monkeypatch.setattr("builtins.input", lambda _: left.pop(0))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: bool(answers)))


@pytest.mark.parametrize(("answers", "applied"), [(("y", "y"), 1), (("y", "n"), 0), (("n",), 0)])
def test_what_holds_data_is_replaced_after_a_second_yes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answers: tuple[str, ...], applied: int
) -> None:
    deployer = Deployer(LOSING)
    use(monkeypatch, deployer, *answers)
    assert main(["deploy", "--target", "aws"]) == 1 - applied
    assert deployer.applied == applied
    assert "warning: AWS::DynamoDB::Table UsersTable: users-1 holds data" in capsys.readouterr().out


def test_without_anybody_there_it_takes_a_flag_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deployer = Deployer(LOSING)
    use(monkeypatch, deployer)
    assert main(["deploy", "--target", "aws", "--yes"]) == 2
    assert deployer.applied == 0
    assert "nothing is changed: AWS::DynamoDB::Table UsersTable: users-1 holds data. --replace-data" in (
        capsys.readouterr().err
    )
    assert main(["deploy", "--target", "aws", "--yes", "--replace-data"]) == 0
    assert deployer.applied == 1


def test_what_loses_nothing_asks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    deployer = Deployer(Change("replace", "AWS::Lambda::Version", "V"))
    use(monkeypatch, deployer, "y")
    assert main(["deploy", "--target", "aws"]) == 0
    assert deployer.applied == 1


def test_where_it_goes_is_said_before_it_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, Deployer(Change("create", "AWS::Lambda::Function", "F")), "n")
    assert main(["deploy", "--target", "aws"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "to account 1, eu-west-1"
    use(monkeypatch, Deployer(), "n")
    assert main(["destroy", "--target", "aws"]) == 1
    assert "in account 1, eu-west-1" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["deploy", "destroy"])
def test_ctrl_c_says_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    use(monkeypatch, Deployer(LOSING, ended=KeyboardInterrupt()), "y", "y")
    assert main([command, "--target", "aws"]) == 2
    assert "interrupted: what is done stays done, and the same command goes on from there" in capsys.readouterr().err
