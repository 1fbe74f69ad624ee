"""Inference of the native runtime and of PyTorch: the same weights, batches and threads, taking turns
in one run. PyTorch makes the networks and exports them; its results are what ours are checked
against. On a GPU every one takes its input from host memory and leaves its result there; eager,
torch.compile, a CUDA graph and ONNX Runtime stand beside ours, as far as they are installed. Prints
a table of medians and ratios (above 1: ours is faster), or with --json a record for each network and
batch.
  onnx_vs_torch.py ONNX_INFER [--device cpu|cuda] [--threads N] [--seconds S] [--rounds N] [--json]"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
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


def export(model, shape, file):
    options = {"opset_version": 17, "input_names": ["x"], "output_names": ["y"],
               "dynamic_axes": {"x": {0: "n"}, "y": {0: "n"}}}
    try:  # the exporter that needs no other package
        torch.onnx.export(model, torch.zeros(1, *shape), str(file), dynamo=False, **options)
    except Exception:  # a torch that has no other, or none like it any more
        torch.onnx.export(model, torch.zeros(1, *shape), str(file), **options)


def time_of(call, seconds):
    times = []
    with torch.inference_mode():
        for _ in range(5):
            call()
        begin = time.perf_counter()
        while len(times) < 10 or time.perf_counter() - begin < seconds:
            start = time.perf_counter()
            call()
            times.append((time.perf_counter() - start) * 1e6)
    return sorted(times)[len(times) // 2]


def graph_of(model, x):
    """A CUDA graph of the model over fixed tensors, and a call that goes through it."""
    static = x.cuda()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            model(static)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = model(static)

    def call():
        static.copy_(x)
        graph.replay()
        return result.cpu()
    return call


def peers(model, file, x, device, threads):
    """(name, function without arguments) of everything that is here."""
    if device == "cpu":
        return [("torch", lambda: model(x))]
    on_gpu = model.cuda()
    found = [("torch", lambda: on_gpu(x.cuda()).cpu())]
    try:
        compiled = torch.compile(on_gpu, mode="reduce-overhead")
        compiled(x.cuda())
        found.append(("torch-compile", lambda: compiled(x.cuda()).cpu()))
    except Exception as error:  # what a torch lacks is said, and the rest goes on
        print(f"torch.compile is left out: {error}", file=sys.stderr)
    try:
        found.append(("torch-graph", graph_of(on_gpu, x)))
    except Exception as error:
        print(f"the CUDA graph is left out: {error}", file=sys.stderr)
    try:
        import onnxruntime
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise ImportError("this ONNX Runtime has no CUDA")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(str(file), options,
                                               providers=["CUDAExecutionProvider"])
        array = x.numpy()
        found.append(("onnxruntime", lambda: session.run(None, {"x": array})))
    except ImportError as error:
        print(f"ONNX Runtime is left out: {error}", file=sys.stderr)
    return found


def time_ours(args, file, batch, work):
    out = subprocess.run(
        [args.program, "--device", args.device, str(file), str(batch), str(args.threads),
         str(args.seconds), str(work / "x"), str(work / "y")], check=True, stdout=subprocess.PIPE)
    return json.loads(out.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    # float32 on both sides.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    if not args.json:
        print(f"torch {torch.__version__}, {args.device}, {args.threads} threads; median of one "
              "inference in us")
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        work = pathlib.Path(folder)
        for name, shape, model in networks():
            model.eval()
            file = work / "model.onnx"
            export(model.cpu(), shape, file)
            for batch in (1, 16, 256):
                x = torch.randn(batch, *shape)
                (work / "y").write_bytes(model.cpu()(x).numpy().tobytes())
                (work / "x").write_bytes(x.numpy().tobytes())
                calls = peers(model, file, x, args.device, args.threads)
                ours, theirs = [], {peer: [] for peer, _ in calls}
                for _ in range(args.rounds):
                    record = time_ours(args, file, batch, work)
                    ours.append(record["median_us"])
                    for peer, call in calls:
                        theirs[peer].append(time_of(call, args.seconds))
                us = statistics.median(ours)
                beside = {peer: statistics.median(times) for peer, times in theirs.items()}
                if args.json:
                    print(json.dumps({"model": name, "batch": batch, "device": record["device"],
                                      "mlp_us": us, "us": beside,
                                      "ratios": {p: other / us for p, other in beside.items()}}),
                          flush=True)
                else:
                    print(f"{name:20} batch {batch:4}: mlp {us:9.1f}" +
                          "".join(f"  {p} {other:9.1f} ratio {other / us:6.2f}"
                                  for p, other in beside.items()), flush=True)


main()
