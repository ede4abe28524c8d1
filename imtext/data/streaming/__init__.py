"""Training data that is read as a stream: tar shards, on disk or remote, which never have to fit anywhere."""
