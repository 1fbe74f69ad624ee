"""The training of dev/gpu-bench in PyTorch: the network, batch, optimiser and schedule of its
mlp.yaml, with the data set on the device and a batch one gather of a permutation; no DataLoader.
--mode eager, compile (torch.compile, reduce-overhead) or graphs (the step captured once in a CUDA
graph and replayed). --precision tf32: products of float32 in TF32; bf16: under autocast. Prints one
JSON line; what this torch or device has not is {"skipped": why}. samples_per_s is the median of the
epochs after the first."""
import argparse
import contextlib
import csv
import gzip
import json
import math
import statistics
import sys
import time

import numpy
import torch


def read_idx(path, header):
    with gzip.open(path) as file:
        return numpy.frombuffer(file.read(), dtype=numpy.uint8, offset=header)


def read_images(folder, name):
    pixels = read_idx(f"{folder}/{name}-images-idx3-ubyte.gz", 16).reshape(-1, 784)
    labels = read_idx(f"{folder}/{name}-labels-idx1-ubyte.gz", 8)
    return (pixels.astype(numpy.float32) - 72.94) / 90.02, labels.astype(numpy.int64)


def read_table(path, target):
    """Columns of numbers standardised, of words one-hot; the last fifth of the rows is for the test,
    and a tenth before it is left out, as validation takes it of ours."""
    with open(path, newline="") as file:
        head, *rows = csv.reader(file)
    columns = dict(zip(head, zip(*rows)))
    classes = sorted(set(columns[target]))
    y = numpy.array([classes.index(word) for word in columns.pop(target)], dtype=numpy.int64)
    parts = []
    for words in columns.values():
        try:
            numbers = numpy.array(words, dtype=numpy.float32)
            parts.append(((numbers - numbers.mean()) / max(numbers.std(), 1e-6))[:, None])
        except ValueError:
            known, index = numpy.unique(words, return_inverse=True)
            parts.append(numpy.eye(len(known), dtype=numpy.float32)[index])
    x = numpy.concatenate(parts, axis=1)
    order = numpy.random.RandomState(1).permutation(len(x))
    train, test = order[:len(x) * 7 // 10], order[len(x) * 8 // 10:]
    return (x[train], y[train]), (x[test], y[test]), len(classes)


class Training:
    """One training step over fixed tensors, so that a graph can be captured from it."""

    def __init__(self, args, device, width, classes):
        self.device = device
        self.precision = args.precision
        layers = []
        if args.conv:
            layers.append(torch.nn.Unflatten(1, (1, 28, 28)))
            channels, side = 1, 28
            for filters, kernel in (map(int, layer.split("x")) for layer in args.conv.split(",")):
                layers += [torch.nn.Conv2d(channels, filters, kernel, padding="same"),
                           torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
                channels, side = filters, side // 2
            layers.append(torch.nn.Flatten())
            width = channels * side * side
        for next_width in map(int, args.widths.split(",")):
            layers += [torch.nn.Linear(width, next_width), torch.nn.ReLU()]
            width = next_width
        self.model = torch.nn.Sequential(*layers, torch.nn.Linear(width, classes)).to(device)
        on_gpu = device.type == "cuda"
        # The fastest of AdamW's implementations on each.
        options = ({"fused": True, "capturable": args.mode == "graphs"} if on_gpu
                   else {"foreach": True})
        # A tensor, so that a captured step sees the schedule move.
        rate = torch.tensor(args.lr, device=device) if args.mode == "graphs" else args.lr
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=rate, weight_decay=0.01,
                                           **options)
        self.loss_of = torch.nn.CrossEntropyLoss()

    def set_rate(self, rate):
        group = self.optimizer.param_groups[0]
        if torch.is_tensor(group["lr"]):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate

    def precise(self):
        if self.precision == "bf16":
            # Without its cache of weights, which a captured step must not go on with.
            return torch.autocast(self.device.type, dtype=torch.bfloat16, cache_enabled=False)
        return contextlib.nullcontext()

    def step(self, x, y):
        self.optimizer.zero_grad(set_to_none=True)
        with self.precise():
            loss = self.loss_of(self.model(x), y)
        loss.backward()
        self.optimizer.step()


def captured(training, x, y, batch):
    """A function of an index that copies its batch into fixed tensors and replays the step."""
    static_x, static_y = x[:batch].clone(), y[:batch].clone()
    weights = [p.detach().clone() for p in training.model.parameters()]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # warm-up, as torch's notes on CUDA graphs ask for
        for _ in range(3):
            training.step(static_x, static_y)
    torch.cuda.current_stream().wait_stream(side)
    training.optimizer.zero_grad(set_to_none=True)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        training.step(static_x, static_y)
    with torch.no_grad():
        for parameter, before in zip(training.model.parameters(), weights):
            parameter.copy_(before)
        for state in training.optimizer.state.values():
            for value in state.values():
                if torch.is_tensor(value):
                    value.zero_()

    def run(index):
        torch.index_select(x, 0, index, out=static_x)
        torch.index_select(y, 0, index, out=static_y)
        graph.replay()

    return run


def lacking(args, device):
    if device.type == "cuda" and not torch.cuda.is_available():
        return "this torch finds no GPU"
    if args.precision == "tf32" and device.type != "cuda":
        return "TF32 needs a GPU"
    if args.mode == "compile" and not hasattr(torch, "compile"):
        return f"torch {torch.__version__} has no torch.compile"
    if args.mode == "graphs" and device.type != "cuda":
        return "CUDA graphs need a GPU"
    if args.mode == "graphs" and int(torch.__version__.split(".")[0]) < 2:
        return "a learning rate in a graph needs torch 2"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help="a folder of four gzipped IDX files, as Fashion-MNIST's, or a "
                        "CSV table with a head")
    parser.add_argument("--target", default="income", help="the column of a table to be learnt")
    parser.add_argument("--precision", choices=["f32", "tf32", "bf16"], default="f32")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--mode", choices=["eager", "compile", "graphs"], default="eager")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--widths", default="256,128")
    parser.add_argument("--conv", default="", help="FILTERSxKERNEL,...: each with a max pooling of 2")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=0, help="only so many rows (0: all)")
    args = parser.parse_args()
    device = torch.device(args.device)
    why = lacking(args, device)
    if why is not None:
        print(json.dumps({"framework": "torch", "mode": args.mode, "skipped": why}))
        return 0

    torch.manual_seed(args.seed)
    # The same on both sides.
    torch.backends.cuda.matmul.allow_tf32 = args.precision == "tf32"
    torch.backends.cudnn.allow_tf32 = args.precision == "tf32"
    if args.data.endswith(".csv"):
        train, test, classes = read_table(args.data, args.target)
    else:
        train, test, classes = read_images(args.data, "train"), read_images(args.data, "t10k"), 10
    x, y = (torch.from_numpy(part).to(device) for part in train)
    if args.rows:
        x, y = x[: args.rows], y[: args.rows]
    training = Training(args, device, x.shape[1], classes)
    if args.mode == "compile":
        training.model = torch.compile(training.model, mode="reduce-overhead")
        try:  # it compiles at its first call, and wants a compiler and Triton then
            with training.precise():
                training.model(x[: args.batch])
        except Exception as error:
            why = f"torch.compile: {type(error).__name__}: {str(error).splitlines()[0]}"
            print(json.dumps({"framework": "torch", "mode": args.mode, "skipped": why}))
            return 0

    def eager(index):
        training.step(x[index], y[index])

    whole = len(x) // args.batch * args.batch  # whole batches: a graph has one shape
    run = captured(training, x, y, args.batch) if args.mode == "graphs" else eager
    total = args.epochs * (whole // args.batch)
    warmup = max(1, round(0.05 * total))

    rates, step = [], 0
    training.model.train()
    for _ in range(args.epochs):
        begin = time.perf_counter()
        for index in torch.randperm(len(x), device=device)[:whole].split(args.batch):
            step += 1
            factor = step / warmup if step <= warmup else 0.5 * (
                1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
            training.set_rate(args.lr * factor)
            run(index)
        if device.type == "cuda":
            torch.cuda.synchronize()
        rates.append(whole / (time.perf_counter() - begin))
    training.model.eval()
    with torch.no_grad(), training.precise():
        test_x, test_y = (torch.from_numpy(part).to(device) for part in test)
        right = (training.model(test_x).argmax(1) == test_y).float().mean().item()
    print(json.dumps({
        "framework": "torch " + torch.__version__, "mode": args.mode, "device": args.device,
        "precision": args.precision, "samples_per_s": round(statistics.median(rates[1:] or rates)),
        "test_accuracy": round(right, 4), "epochs": args.epochs, "batch": args.batch}))
    return 0


sys.exit(main())
