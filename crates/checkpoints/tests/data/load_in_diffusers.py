"""Loads a folder in diffusers in every way, and runs its network on recorded inputs.

    python load_in_diffusers.py FOLDER IO.SAFETENSORS
"""

import sys

import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, DiffusionPipeline, UNet2DModel
from safetensors.torch import load_file

folder, recorded = sys.argv[1], load_file(sys.argv[2])
pipeline = DiffusionPipeline.from_pretrained(folder)
assert isinstance(pipeline, DDPMPipeline), type(pipeline)
assert isinstance(pipeline.scheduler, DDPMScheduler), type(pipeline.scheduler)
DDPMPipeline.from_pretrained(folder)
scheduler = DDIMScheduler.from_pretrained(folder)
assert torch.equal(scheduler.betas, pipeline.scheduler.betas)
config = pipeline.scheduler.config
print("scheduler", config.num_train_timesteps, config.prediction_type, config.variance_type, config.clip_sample_range)

network, info = UNet2DModel.from_pretrained(folder, output_loading_info=True)
assert not info["missing_keys"] and not info["unexpected_keys"], info
worst, call = 0.0, 0
while f"{call}.sample" in recorded:
    inputs = [recorded[f"{call}.{name}"] for name in ("sample", "timestep")]
    with torch.no_grad():
        output = network(*inputs).sample
    expected = recorded[f"{call}.output"]
    worst = max(worst, ((output - expected).abs().max() / expected.abs().max()).item())
    call += 1
assert call and worst < 1e-4, (call, worst)
images = pipeline(batch_size=1, num_inference_steps=2, output_type="np").images
assert images.shape[0] == 1, images.shape
print("calls", call)
