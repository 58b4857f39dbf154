"""Asks the network and the scheduler of folders of diffusers for the data in a noisy image, and compares.

    python data_estimate.py FOLDER...         beside each lies FOLDER.safetensors with what is asked and expected
"""

import importlib
import json
import pathlib
import sys

import diffusers
import torch
from diffusers import UNet2DModel
from diffusers.schedulers import ScoreSdeVeScheduler
from safetensors.torch import load_file

def ask(network, x, time):
    with torch.no_grad():
        return network.eval()(x, time).sample[:, : x.shape[1]]


def apart(folder):
    recorded = load_file(folder.with_suffix(".safetensors"))
    config = json.loads((folder / "scheduler_config.json").read_text())
    kind = config["_class_name"]
    scheduler = (ScoreSdeVeScheduler if kind == "ScoreSdeVeScheduler" else getattr(diffusers, kind)).from_pretrained(folder)
    network, info = UNet2DModel.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    x, at, expected = recorded["x"], recorded["at"], recorded["data"]
    if kind == "ScoreSdeVeScheduler":
        assert (config["sigma_min"], config["sigma_max"]) == tuple(recorded["ends"].tolist())
        data = x + at**2 * ask(network, x, at)
    elif kind == "EDMEulerScheduler":
        output = ask(network, scheduler.precondition_inputs(x, at), scheduler.precondition_noise(at))
        data = scheduler.precondition_outputs(x, output, at)
    else:
        index = int(at)
        alpha, sigma = scheduler.alphas_cumprod[index] ** 0.5, (1 - scheduler.alphas_cumprod[index]) ** 0.5
        output = ask(network, x, torch.tensor(index))
        data = {
            "epsilon": lambda: (x - sigma * output) / alpha,
            "sample": lambda: output,
            "v_prediction": lambda: alpha * x - sigma * output,
        }[scheduler.config.prediction_type]()
    return ((data - expected).abs().max() / expected.abs().max()).item(), kind


for name in sys.argv[1:]:
    far, kind = apart(pathlib.Path(name))
    print(f"{pathlib.Path(name).name}: apart {far:.3e}, {kind}")
    assert far < 1e-4, name
