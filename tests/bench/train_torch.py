"""The same training as train_bench.cpp in eager PyTorch: the network, batch, optimiser, schedule and
threads; the data lie in memory as standardised float tensors, a batch is one indexing of a
permutation, no DataLoader. Prints one JSON line."""
import argparse
import gzip
import json
import math
import time

import numpy
import torch


def read_idx(path, header):
    with gzip.open(path) as file:
        return numpy.frombuffer(file.read(), dtype=numpy.uint8, offset=header)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--widths", default="256,128")
    parser.add_argument("--conv", default="", help="FILTERSxKERNEL,...: each with a max pooling of 2")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--batch-norm", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    def images(name):
        pixels = read_idx(f"{args.folder}/{name}-images-idx3-ubyte.gz", 16).reshape(-1, 784)
        return (torch.from_numpy(pixels.astype(numpy.float32)) - 72.94) / 90.02

    def labels(name):
        return torch.from_numpy(
            read_idx(f"{args.folder}/{name}-labels-idx1-ubyte.gz", 8).astype(numpy.int64))

    x, y = images("train"), labels("train")
    def end_of_layer(width, norm):
        if args.batch_norm:
            layers.append(norm(width))
        layers.append(torch.nn.ReLU())

    layers, width = [], 784
    if args.conv:
        layers.append(torch.nn.Unflatten(1, (1, 28, 28)))
        channels, side = 1, 28
        for filters, kernel in (map(int, layer.split("x")) for layer in args.conv.split(",")):
            layers.append(torch.nn.Conv2d(channels, filters, kernel, padding="same"))
            end_of_layer(filters, torch.nn.BatchNorm2d)
            layers.append(torch.nn.MaxPool2d(2))
            if args.dropout:
                layers.append(torch.nn.Dropout(args.dropout))
            channels, side = filters, side // 2
        layers.append(torch.nn.Flatten())
        width = channels * side * side
    for next_width in map(int, args.widths.split(",")):
        layers.append(torch.nn.Linear(width, next_width))
        end_of_layer(next_width, torch.nn.BatchNorm1d)
        if args.dropout:
            layers.append(torch.nn.Dropout(args.dropout))
        width = next_width
    model = torch.nn.Sequential(*layers, torch.nn.Linear(width, 10))
    # foreach: the faster of AdamW's two implementations.
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01, foreach=True)
    loss_of = torch.nn.CrossEntropyLoss()
    total = args.epochs * math.ceil(len(x) / args.batch)
    warmup = round(0.05 * total)

    rates, step, start = [], 0, time.time()
    model.train()
    for _ in range(args.epochs):
        begin = time.time()
        for index in torch.randperm(len(x)).split(args.batch):
            step += 1
            factor = step / warmup if step <= warmup else 0.5 * (
                1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
            optimizer.param_groups[0]["lr"] = args.lr * factor
            loss = loss_of(model(x[index]), y[index])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        rates.append(len(x) / (time.time() - begin))
    seconds = time.time() - start
    model.eval()
    with torch.no_grad():
        right = (model(images("t10k")).argmax(1) == labels("t10k")).float().mean().item()
    print(json.dumps({
        "framework": "torch " + torch.__version__,
        "samples_per_s": round(max(rates)),
        "samples_per_s_median": round(sorted(rates)[len(rates) // 2]),
        "test_accuracy": round(right, 4), "epochs": args.epochs, "seconds": round(seconds, 2),
        "threads": args.threads}))


main()
