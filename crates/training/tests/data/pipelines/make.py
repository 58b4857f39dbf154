"""Records runs of diffusers' pipelines, for the tests of `tweedie sample` and of tests/pipelines.rs.

    python make.py OUT            the narrow networks that lie beside this script
    python make.py OUT --full     the published widths, a few GB: PIPELINES_DIR=OUT runs them too
    python make.py --check FOLDER RECORDED
                                  runs the pipeline in FOLDER with the draws of RECORDED, and compares

Each folder of OUT is a pipeline as `save_pretrained` writes it, with the configuration of the checkpoint of
its name and random weights; `run.safetensors` in it holds the noise that a run began with, every later draw,
and the last sample before it was clamped; `run.json` says what was run.
"""

import json
import pathlib
import sys

import diffusers
import torch
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, PNDMScheduler, UNet2DModel
from diffusers.schedulers import ScoreSdeVeScheduler
from diffusers.pipelines.deprecated.score_sde_ve import pipeline_score_sde_ve
from diffusers.pipelines.ddim import pipeline_ddim
from diffusers.pipelines.ddpm import pipeline_ddpm
from diffusers.schedulers import scheduling_ddim, scheduling_ddpm, scheduling_sde_ve
from safetensors.torch import load_file, save_file

DDPM = {
    "act_fn": "silu", "attention_head_dim": None, "center_input_sample": False, "downsample_padding": 0,
    "flip_sin_to_cos": False, "freq_shift": 1, "in_channels": 3, "layers_per_block": 2,
    "mid_block_scale_factor": 1, "norm_eps": 1e-06, "norm_num_groups": 32, "out_channels": 3,
    "time_embedding_type": "positional",
}
CIFAR = DDPM | {
    "block_out_channels": [128, 256, 256, 256], "sample_size": 32,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
}
CELEBA = DDPM | {
    "block_out_channels": [128, 128, 256, 256, 512, 512], "sample_size": 256,
    "down_block_types": ["DownBlock2D"] * 4 + ["AttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "AttnUpBlock2D"] + ["UpBlock2D"] * 4,
}
NCSNPP = {
    "act_fn": "silu", "attention_head_dim": None, "center_input_sample": True, "downsample_padding": 1,
    "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 3, "layers_per_block": 2,
    "mid_block_scale_factor": 1.41421356237, "norm_eps": 1e-06, "norm_num_groups": None, "out_channels": 3,
    "time_embedding_type": "fourier", "sample_size": 256,
    "block_out_channels": [128, 128, 256, 256, 256, 256, 256],
    "down_block_types": ["SkipDownBlock2D"] * 4 + ["AttnSkipDownBlock2D"] + ["SkipDownBlock2D"] * 2,
    "up_block_types": ["SkipUpBlock2D"] * 2 + ["AttnSkipUpBlock2D"] + ["SkipUpBlock2D"] * 4,
}
TINY = DDPM | {
    "block_out_channels": [8, 8], "layers_per_block": 1, "norm_num_groups": 4, "sample_size": 8,
    "down_block_types": ["DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D"],
}
# what makes them narrow: as many levels and blocks of the same kinds
NARROW = {
    "ddpm-cifar10-32": {"block_out_channels": [16] * 4, "norm_num_groups": 8, "sample_size": 16},
    "ddpm-celebahq-256": {"block_out_channels": [8, 8, 16, 16, 16, 16], "norm_num_groups": 4, "sample_size": 32},
    "ncsnpp-celebahq-256": {
        "block_out_channels": [8, 8, 8, 32, 32, 32, 32], "layers_per_block": 1, "sample_size": 64,
    },
}
CONFIGS = {"ddpm-cifar10-32": CIFAR, "ddpm-celebahq-256": CELEBA, "ncsnpp-celebahq-256": NCSNPP}
# other ways of walking a chain, on a network as small as can be: how it is run, and its scheduler
SHORT = {"num_train_timesteps": 50, "beta_end": 0.2}
WALKS = {
    "ddim-trailing": ("ddim", 7, 0.3, DDIMScheduler(**SHORT, timestep_spacing="trailing", clip_sample_range=0.7)),
    "ddim-linspace": ("ddim", 6, 0.0, DDIMScheduler(**SHORT, timestep_spacing="linspace", set_alpha_to_one=False)),
    "ddim-offset": ("ddim", 8, 1.0, DDIMScheduler(**SHORT, steps_offset=1, set_alpha_to_one=False, clip_sample=False)),
    "ddim-threshold": ("ddim", 5, 0.5, DDIMScheduler(
        **SHORT, beta_schedule="scaled_linear", thresholding=True, dynamic_thresholding_ratio=0.9, sample_max_value=1.5)),
    "ddim-zero-snr": ("ddim", 5, 0.5, DDIMScheduler(
        **SHORT, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", rescale_betas_zero_snr=True,
        timestep_spacing="trailing")),
    "ddpm-large": ("ddpm", 5, 0.0, DDPMScheduler(**SHORT, variance_type="fixed_large", prediction_type="sample")),
    "ddpm-threshold": ("ddpm", 6, 0.0, DDPMScheduler(
        **SHORT, timestep_spacing="trailing", thresholding=True, sample_max_value=2.0)),
    "ddpm-learned": ("ddpm", 50, 0.0, DDPMScheduler(**SHORT, variance_type="learned_range")),
    # the last step does not begin at the first entry
    "ddpm-large-trailing": ("ddpm", 5, 0.0, DDPMScheduler(
        **SHORT, variance_type="fixed_large", timestep_spacing="trailing")),
    "ddpm-learned-trailing": ("ddpm", 5, 0.0, DDPMScheduler(
        **SHORT, variance_type="learned_range", timestep_spacing="trailing")),
    "ddpm-learned-value": ("ddpm", 6, 0.0, DDPMScheduler(**SHORT, variance_type="learned", steps_offset=1)),
    # a class that says nothing of clipping
    "ddim-pndm": ("ddim", 5, 0.5, PNDMScheduler(**SHORT)),
    "ddpm-laplace": ("ddpm", 6, 0.0, DDPMScheduler(num_train_timesteps=50, beta_schedule="laplace")),
}
LINEAR = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear", "clip_sample": True}
SCHEDULERS = {
    "ddpm-cifar10-32": lambda: DDPMScheduler(**LINEAR, variance_type="fixed_large"),
    "ddpm-celebahq-256": lambda: DDPMScheduler(**LINEAR, variance_type="fixed_small"),
    "ncsnpp-celebahq-256": lambda: ScoreSdeVeScheduler(
        num_train_timesteps=2000, snr=0.15, sigma_min=0.01, sigma_max=1348, sampling_eps=1e-5, correct_steps=1),
}


def randomize(network, generator):
    """No weight zero, none without effect; bfloat16's values, so that both sides read the same."""
    for name, weight in network.named_parameters():
        if name.endswith("time_proj.weight"):
            continue
        drawn = torch.randn(weight.shape, generator=generator)
        if weight.dim() > 1:
            drawn = drawn / weight[0].numel() ** 0.5
        elif "norm" in name and name.endswith("weight"):
            drawn = 1 + 0.25 * drawn
        else:
            drawn = 0.2 * drawn
        weight.data = drawn.bfloat16().float()


# whose networks say what is a variance, or a place between the fixed ones
SOUND = ["ddpm-learned-trailing", "ddpm-learned-value"]


def sound_variance(network):
    network.conv_out.weight.data[3:] *= 2.0**-6
    network.conv_out.bias.data[3:] = 0.875


class Replayed:
    """In place of diffusers' randn_tensor: the draws of a recording, one after the other."""

    def __init__(self, tensors):
        count = sum(name.startswith("draw.") for name in tensors)
        self.draws = [tensors[f"draw.{index}"].float() for index in range(count)]

    def __call__(self, shape, **_):
        draw = self.draws.pop(0)
        assert draw.shape == tuple(shape), (draw.shape, shape)
        return draw


def recorded(draws, generator):
    """In place of diffusers' randn_tensor: what it returns is kept."""
    def randn(shape, **_):
        draws.append(torch.randn(tuple(shape), generator=generator).bfloat16().float())
        return draws[-1]
    return randn


def watch(scheduler, step, key, finals):
    inner = getattr(scheduler, step)
    def watched(*args, **kwargs):
        output = inner(*args, **kwargs)
        finals.append(output[key].clone())
        return output
    setattr(scheduler, step, watched)


def run_ddim(folder, steps, eta, randn, finals):
    pipeline = DDPMPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipeline = DDIMPipeline(pipeline.unet, DDIMScheduler.from_config(pipeline.scheduler.config))
    pipeline_ddim.randn_tensor = scheduling_ddim.randn_tensor = randn
    assert pipeline.unet.dtype == torch.float32
    watch(pipeline.scheduler, "step", "prev_sample", finals)
    pipeline(batch_size=2, eta=eta, num_inference_steps=steps, output_type="np")


def run_ddpm(folder, steps, _, randn, finals):
    pipeline = DDPMPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipeline_ddpm.randn_tensor = scheduling_ddpm.randn_tensor = randn
    watch(pipeline.scheduler, "step", "prev_sample", finals)
    pipeline(batch_size=2, num_inference_steps=steps, output_type="np")


def run_pc(folder, steps, _, randn, finals):
    pipeline = pipeline_score_sde_ve.ScoreSdeVePipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipeline_score_sde_ve.randn_tensor = scheduling_sde_ve.randn_tensor = randn
    watch(pipeline.scheduler, "step_pred", "prev_sample_mean", finals)
    # of one image: its corrector takes norms over the whole batch
    pipeline(batch_size=1, num_inference_steps=steps, output_type="np")


RUNS = {"ddim": run_ddim, "ddpm": run_ddpm, "pc": run_pc}


def record(folder, config, scheduler, run):
    method, steps, eta = run
    torch.manual_seed(0)
    network = UNet2DModel(**config).eval()
    randomize(network, torch.Generator().manual_seed(2))
    if folder.name in SOUND:
        sound_variance(network)
    pipeline = {"pc": pipeline_score_sde_ve.ScoreSdeVePipeline}.get(method, DDPMPipeline)
    # half the size, and the same values
    pipeline(network.bfloat16(), scheduler).save_pretrained(folder)
    draws, finals = [], []
    with torch.no_grad():
        RUNS[method](folder, steps, eta, recorded(draws, torch.Generator().manual_seed(1)), finals)
    tensors = {f"draw.{index}": draw.bfloat16() for index, draw in enumerate(draws)}
    save_file(tensors | {"final": finals[-1]}, folder / "run.safetensors")
    said = {"method": method, "steps": steps, "eta": eta, "diffusers": diffusers.__version__}
    (folder / "run.json").write_text(json.dumps(said, indent=2) + "\n")
    print(folder.name, sum(p.numel() for p in network.parameters()), "largest", finals[-1].abs().max().item())


def check(folder, source):
    said = json.loads((source / "run.json").read_text())
    tensors, finals = load_file(source / "run.safetensors"), []
    run = RUNS[said["method"]]
    randn = Replayed(tensors)
    with torch.no_grad():
        run(folder, said["steps"], said["eta"], randn, finals)
    assert not randn.draws
    largest = tensors["final"].abs().max().item()
    apart = (finals[-1] - tensors["final"]).abs().max().item() / largest
    print(f"apart {apart:.3e} of {largest:.3e}")
    sys.exit(0 if apart < 1e-4 else 1)


if __name__ == "__main__":
    if sys.argv[1] == "--check":
        check(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
    out, full = pathlib.Path(sys.argv[1]), "--full" in sys.argv
    for name, config in CONFIGS.items():
        run = ("pc", 3, 0.0) if name.startswith("ncsnpp") else ("ddim", 4, 0.5)
        record(out / name, config | ({} if full else NARROW[name]), SCHEDULERS[name](), run)
    for name, (*run, scheduler) in ({} if full else WALKS).items():
        channels = 6 if scheduler.config.get("variance_type", "").startswith("learned") else 3
        record(out / name, TINY | {"out_channels": channels}, scheduler, run)
