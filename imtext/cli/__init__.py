"""The `imtext` command. Each file holds one group of verbs; a verb imports what it needs when it runs."""
