"""An object store that speaks S3: the server of moto, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def object_store(bucket: str, folder: Path | None = None) -> Iterator[None]:
    """A bucket, with the files of a folder; the environment says how to reach it, also to new processes."""
    import boto3
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ALLOW_HTTP": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            s3fs.S3FileSystem.clear_instance_cache()  # or it goes on with the address of another test
            client = boto3.client("s3")
            client.create_bucket(Bucket=bucket)
            for path in sorted(folder.iterdir()) if folder else []:
                client.upload_file(str(path), bucket, path.name)
            yield
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        server.stop()
