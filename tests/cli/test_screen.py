from __future__ import annotations

import pytest

from leafgraft.cli import screen
from leafgraft.cli.screen import Bars, bars, classes_of, epoch_line, say
from leafgraft.errors import UserError

pytestmark = pytest.mark.quick

ROW = {"stage": "frozen", "epoch": 3, "loss": 0.41, "accuracy": 0.881, "val_accuracy": 0.9, "seconds": 1.25}


def test_a_line_an_epoch() -> None:
    assert epoch_line(ROW) == "epoch 3, head alone: loss 0.410, accuracy 88.1 %, held out 90.0 % (1.2 s)"
    fine = ROW | {"stage": "fine", "val_accuracy": None}
    assert epoch_line(fine) == "epoch 3, fine-tuning: loss 0.410, accuracy 88.1 % (1.2 s)"
    assert epoch_line(ROW | {"stage": "scratch"}).startswith("epoch 3, from scratch: ")


def test_classes_are_split_at_commas() -> None:
    assert classes_of(None) is None
    assert classes_of(" rose, water lily ,,tulip") == ["rose", "water lily", "tulip"]
    for nothing in ("", " , "):
        with pytest.raises(UserError, match="--classes names no species"):
            classes_of(nothing)


def test_what_is_said_is_said_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    for text in (":rose:.jpg is empty", "[bold]rose[/bold]", "1 < 2", "x" * 300):
        say(text)
        assert capfd.readouterr() == ("", f"{text}\n")


def test_what_was_over_at_once_is_not_mentioned(capfd: pytest.CaptureFixture[str]) -> None:
    with bars() as progress:
        progress("Counting", 1, 2)
        progress("Counting", 2, 2)
    assert capfd.readouterr() == ("", "")


def test_what_lasted_is_mentioned_once_on_standard_error(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bars, "PATIENCE", 0.0)
    with bars() as progress:
        progress("Fetching", 10, 0)  # the total is not known yet
        progress("Fetching", 15, 0)
        assert list(progress.track("Counting", iter(range(1500)), 1500)) == list(range(1500))
        progress("Fetching", 20, 20)
    out, err = capfd.readouterr()
    assert out == ""
    assert [line for line in err.splitlines() if " in " in line] == ["Counting: 1,500 in 0 s", "Fetching: 20 in 0 s"]


def test_a_terminal_obeys_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    screen.result("li\x1b[2Jly\x9b1m\r: 99 %\n\tnext", {}, as_json=False)
    screen.say("r\x07ose")
    said = capsys.readouterr()
    assert said.out == "li\\x1b[2Jly\\x9b1m\\r: 99 %\n\tnext\n"
    assert said.err == "r\\x07ose\n"
