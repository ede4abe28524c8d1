"""``python -m imtext``: the same as the `imtext` command."""

from imtext.cli.main import main

if __name__ == "__main__":
    main()
