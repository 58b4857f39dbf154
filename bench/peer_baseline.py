#!/usr/bin/env python3
"""What a user would run today: diffusers' UNet2DModel on PyTorch, timed on this machine.

Needs a Python of its own: python3 -m venv peer && peer/bin/pip install torch==2.11.0 diffusers==0.42.1 (CPU is fine).
`cargo xtask bench networks --peer peer/bin/python` runs it in turn with ours, one network and one mode a process.
Prints one JSON object a line: {"what", "net", "mode", "batch", "median_s", "cpu_s", "images_per_s", "peak_rss_mib"};
cpu_s is the time of the processor, which other programs on the machine disturb less.

The nets are the configurations of diffusers in crates/unet/examples/networks (the folder may be given with
--networks), and "fashion", a small one for 32x32x1. Modes: eager, channels_last, compile (torch.compile) in float32, and
the same with _bf16: weights and input in bfloat16 forward, autocast in training. Weights are random: speed does not
depend on them.
"""
import argparse, contextlib, json, pathlib, resource, statistics, time
import torch
from diffusers import DDIMScheduler, UNet2DModel

NETWORKS = pathlib.Path(__file__).parent.parent / "crates/unet/examples/networks"
FASHION = dict(sample_size=32, in_channels=1, out_channels=1, layers_per_block=2,
               block_out_channels=(32, 64, 64),
               down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
               up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
               downsample_padding=0, flip_sin_to_cos=False, freq_shift=1, norm_eps=1e-6)


def config(net, networks):
    if net == "fashion":
        return FASHION
    values = json.loads((networks / f"{net}.json").read_text())
    if values.pop("family") != "diffusers":
        raise SystemExit(f"{net} is no network of diffusers")
    return values


def prepare(net, networks, mode, training):
    torch.manual_seed(0)
    model = UNet2DModel(**config(net, networks))
    if mode.endswith("bf16") and not training:
        model = model.to(torch.bfloat16)
    if not mode.startswith("eager"):
        model = model.to(memory_format=torch.channels_last)
    return model, torch.compile(model) if mode.startswith("compile") else model


def timed(step, runs, warmup):
    for _ in range(warmup):
        step()
    walls, processors = [], []
    for _ in range(runs):
        wall, processor = time.perf_counter(), time.process_time()
        step()
        processors.append(time.process_time() - processor)
        walls.append(time.perf_counter() - wall)
    return statistics.median(walls), statistics.median(processors)


def report(what, net, mode, batch, seconds):
    wall, processor = seconds
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(dict(what=what, net=net, mode=mode, batch=batch, median_s=round(wall, 4), cpu_s=round(processor, 4),
                          images_per_s=round(batch / wall, 2), peak_rss_mib=round(rss))), flush=True)


def bench(net, mode, args, training):
    model, call = prepare(net, args.networks, mode, training)
    shape = (args.batch, model.config.in_channels, model.config.sample_size, model.config.sample_size)
    x = torch.randn(shape).to(model.dtype)
    if not mode.startswith("eager"):
        x = x.contiguous(memory_format=torch.channels_last)
    t = torch.full((args.batch,), 100)
    labels = {} if model.config.num_class_embeds is None else {"class_labels": torch.zeros(args.batch, dtype=torch.long)}
    if training:
        train(net, mode, args, model, lambda x: call(x, t, **labels).sample, x)
        return
    with torch.inference_mode():
        if "forward" in args.what:
            report("forward", net, mode, args.batch, timed(lambda: call(x, t, **labels).sample, args.runs, args.warmup))
        if "ddim" in args.what:
            schedule = DDIMScheduler(num_train_timesteps=1000)

            def sample():
                schedule.set_timesteps(args.steps)
                y = torch.randn_like(x)
                for step in schedule.timesteps:
                    y = schedule.step(call(y, step, **labels).sample, step, y).prev_sample
                return y
            report(f"ddim{args.steps}", net, mode, args.batch, timed(sample, max(1, args.runs // 2), 1))


def train(net, mode, args, model, call, x):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    ema = [p.detach().clone() for p in model.parameters()]
    precision = torch.autocast("cpu", torch.bfloat16) if mode.endswith("bf16") else contextlib.nullcontext()
    channels = x.shape[1]

    def step():
        noise = torch.randn_like(x)
        with precision:
            output = call(x + noise)
        loss = torch.nn.functional.mse_loss(output[:, :channels].float(), noise)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        torch._foreach_lerp_(ema, [p.detach() for p in model.parameters()], 1e-4)
    report("train", net, mode, args.batch, timed(step, args.runs, args.warmup))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--what", nargs="+", default=["forward", "train", "ddim"])
    parser.add_argument("--net", nargs="+", default=["fashion", "ddpm"])
    parser.add_argument("--mode", nargs="+", default=["eager", "channels_last", "eager_bf16", "channels_last_bf16"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2, help="runs before those")
    parser.add_argument("--steps", type=int, default=20, help="DDIM steps")
    parser.add_argument("--threads", type=int, help="by default PyTorch's own number")
    parser.add_argument("--networks", type=pathlib.Path, default=NETWORKS)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    for net in args.net:
        for mode in args.mode:
            if {"forward", "ddim"} & set(args.what):
                bench(net, mode, args, training=False)
            if "train" in args.what:
                bench(net, mode, args, training=True)


if __name__ == "__main__":
    main()
