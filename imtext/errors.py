"""The one family of errors that is shown to people as a message instead of a traceback."""


class ImtextError(Exception):
    """Something the user can put right; the text names the thing, the limit and the fix."""


class ConfigError(ImtextError):
    """A setting that does not exist, has the wrong type, or contradicts another."""


class DataError(ImtextError):
    """A data set that cannot be found, read or split."""


class CheckpointError(ImtextError):
    """A checkpoint that cannot be found or was not written by imtext."""


class BundleError(ImtextError):
    """A bundle that cannot be found, was altered, or does not fit."""


class SearchError(ImtextError):
    """An index or a query that cannot be used."""


class MissingExtraError(ImtextError, ImportError):
    """A package of an optional part of the installation is missing."""


class StoreError(ImtextError):
    """A store that cannot be read or written: a full disk, a lock, a lost connection."""
