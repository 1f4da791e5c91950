"""The list of keys: what it may hold, and errors that say where and never what."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pydantic import SecretStr

from service.api_keys import ApiKeysError, digest_of, new_key, read_list
from service.settings import Settings, SettingsError, load_settings

SECRET = "gpo_Swordfish-that-nobody-may-read-in-a-log"
A, B = (hashlib.sha256(word).hexdigest() for word in (b"a", b"b"))


def test_entries_are_tenants_with_digests() -> None:
    first, second, third = read_list(f" acme:{A} , shop.de_2-x:{B.upper()},acme:{'0f' * 32}")
    assert (first.tenant, first.digest) == ("acme", digest_of(b"a"))
    assert (second.tenant, second.digest) == ("shop.de_2-x", digest_of(b"b"))
    assert third.entry == f"acme:{'0f' * 32}"


def test_a_file_has_an_entry_on_each_line(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_bytes(f"\ufeff# staff\r\n\r\nacme:{A}  # Ann\r\n  shop : {B}\r\n#x".encode())
    assert [key.tenant for key in read_list(f"@{file}")] == ["acme", "shop"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "entry 1 is not tenant:sha256hex"),
        (f"acme:{A},", "entry 2 is not tenant:sha256hex"),
        (SECRET, "entry 1 is not tenant:sha256hex"),
        (f"acme:{A},acme:{SECRET}", "digest of entry 2 is not 64 hexadecimal digits"),
        (f"acme:{A[:-1]}", "digest of entry 1"),
        (f"acme:{A}0", "digest of entry 1"),
        (f"acme:sha256:{A}", "digest of entry 1"),
        (f":{A}", "tenant of entry 1"),
        (f"a b:{A}", "tenant of entry 1"),
        (f"{'t' * 65}:{A}", "tenant of entry 1"),
        (f"{SECRET}/:{A}", "tenant of entry 1"),
        (f"acme:{A},acme:{B},shop:{A}", "entry 3 is the same key as entry 1"),
        ("@nowhere.txt", "nowhere.txt cannot be read: No such file"),
        ("@", "cannot be read"),
    ],
)
def test_a_wrong_entry_is_named_and_not_shown(text: str, said: str) -> None:
    with pytest.raises(ApiKeysError) as refused:
        read_list(text)
    assert str(refused.value).startswith("GPO_API_KEYS")
    assert said in str(refused.value)
    assert SECRET not in str(refused.value)
    assert A not in str(refused.value)


def test_a_file_says_which_line(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(f"# one\nacme:{A}\nacme={B}\n", encoding="utf-8")
    with pytest.raises(ApiKeysError, match=r"line 3 of .*keys\.txt is not tenant:sha256hex"):
        read_list(f"@{file}")
    for content in (b"", b"# nobody\n\n"):
        file.write_bytes(content)
        with pytest.raises(ApiKeysError, match="holds no key"):
            read_list(f"@{file}")
    file.write_bytes(b"acme:\xff\n")
    with pytest.raises(ApiKeysError, match="not UTF-8"):
        read_list(f"@{file}")


def test_a_new_key_is_in_by_its_entry() -> None:
    key, listed = new_key("acme")
    assert len(key) > 40
    assert read_list(listed.entry) == (listed,)
    assert listed.digest == digest_of(key.encode())
    assert new_key("acme")[0] != key
    with pytest.raises(ApiKeysError):
        new_key("a tenant")


def test_settings_read_the_list_and_show_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPO_API_KEYS", f"acme:{A}")
    settings = load_settings()
    assert [key.tenant for key in settings.keys] == ["acme"]
    assert A not in repr(settings) + str(settings) + settings.model_dump_json()
    assert Settings(api_keys=None).keys == ()
    monkeypatch.setenv("GPO_API_KEYS", f"acme:{A},{SECRET}")
    with pytest.raises(SettingsError, match="entry 2") as refused:
        load_settings()
    shown = f"{refused.value!r}{refused.value.__cause__!r}{refused.value.__cause__}"
    assert SECRET not in shown
    assert A not in shown


def test_quotas_need_keys() -> None:
    for name in ("rate_requests", "rate_candidates"):
        with pytest.raises(ValueError, match=f"GPO_{name.upper()}.*GPO_API_KEYS"):
            Settings.model_validate({name: "5/minute"})
    assert Settings(rate_requests="5/minute", api_keys=SecretStr(f"acme:{A}")).rate_requests
