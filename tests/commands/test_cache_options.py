"""``--cache-url`` and ``SUMI_CACHE_URL``."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands.options import OptionError, cache_url_of, check_cache_options
from graph.cache.shared import CacheUrlError
from main import parser


def test_the_url_comes_from_the_option_or_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shared = tmp_path.as_uri()
    assert cache_url_of(parser().parse_args(["serve"])) is None
    monkeypatch.setenv("SUMI_CACHE_URL", shared)
    assert cache_url_of(parser().parse_args(["worker"])) == shared
    assert cache_url_of(parser().parse_args(["run", "x.json", "--cache-url", "memory://x"])) == "memory://x"
    assert cache_url_of(parser().parse_args(["run", "x.json", "--no-cache"])) is None
    check_cache_options(parser().parse_args(["run", "x.json", "--no-cache"]))


def test_options_that_contradict_it_and_bad_urls_are_errors() -> None:
    for flags in (["--cache-none"], ["--cache-lru", "5"]):
        with pytest.raises(OptionError, match=flags[0]):
            check_cache_options(parser().parse_args(["serve", "--cache-url", "memory://x", *flags]))
    with pytest.raises(CacheUrlError, match="expected a URL"):
        check_cache_options(parser().parse_args(["serve", "--cache-url", "/mnt/cache"]))
