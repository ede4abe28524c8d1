"""From the command line to objects: what may be set, what it means, and what is built of it."""
