"""The flags that say who may use the server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from commands.access_options import Access, access_of, take_tokens_from_environment
from commands.options import OptionError
from main import parser

ROOT = Path(__file__).resolve().parents[2]


def access(*arguments: str) -> Access:
    return access_of(parser().parse_args(["serve", *arguments]))


def test_tokens_with_and_without_a_name() -> None:
    assert access() == Access()
    assert access("--token", "top") == Access("top")
    assert access("--token", "c2VjcmV0==") == Access("c2VjcmV0==")  # base64 has = only at its end
    found = access("--token", "ann=a=1=", "--token=top", "--token", "bob=b", "--token", "ann=second")
    assert found == Access("top", (("ann", "a=1="), ("bob", "b"), ("ann", "second")))
    assert access("--multi-user", "--token", "ann=a").multi_user
    assert access("--multi-user", "--trust-user-header", "--no-auth").trust_user_header


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--multi-user", "--token NAME=TOKEN"),
        ("--multi-user --token top", "--trust-user-header"),
        ("--trust-user-header", "--multi-user"),
        ("--no-auth --token ann=a", "contradict"),
        ("--token a --token b", "two tokens have no name"),
        ("--token ann=a --token bob=a", "the same token"),
        ("--token ann=a --token a", "the same token"),
        ("--token ann=a --token Ann=b", "only in capitals"),
        ("--token ../ann=a", "'../ann'"),
        ("--token =a", "user name ''"),
        ("--token cache=a", "choose another"),
    ],
)
def test_flags_that_contradict_each_other_say_what_would_be_right(arguments: str, said: str) -> None:
    with pytest.raises(OptionError) as raised:
        access(*arguments.split())
    assert said in str(raised.value)


def test_the_environment_may_hold_several_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUMI_TOKEN", "ann=a bob=b\ntop")
    assert take_tokens_from_environment() == ["ann=a", "bob=b", "top"]


def test_a_server_that_would_not_know_its_users_does_not_start() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "main.py", "serve", "--multi-user", "--port", "0"],
        capture_output=True, text=True, timeout=60, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 2 and "error: --multi-user: ComfyUI believes every request" in done.stderr
