#!/usr/bin/env python3
"""What a user would run today: diffusers' UNet2DModel on PyTorch, timed on this machine.

Needs a Python of its own: python3 -m venv peer && peer/bin/pip install torch==2.11.0 diffusers==0.42.1 (CPU is fine).
`cargo xtask bench --peer peer/bin/python` runs it in turn with ours, one network and one mode a process.
Prints one JSON object a line: {"what", "net", "mode", "batch", "median_s", "images_per_s", "peak_rss_mib"}.

The nets: "cifar" is the published google/ddpm-cifar10-32 configuration (35.7M parameters, 32x32x3);
"fashion" is a small one for 32x32x1 (channels 32, 64, 64; attention at 16x16).
Modes: eager, channels_last, bf16 (weights and input in bfloat16, channels_last), compile (torch.compile, float32),
compile_bf16. Weights are random: speed does not depend on them.
"""
import argparse, json, resource, statistics, time
import torch
from diffusers import DDIMScheduler, UNet2DModel

NETS = {
    "cifar": dict(sample_size=32, in_channels=3, out_channels=3, layers_per_block=2,
                  block_out_channels=(128, 256, 256, 256),
                  down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
                  up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
                  downsample_padding=0, flip_sin_to_cos=False, freq_shift=1, norm_eps=1e-6),
    "fashion": dict(sample_size=32, in_channels=1, out_channels=1, layers_per_block=2,
                    block_out_channels=(32, 64, 64),
                    down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
                    up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
                    downsample_padding=0, flip_sin_to_cos=False, freq_shift=1, norm_eps=1e-6),
}


def prepare(net, mode):
    torch.manual_seed(0)
    model = UNet2DModel(**NETS[net])
    kind = torch.bfloat16 if "bf16" in mode else torch.float32
    model = model.to(kind)
    if mode != "eager":
        model = model.to(memory_format=torch.channels_last)
    call = torch.compile(model) if "compile" in mode else model
    return model, call, kind


def timed(step, runs, warmup):
    for _ in range(warmup):
        step()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def report(what, net, mode, batch, seconds):
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(dict(what=what, net=net, mode=mode, batch=batch, median_s=round(seconds, 4),
                          images_per_s=round(batch / seconds, 2), peak_rss_mib=round(rss))), flush=True)


def inputs(net, batch, kind, mode):
    c, s = NETS[net]["in_channels"], NETS[net]["sample_size"]
    x = torch.randn(batch, c, s, s).to(kind)
    return x if mode == "eager" else x.contiguous(memory_format=torch.channels_last)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--what", nargs="+", default=["forward", "train", "ddim"])
    parser.add_argument("--net", nargs="+", default=["fashion", "cifar"])
    parser.add_argument("--mode", nargs="+", default=["eager", "channels_last", "bf16"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="DDIM steps")
    args = parser.parse_args()
    for net in args.net:
        for mode in args.mode:
            model, call, kind = prepare(net, mode)
            x = inputs(net, args.batch, kind, mode)
            t = torch.full((args.batch,), 500)
            if "forward" in args.what:
                with torch.inference_mode():
                    report("forward", net, mode, args.batch, timed(lambda: call(x, t).sample, args.runs, 2))
            if "ddim" in args.what:
                schedule = DDIMScheduler(num_train_timesteps=1000)

                @torch.inference_mode()
                def sample():
                    schedule.set_timesteps(args.steps)
                    y = torch.randn_like(x)
                    for step in schedule.timesteps:
                        y = schedule.step(call(y, step).sample, step, y).prev_sample
                    return y
                report(f"ddim{args.steps}", net, mode, args.batch, timed(sample, max(1, args.runs // 2), 1))
            if "train" in args.what and "bf16" not in mode:
                optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
                ema = [p.detach().clone() for p in model.parameters()]

                def train():
                    noise = torch.randn_like(x)
                    loss = torch.nn.functional.mse_loss(call(x + noise, t).sample, noise)
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                    optimizer.step()
                    torch._foreach_lerp_(ema, [p.detach() for p in model.parameters()], 1e-4)
                report("train", net, mode, args.batch, timed(train, args.runs, 2))


if __name__ == "__main__":
    main()
