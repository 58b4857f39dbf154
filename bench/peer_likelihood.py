#!/usr/bin/env python3
"""Exact likelihood as it is computed today: score_sde's published procedure around a diffusers network.

The state and its log density travel through the host as one flattened float64 vector of scipy's solve_ivp; each evaluation
runs the network twice, once for the drift and once, with gradients, for the divergence along a fixed probe
(Song et al. 2021, app. D.2, in the way their code does it).

Needs what peer_baseline.py needs, and scipy: peer/bin/pip install scipy==1.17.1.
`cargo xtask bench likelihood --peer peer/bin/python` runs it in turn with ours. With --save FOLDER it writes the network
(random weights, seed 0) as diffusers saves it and ends, so that both sides run the same one.
Prints one JSON object a line: {"what", "net", "mode", "batch", "median_s", "images_per_s", "peak_rss_mib", "evaluations", "bits_per_dim"}.
"""
import argparse, json, math, resource, time
import numpy as np
import torch
from diffusers import UNet2DModel
from scipy.integrate import solve_ivp

from peer_baseline import NETWORKS, config

BETA_MIN, BETA_MAX, EPS, TOLERANCE = 0.1, 20.0, 1e-3, 1e-3
LAST_LAYER = 0.1  # of its drawn size: the flow of a random network is rough, this one takes about 90 evaluations


def network(net):
    torch.manual_seed(0)
    model = UNet2DModel(**config(net, NETWORKS)).eval()
    with torch.no_grad():
        model.conv_out.weight.mul_(LAST_LAYER)
        model.conv_out.bias.mul_(LAST_LAYER)
    return model


def pattern(count, frequency):
    """Numbers that both sides can write down: the sine of multiples of a frequency."""
    return torch.sin(torch.arange(count, dtype=torch.float64) * frequency)


def inputs(model, batch):
    shape = (batch, model.config.in_channels, model.config.sample_size, model.config.sample_size)
    count = math.prod(shape)
    probe = torch.where(pattern(count, 3.7) < 0, -1.0, 1.0)
    return pattern(count, 0.3).float().reshape(shape), probe.float().reshape(shape)


def drift(model, x, t):
    """dx/dt of the probability flow of the VP SDE, the network telling the noise."""
    beta = BETA_MIN + t * (BETA_MAX - BETA_MIN)
    log_alpha = -0.25 * t * t * (BETA_MAX - BETA_MIN) - 0.5 * t * BETA_MIN
    std = math.sqrt(-math.expm1(2 * log_alpha))
    label = torch.full((x.shape[0],), 999 * t)
    return -0.5 * beta * x + 0.5 * beta / std * model(x, label).sample


@torch.no_grad()
def bits_per_dim(model, x, probe):
    shape, count = x.shape, x.numel()

    def slope(t, flat):
        state = torch.from_numpy(flat[:count].reshape(shape)).float()
        motion = drift(model, state, t)
        with torch.enable_grad():
            state.requires_grad_(True)
            product, = torch.autograd.grad((drift(model, state, t) * probe).sum(), state)
        divergence = (product * probe).flatten(1).sum(1)
        return np.concatenate([motion.numpy().reshape(-1), divergence.numpy()])

    start = np.concatenate([x.numpy().reshape(-1), np.zeros(shape[0])])
    run = solve_ivp(slope, (EPS, 1.0), start, rtol=TOLERANCE, atol=TOLERANCE, method="RK45")
    latent, change = run.y[:count, -1].reshape(shape[0], -1), run.y[count:, -1]
    size = latent.shape[1]
    prior = -0.5 * size * math.log(2 * math.pi) - 0.5 * (latent ** 2).sum(1)
    return -(prior + change) / (size * math.log(2)) + 7, run.nfev


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--net", choices=["fashion", "ddpm"], default="fashion")
    parser.add_argument("--mode", choices=["eager", "channels_last"], default="eager")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--save", help="write the network here and end")
    args = parser.parse_args()
    model = network(args.net)
    if args.save:
        model.save_pretrained(args.save)
        return
    x, probe = inputs(model, args.batch)
    if args.mode == "channels_last":
        model = model.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    drift(model, x, 0.5)  # the first call prepares kernels
    begin = time.perf_counter()
    bpd, evaluations = bits_per_dim(model, x, probe)
    seconds = time.perf_counter() - begin
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(dict(what="likelihood", net=args.net, mode=args.mode, batch=args.batch,
                          median_s=round(seconds, 4), images_per_s=round(args.batch / seconds, 4), peak_rss_mib=round(rss),
                          evaluations=evaluations, bits_per_dim=round(float(bpd.mean()), 6))), flush=True)


if __name__ == "__main__":
    main()
