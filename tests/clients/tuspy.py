#!/usr/bin/python3
"""tuspy.py ENDPOINT FILE whole|resumed|async [UPLOAD] - sends FILE in chunks, each with its checksum,
and prints the token of the last answer. UPLOAD is the address of one that was created already."""
import asyncio
import sys

from tusclient.client import TusClient

CHUNK = 300_000


def main(endpoint, path, how, url=None):
    client = TusClient(endpoint)
    wanted = {"chunk_size": CHUNK, "upload_checksum": True}
    if how == "async":
        uploader = client.async_uploader(path, **wanted)
        asyncio.run(uploader.upload())
    else:
        wanted["metadata"] = {"filename": "photo.jpg"}
        uploader = client.uploader(path, url=url, **wanted)
        if how == "resumed":
            uploader.upload(stop_at=2 * CHUNK)
            uploader = client.uploader(path, url=uploader.url, **wanted)
            assert uploader.offset == 2 * CHUNK, f"resumes at {uploader.offset}"
        uploader.upload()
    # the checksums are what this is about
    assert "upload-checksum" in uploader.request._request_headers
    headers = {name.lower(): value for name, value in uploader.request.response_headers.items()}
    print(headers["media-token"])


main(*sys.argv[1:])
