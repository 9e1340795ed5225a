"""[account.NAME]: what of a mailbox is wanted."""

import pytest

from relaynode.config.loader import load
from relaynode.errors import ConfigError


def account(tmp_path, keys, protocol="pop3"):
    path = tmp_path / "relaynode.toml"
    path.write_text(
        f'[account.isp]\nprotocol = "{protocol}"\nhost = "pop.example.net"\nuser = "ann"\n'
        f'deliver_to = "user"\npassword_command = ["true"]\n{keys}\n'
    )
    return load(path).file.account["isp"]


def test_every_wish_can_be_written(tmp_path):
    section = account(
        tmp_path,
        "keep = true\nfetch_all = true\nflush = true\nlimit_bytes = 1\nfetch_limit = 2\n"
        "expunge = 3\ndelete_after_days = 4\nheader_first_bytes = 5",
    )
    assert section.keep and section.fetch_all and section.flush
    assert (section.limit_bytes, section.fetch_limit, section.expunge) == (1, 2, 3)
    assert (section.delete_after_days, section.header_first_bytes) == (4, 5)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("flush = true", "flush means nothing without keep"),
        ("delete_after_days = 3", "delete_after_days means nothing without keep"),
        ("limit_bytes = -1", "limit_bytes"),
        ('fetch_limit = "many"', "fetch_limit"),
    ],
)
def test_a_wish_that_means_nothing_is_named_with_its_line(tmp_path, keys, text):
    with pytest.raises(ConfigError) as caught:
        account(tmp_path, keys)
    assert text in str(caught.value)
    assert "relaynode.toml:7" in str(caught.value)


@pytest.mark.parametrize("key", ["fetch_all = true", "limit_bytes = 1", "header_first_bytes = 9"])
def test_odmr_has_no_mailbox_that_wishes_could_be_about(tmp_path, key):
    with pytest.raises(ConfigError, match=f'{key.split()[0]} means nothing for protocol = "odmr"'):
        account(tmp_path, key, protocol="odmr")


def test_an_imap_account_has_folders_and_a_place_to_move_to(tmp_path):
    section = account(tmp_path, 'folders = ["INBOX", "Entwürfe"]\nmove_to = "Done"', "imap")
    assert (section.folders, section.move_to) == (["INBOX", "Entwürfe"], "Done")


@pytest.mark.parametrize(
    ("keys", "protocol", "text"),
    [
        ('folders = ["Lists"]', "pop3", 'folders means nothing for protocol = "pop3"'),
        ('move_to = "Done"', "pop3", 'move_to means nothing for protocol = "pop3"'),
        ("folders = []", "imap", "folders names none"),
        ('folders = ["INBOX", "inbox"]', "imap", "names one twice"),
        ('folders = [""]', "imap", "folders"),
        ('move_to = "Inbox"', "imap", "one of the folders that are fetched"),
        ('move_to = "Done"\nkeep = true', "imap", "move_to means nothing with keep"),
    ],
)
def test_folders_that_make_no_sense_are_named_with_their_line(tmp_path, keys, protocol, text):
    with pytest.raises(ConfigError) as caught:
        account(tmp_path, keys, protocol)
    assert text in str(caught.value) and "relaynode.toml:7" in str(caught.value)
