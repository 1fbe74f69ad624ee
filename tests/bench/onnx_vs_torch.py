"""Inference of the native runtime and of eager PyTorch: the same weights, batches and threads, taking
turns in one run. PyTorch makes the networks and exports them; its results are what ours are checked
against. Prints a table of medians and ratios (above 1: ours is faster).
  onnx_vs_torch.py ONNX_INFER [--threads N] [--seconds S] [--rounds N]"""
import argparse
import json
import pathlib
import subprocess
import tempfile
import time

import torch
from torch import nn


def networks():
    yield "mlp 784-256-128-10", (784,), nn.Sequential(
        nn.Linear(784, 256), nn.GELU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10),
        nn.Softmax(dim=1))
    yield "convnet 1x28x28", (1, 28, 28), nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 10), nn.Softmax(dim=1))


def time_torch(model, x, seconds):
    times = []
    with torch.inference_mode():
        model(x)
        begin = time.perf_counter()
        while len(times) < 10 or time.perf_counter() - begin < seconds:
            start = time.perf_counter()
            model(x)
            times.append((time.perf_counter() - start) * 1e6)
    return sorted(times)[len(times) // 2]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {args.threads} threads; median of one inference in us")
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for name, shape, model in networks():
            model.eval()
            file = work / "model.onnx"
            torch.onnx.export(model, torch.zeros(1, *shape), str(file), opset_version=17,
                              input_names=["x"], output_names=["y"],
                              dynamic_axes={"x": {0: "n"}, "y": {0: "n"}})
            for batch in (1, 16, 256):
                x = torch.randn(batch, *shape)
                with torch.inference_mode():
                    (work / "y").write_bytes(model(x).numpy().tobytes())
                (work / "x").write_bytes(x.numpy().tobytes())
                ours, theirs = [], []
                for _ in range(args.rounds):
                    out = subprocess.run(
                        [args.program, str(file), str(batch), str(args.threads), str(args.seconds),
                         str(work / "x"), str(work / "y")], check=True, capture_output=True)
                    ours.append(json.loads(out.stdout)["median_us"])
                    theirs.append(time_torch(model, x, args.seconds))
                print(f"{name:20} batch {batch:4}: mlp {min(ours):9.1f}  torch {min(theirs):9.1f}"
                      f"  ratio {min(theirs) / min(ours):6.2f}", flush=True)


main()
