"""Mistakes in the config of the page are told with their line, and with what to do."""

from __future__ import annotations

import pytest

from tagger.config.edit import with_value
from tagger.config.example import example_config
from tagger.config.loader import parse_config
from tagger.config.schema import WebConfig
from tagger.errors import ConfigError
from tagger.web.auth.passwords import make_hash

HASH = make_hash("correct horse", cost=10)


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "/etc/c.yaml")
    first, *lines = str(caught.value).splitlines()
    assert first.startswith("/etc/c.yaml has ")
    return [line.strip() for line in lines]


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("listen: nonsense", "web.listen: 'nonsense' is no address with a port; write"),
        ("listen: 5000", "web.listen: '5000' is no address with a port; write"),
        (
            "listen: localhost:99999",
            "web.listen: 'localhost:99999' is no address with a port; write",
        ),
        ("listen: 0.0.0.0:5000", "web.listen: 0.0.0.0:5000 can be reached from other machines"),
        ("listen: '[::]:5000'", "web.listen: [::]:5000 can be reached from other machines"),
        ("listen: 192.168.1.5:1", "web.listen: 192.168.1.5:1 can be reached from other machines"),
        ("password: hunter22", "web.password: it is not what `tagger web password` makes; run"),
        ("trusted_proxies: [proxy]", "web.trusted_proxies: 'proxy' is no address or network"),
        ("trusted_proxies: [10.0.0.1/8]", "web.trusted_proxies: '10.0.0.1/8' is no address"),
        ("inbox: ../out", "web.inbox: '../out' is no sub-folder; write"),
        ("inbox: /out", "web.inbox: '/out' is no sub-folder; write"),
        ("inbox: a//b", "web.inbox: 'a//b' is no sub-folder; write"),
        ("inbox: .hidden", "web.inbox: '.hidden' is no sub-folder; write"),
        ("session_hours: 0", "web.session_hours: must be between 0.1 and 8760"),
    ],
)
def test_a_mistake_of_the_page_is_told_with_its_line(key, told):
    [line] = mistakes(f"settle_seconds: 1\nweb:\n  top_k: 3\n  {key}\n")
    assert line.startswith(f"line 4: {told}")


@pytest.mark.parametrize(
    ("listen", "told"),
    [("nonsense", "no address with a port"), ("0.0.0.0:9108", "`public: true` under `metrics`")],
)
def test_the_address_of_the_metrics_too_and_all_at_once(listen, told):
    text = f"metrics:\n  public: false\n  listen: {listen}\nweb: {{listen: x}}\nmodle: {{}}\n"
    metrics, page, unknown = mistakes(text)
    assert metrics.startswith("line 3: metrics.listen: ") and told in metrics
    assert page.startswith("line 4: web.listen: ")
    assert unknown.startswith("line 5: modle: ")


def test_what_is_right_is_taken():
    config = parse_config(
        f"web: {{enabled: true, listen: '[::]:5000', password: {HASH}, inbox: new/web,"
        " trusted_proxies: [127.0.0.1, 10.0.0.0/8, 'fd00::/8']}\n",
        "/etc/c.yaml",
    )
    assert config.web == WebConfig(
        enabled=True,
        listen="[::]:5000",
        password=HASH,
        inbox="new/web",
        trusted_proxies=("127.0.0.1", "10.0.0.0/8", "fd00::/8"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "settle_seconds: 1",
        "web:\nlog: {level: info}\n",
        "web: # the page\n",
        "web: null\nsettle_seconds: 1\n",
        "# a\nweb:\n  # the address\n  listen: 127.0.0.1:5000 # x\nlog:\n",
        "web: {}\n",
        "web: {top_k: 3} # y\n",
        "web:\n    password: null # none\n    top_k: 3\n",
        "web:\n  password:\n  top_k: 2\n",
        "web:\n  password: hunter22\n",
        "web:\n  listen: 0.0.0.0:5000\n",
        "web:\r\n  top_k: 2\r\n",
        "---\nweb:\n  top_k: 3\n",
        example_config(["/狗"]),
    ],
)
def test_a_value_is_set_and_all_else_stays(text):
    new = with_value(text, "/etc/c.yaml", "web", "password", HASH)
    assert parse_config(new, "/etc/c.yaml").web.password == HASH
    comments = [line.partition("#")[2] for line in text.splitlines() if "#" in line]
    assert [line.partition("#")[2] for line in new.splitlines() if "#" in line] == comments
    for line in text.splitlines():
        if not line.lstrip().startswith(("web:", "password:")):
            assert line in new.splitlines()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("web: &page {top_k: 3}\n", "write `password: "),
        ("settle_seconds: 1\n...\n", "write `password: "),
        ("[1]", "must hold `key: value` lines"),
        ("web: [", "expected node content"),
        ("web:\n  top_k: 99\n", "line 3: web.top_k: must be between"),
    ],
)
def test_what_cannot_be_done_is_told(text, told):
    with pytest.raises(ConfigError) as caught:
        with_value(text, "/etc/c.yaml", "web", "password", HASH)
    assert told in str(caught.value)
