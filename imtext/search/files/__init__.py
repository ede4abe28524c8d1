"""Files to read: of this machine, of object stores, and in shards."""

from imtext.search.files.paths import length_of, open_file, picture_of, read_bytes, state_of
from imtext.search.files.remote import is_remote, list_files
from imtext.search.files.shards import is_shard, members

__all__ = [
    "is_remote", "is_shard", "length_of", "list_files", "members", "open_file", "picture_of", "read_bytes", "state_of",
]  # fmt: skip
