"""What is sealed opens for its own row, with a key that we have, and not otherwise."""

import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paymux.storage.vault import BadKeys, KeyMissing, Tampered, Vault, key_file, parse_keys

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


@given(st.binary(), st.binary())
def test_what_was_sealed_opens(plain: bytes, context: bytes) -> None:
    """Any bytes, for any row."""
    vault = Vault([NEW])

    assert vault.open(vault.seal(plain, context), context) == plain


def test_sealing_twice_differs() -> None:
    """Nobody learns from the database that two installations share a key."""
    vault = Vault([NEW])

    assert vault.seal(b"secret", b"row") != vault.seal(b"secret", b"row")


def test_the_first_key_seals_and_all_of_them_open() -> None:
    """A key is rotated by putting the new one in front."""
    sealed_before = Vault([OLD]).seal(b"secret", b"row")
    rotated = Vault([NEW, OLD])

    assert rotated.open(sealed_before, b"row") == b"secret"
    assert Vault([NEW]).open(rotated.seal(b"secret", b"row"), b"row") == b"secret"


def test_a_missing_key_is_named_with_the_way_out() -> None:
    """The operator learns which key, where it belongs, and what it means to have lost it."""
    sealed = Vault([OLD]).seal(b"secret", b"row")

    with pytest.raises(KeyMissing, match="PAYMUX_ENCRYPTION_KEYS") as caught:
        Vault([NEW]).open(sealed, b"row")

    assert caught.value.key_id == sealed[1:9].hex()
    assert caught.value.key_id in str(caught.value)
    assert "configured again" in str(caught.value)


def test_a_secret_copied_to_another_row_does_not_open() -> None:
    """Whoever can write to the database cannot lend one installation the other's credentials."""
    vault = Vault([NEW])

    with pytest.raises(Tampered, match="another row"):
        vault.open(vault.seal(b"secret", b"row 1"), b"row 2")


@pytest.mark.parametrize("position", range(len(Vault([NEW]).seal(b"secret", b"row"))))
def test_no_byte_may_change(position: int) -> None:
    """Not the version, the key id, the nonce, the text, nor the tag."""
    sealed = bytearray(Vault([NEW]).seal(b"secret", b"row"))
    sealed[position] ^= 1

    with pytest.raises((Tampered, KeyMissing)):
        Vault([NEW]).open(bytes(sealed), b"row")


@pytest.mark.parametrize("length", range(len(Vault([NEW]).seal(b"", b"row"))))
def test_what_is_cut_short_does_not_open(length: int) -> None:
    """Down to nothing at all."""
    with pytest.raises(Tampered):
        Vault([NEW]).open(Vault([NEW]).seal(b"", b"row")[:length], b"row")


@pytest.mark.parametrize("keys", [[], [b"short"], [NEW, NEW + b"x"]])
def test_a_vault_needs_whole_keys(keys: list[bytes]) -> None:
    """No key, or one of another length, is refused before anything is sealed with it."""
    with pytest.raises(BadKeys):
        Vault(keys)


def test_no_key_is_in_the_repr() -> None:
    """A vault ends up in tracebacks like everything else; its key ids are enough to tell keys apart."""
    shown = repr(Vault([NEW, OLD]))

    assert Vault([OLD]).seal(b"", b"")[1:9].hex() in shown
    for key in (NEW, OLD):
        assert key.hex() not in shown
        assert repr(key) not in shown


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=4), st.data())
def test_keys_may_be_written_in_any_base64(keys: list[bytes], data: st.DataObject) -> None:
    """Either alphabet, padded or not, with spaces around."""
    alphabets = st.sampled_from([base64.standard_b64encode, base64.urlsafe_b64encode])
    texts = [data.draw(alphabets)(key).decode() for key in keys]
    texts = [data.draw(st.sampled_from([text, text.rstrip("="), f" {text}\n"])) for text in texts]

    assert parse_keys(",".join(texts)) == keys


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "hunter2hunter2",
        base64.b64encode(b"x" * 31).decode(),
        base64.b64encode(b"x" * 33).decode(),
        "é" * 44,
    ],
)
def test_what_is_no_key_is_refused_by_its_place(bad: str) -> None:
    """The message says which one and how to make one, and does not repeat what may be nearly a key."""
    with pytest.raises(BadKeys, match=r"PAYMUX_ENCRYPTION_KEYS: key 2 of 2 .* openssl") as caught:
        parse_keys(f"{base64.b64encode(NEW).decode()},{bad}")

    assert caught.value.__cause__ is None
    assert not bad or bad not in str(caught.value)
    assert base64.b64encode(NEW).decode() not in str(caught.value)


def test_a_key_file_is_made_once_and_read_again(tmp_path: Path) -> None:
    """The first start makes a key; every later one finds the same."""
    path = tmp_path / "encryption-keys"

    made = key_file(path, create=True)

    assert len(made) == 1
    assert key_file(path) == key_file(path, create=True) == made
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text("ascii").startswith("# Keep a copy")
    assert list(tmp_path.iterdir()) == [path]


def test_two_installations_do_not_share_a_key(tmp_path: Path) -> None:
    """The key is random."""
    assert key_file(tmp_path / "a", create=True) != key_file(tmp_path / "b", create=True)


def test_processes_that_start_at_once_agree_on_the_key(tmp_path: Path) -> None:
    """The service and a worker on one data directory: what one seals the other opens."""
    path = tmp_path / "encryption-keys"

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: key_file(path, create=True), range(8)))

    assert all(keys == made[0] for keys in made)
    assert list(tmp_path.iterdir()) == [path]


def test_no_key_file_is_made_unasked(tmp_path: Path) -> None:
    """Where secrets are stored already, a new key would only hide that the old one is lost."""
    with pytest.raises(BadKeys, match="Restore it from a backup"):
        key_file(tmp_path / "encryption-keys")

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_key_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    """The message is the command that mends it."""
    path = tmp_path / "encryption-keys"
    key_file(path, create=True)
    path.chmod(mode)

    with pytest.raises(BadKeys, match=f"chmod 600 {path}"):
        key_file(path)


def test_a_key_file_may_hold_older_keys(tmp_path: Path) -> None:
    """One key a line, the current one first; comments and empty lines are for people."""
    path = tmp_path / "encryption-keys"
    lines = [
        "# ours",
        base64.b64encode(NEW).decode(),
        "",
        "# until March",
        base64.b64encode(OLD).decode(),
        "",
    ]
    path.touch(0o600)
    path.write_text("\n".join(lines), "ascii")

    assert key_file(path) == [NEW, OLD]


@pytest.mark.parametrize("content", ["", "# only a comment\n", "not a key\n", "\udcff"])
def test_a_key_file_without_keys_is_refused(tmp_path: Path, content: str) -> None:
    """The message names the file and repeats nothing of it."""
    path = tmp_path / "encryption-keys"
    path.touch(0o600)
    path.write_text(content, "utf-8", "surrogateescape")

    with pytest.raises(BadKeys, match=str(path)) as caught:
        key_file(path, create=True)

    assert "not a key" not in str(caught.value)


def test_a_key_file_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    """As a volume mounted in the wrong place would be."""
    with pytest.raises(BadKeys, match="cannot be read"):
        key_file(tmp_path)
