"""One member of a consumer group, by the official Python consumer library, for tests/e2e/services/shared_group.rs:

    http_proxy=http://127.0.0.1:PORT python tests/witness/share.py --group G --name N --key K

Prints a JSON line for each batch that it has processed and saved a checkpoint for: {"shard": 0, "n": [1, 2, 3]}. Shuts down in order
when its standard input ends. The library writes its own timeout over the group's: twice its heartbeat.
"""

import argparse
import json
import sys
import threading

from aliyun.log.consumer import ConsumerProcessorBase, ConsumerWorker, LogHubConfig

parser = argparse.ArgumentParser()
parser.add_argument("--group", required=True)
parser.add_argument("--name", required=True)
parser.add_argument("--key", default="test-key")
parser.add_argument("--secret", default="test-secret")
parser.add_argument("--heartbeat", type=int, default=3)
arguments = parser.parse_args()
printing = threading.Lock()


class Processor(ConsumerProcessorBase):
    def process(self, groups, tracker):
        found = []
        for group in groups.LogGroups:
            for log in group.Logs:
                found += [int(content.Value) for content in log.Contents if content.Key == "n"]
        with printing:
            print(json.dumps({"shard": self.shard_id, "n": found}), flush=True)
        self.save_checkpoint(tracker, force=True)


worker = ConsumerWorker(
    Processor,
    LogHubConfig(
        "http://cn-hangzhou.log.aliyuncs.com",
        arguments.key,
        arguments.secret,
        "test-project",
        "test-logstore",
        arguments.group,
        arguments.name,
        heartbeat_interval=arguments.heartbeat,
        data_fetch_interval=0.2,
    ),
)
worker.start()
sys.stdin.read()
worker.shutdown()
worker.join()
