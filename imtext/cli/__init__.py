"""The `imtext` command: one file a group of verbs; each verb imports what it needs when it runs."""
