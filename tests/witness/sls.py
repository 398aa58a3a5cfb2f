"""The official Python SDK against the test Logstore, which it reaches as its HTTP proxy.

    http_proxy=http://127.0.0.1:PORT python sls.py [calls|consumers|groups]

Each check is a function; the first that fails ends the run with a traceback. What the SDK can't do (deflate, HEAD) is
left to the Rust tests. The server must have been started with tests/witness/run.sh's project, Logstore and key.
"""

import sys
import time
import threading
import uuid
import logging

from aliyun.log import LogClient, LogException, LogItem, PutLogsRequest, GetLogsRequest
from aliyun.log.consumer import (
    ConsumerProcessorBase,
    ConsumerWorker,
    CursorPosition,
    LogHubConfig,
)

ENDPOINT = "http://cn-hangzhou.log.aliyuncs.com"
PROJECT, LOGSTORE = "test-project", "test-logstore"
KEY, SECRET = "test-key", "test-secret"


def client(secret=SECRET, v4=False):
    made = LogClient(ENDPOINT, KEY, secret)
    if v4:
        made = LogClient(ENDPOINT, KEY, secret, auth_version="v4", region="cn-hangzhou")
    return made


def put(to, count, run, compress_type=None, compress=True, hash_key=None, logs_in_group=1):
    """Puts `count` groups, numbered in field `n`."""
    for number in range(count):
        items = [
            LogItem(int(time.time()), contents=[("run", run), ("n", str(number * logs_in_group + at)), ("k", "v" * 50)])
            for at in range(logs_in_group)
        ]
        request = PutLogsRequest(
            PROJECT, LOGSTORE, "topic", "source", items, hashKey=hash_key, compress=compress, compress_type=compress_type
        )
        to.put_logs(request)


def read_all(to, run, **how):
    """All values of `n` of the run, from begin to end of every shard."""
    found = []
    for shard in to.list_shards(PROJECT, LOGSTORE).get_shards_info():
        for page in to.pull_log(PROJECT, LOGSTORE, shard["shardID"], "begin", "end", **how):
            for log in page.get_flatten_logs_json():
                if log.get("run") == run:
                    assert log["__topic__"] == "topic" and log["__source__"] == "source", log
                    assert "__tag__:__receive_time__" in log and "__tag__:__client_ip__" in log, log
                    found.append(int(log["n"]))
    return sorted(found)


def refused(code, call):
    try:
        call()
    except LogException as error:
        assert error.get_error_code() == code, (code, error)
        assert len(error.get_request_id()) == 24, error
        return
    raise AssertionError("nothing was refused; expected " + code)


def check_put_and_pull():
    for v4 in (False, True):
        to = client(v4=v4)
        for packing in ("lz4", "zstd", None):
            run = uuid.uuid4().hex
            put(to, 20, run, compress_type=packing, compress=packing is not None, logs_in_group=3)
            for accept in ("lz4", "zstd", None):
                how = {"compress": False} if accept is None else {"accept_compress_type": accept}
                assert read_all(to, run, batch_size=7, **how) == list(range(60)), (v4, packing, accept)
            print("put with", packing, "pulled with lz4, zstd and plain; signature", "V4" if v4 else "V1")


if __name__ == "__main__":
    check_put_and_pull()
