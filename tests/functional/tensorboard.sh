#!/usr/bin/env bash
# Event files of TensorBoard in a run's outs are metrics of the run. No writer of them is in a package
# of Debian: Python writes the bytes here, after the format's specification.
source "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || skip "python3 is not installed"

cat >train.py <<'P'
import os, struct, sys, time

def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF

def masked(data):
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

def varint(n):
    out = b""
    while n >= 128:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])

def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content

class Writer:
    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        self.file = open(f"{folder}/events.out.tfevents.{int(time.time())}.host.{os.getpid()}.0", "ab")
        self.record(struct.pack("<Bd", 9, time.time()) + field(3, b"brain.Event:2"))

    def record(self, data):
        length = struct.pack("<Q", len(data))
        self.file.write(length + masked(length) + data + masked(data))

    def event(self, step, value):
        self.record(struct.pack("<Bd", 9, time.time()) + b"\x10" + varint(step) + field(5, field(1, value)))

    def simple(self, tag, value, step):  # as PyTorch's and TensorFlow 1's
        self.event(step, field(1, tag.encode()) + struct.pack("<Bf", 0x15, value))

    def tensor(self, tag, value, step):  # as TensorFlow 2's
        tensor = b"\x08\x01" + field(2, b"") + field(4, struct.pack("<f", value))
        self.event(step, field(1, tag.encode()) + field(8, tensor) + field(9, field(1, field(1, b"scalars"))))

out, attempt = os.environ["MLP_OUT_DIR"], len(os.listdir(os.environ["MLP_CHECKPOINT_DIR"]))
train, validation = Writer(out + "/logs/train"), Writer(out + "/logs/validation")
for step in range(3):
    train.simple("epoch_loss", 1 / (step + 1), attempt * 3 + step)
    validation.tensor("epoch_loss", 2 / (step + 1), attempt * 3 + step)
train.file.write(b"torn in the middle of a length"[:9])
if sys.argv[1:] == ["twice"] and attempt == 0:
    open(os.environ["MLP_CHECKPOINT_DIR"] + "/seen", "w").close()
    train.file.close(), validation.file.close()
    sys.exit(1)
P
printf 'name: p\ntasks:\n  train: {run: python3 train.py}\n  twice: {run: python3 train.py twice, job_recovery: {max_restarts_on_errors: 1}}\n' >mlp.yaml
expect_exit 0 mlp train train
expect_exit 0 mlp runs show latest --json
equals "$(jq -c '[.metrics, .warnings]' <<<"$out")" '[{"train/epoch_loss":0.3333333432674408,"validation/epoch_loss":0.6666666865348816},[]]'
expect_exit 0 mlp plot train/epoch_loss latest
# Each attempt's are there once.
expect_exit 0 mlp train twice
folder=$(mlp runs show latest --json | jq -r .folder)
equals "$(jq -r 'select(."train/epoch_loss") | .step' "$folder/metrics.jsonl" | tr '\n' ' ')" "0 1 2 3 4 5 "
