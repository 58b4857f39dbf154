//! Published files that are known by their names: the flags that their programs' documentation gives.

use super::CheckpointSource;

/// A published file: its name, the program it is of, and the flags published for it.
#[derive(Debug)]
pub(super) struct KnownFile {
    pub(super) name: &'static str,
    pub(super) source: CheckpointSource,
    pub(super) flags: &'static str,
}

/// The file that is published under this name.
pub(super) fn known_file(name: &str) -> Option<&'static KnownFile> {
    KNOWN.iter().find(|known| known.name == name)
}

const fn guided(name: &'static str, flags: &'static str) -> KnownFile {
    KnownFile { name, source: CheckpointSource::GuidedDiffusion, flags }
}

const fn improved(name: &'static str, flags: &'static str) -> KnownFile {
    KnownFile { name, source: CheckpointSource::ImprovedDiffusion, flags }
}

const LSUN: &str = "--attention_resolutions 32,16,8 --class_cond False --diffusion_steps 1000 \
    --dropout 0.1 --image_size 256 --learn_sigma True --noise_schedule linear --num_channels 256 \
    --num_head_channels 64 --num_res_blocks 2 --resblock_updown True --use_fp16 True \
    --use_scale_shift_norm True";

const LSUN_NO_DROPOUT: &str = "--attention_resolutions 32,16,8 --class_cond False \
    --diffusion_steps 1000 --dropout 0.0 --image_size 256 --learn_sigma True --noise_schedule linear \
    --num_channels 256 --num_head_channels 64 --num_res_blocks 2 --resblock_updown True \
    --use_fp16 True --use_scale_shift_norm True";

const IMAGENET_64: &str = "--image_size 64 --num_channels 128 --num_res_blocks 3 --learn_sigma True \
    --diffusion_steps 4000 --noise_schedule cosine";

const CIFAR: &str = "--image_size 32 --num_channels 128 --num_res_blocks 3 --learn_sigma True \
    --dropout 0.3 --diffusion_steps 4000 --noise_schedule cosine";

const LSUN_OF_IMPROVED: &str = "--image_size 256 --num_channels 128 --num_res_blocks 2 --num_heads 1 \
    --learn_sigma True --use_scale_shift_norm False --attention_resolutions 16 \
    --diffusion_steps 1000 --noise_schedule linear --rescale_learned_sigmas False \
    --rescale_timesteps False";

/// The README files of openai/guided-diffusion and openai/improved-diffusion.
const KNOWN: [KnownFile; 20] = [
    guided(
        "64x64_diffusion.pt",
        "--attention_resolutions 32,16,8 --class_cond True --diffusion_steps 1000 --dropout 0.1 \
         --image_size 64 --learn_sigma True --noise_schedule cosine --num_channels 192 \
         --num_head_channels 64 --num_res_blocks 3 --resblock_updown True \
         --use_new_attention_order True --use_fp16 True --use_scale_shift_norm True",
    ),
    guided(
        "128x128_diffusion.pt",
        "--attention_resolutions 32,16,8 --class_cond True --diffusion_steps 1000 --image_size 128 \
         --learn_sigma True --noise_schedule linear --num_channels 256 --num_heads 4 \
         --num_res_blocks 2 --resblock_updown True --use_fp16 True --use_scale_shift_norm True",
    ),
    guided(
        "256x256_diffusion.pt",
        "--attention_resolutions 32,16,8 --class_cond True --diffusion_steps 1000 --image_size 256 \
         --learn_sigma True --noise_schedule linear --num_channels 256 --num_head_channels 64 \
         --num_res_blocks 2 --resblock_updown True --use_fp16 True --use_scale_shift_norm True",
    ),
    guided(
        "256x256_diffusion_uncond.pt",
        "--attention_resolutions 32,16,8 --class_cond False --diffusion_steps 1000 \
         --image_size 256 --learn_sigma True --noise_schedule linear --num_channels 256 \
         --num_head_channels 64 --num_res_blocks 2 --resblock_updown True --use_fp16 True \
         --use_scale_shift_norm True",
    ),
    guided(
        "512x512_diffusion.pt",
        "--attention_resolutions 32,16,8 --class_cond True --diffusion_steps 1000 --image_size 512 \
         --learn_sigma True --noise_schedule linear --num_channels 256 --num_head_channels 64 \
         --num_res_blocks 2 --resblock_updown True --use_fp16 False --use_scale_shift_norm True",
    ),
    guided("lsun_bedroom.pt", LSUN),
    guided("lsun_cat.pt", LSUN),
    guided("lsun_horse.pt", LSUN),
    guided("lsun_horse_nodropout.pt", LSUN_NO_DROPOUT),
    guided("64x64_classifier.pt", "--image_size 64 --classifier_depth 4"),
    guided("128x128_classifier.pt", "--image_size 128 --classifier_depth 2"),
    guided("256x256_classifier.pt", "--image_size 256 --classifier_depth 2"),
    guided("512x512_classifier.pt", "--image_size 512 --classifier_depth 2"),
    improved("imagenet64_uncond_100M_1500K.pt", IMAGENET_64),
    improved("imagenet64_uncond_vlb_100M_1500K.pt", IMAGENET_64),
    improved(
        "imagenet64_cond_270M_250K.pt",
        "--image_size 64 --num_channels 192 --num_res_blocks 3 --learn_sigma True \
         --class_cond True --diffusion_steps 4000 --noise_schedule cosine \
         --rescale_learned_sigmas False --rescale_timesteps False",
    ),
    improved("cifar10_uncond_50M_500K.pt", CIFAR),
    improved("cifar10_uncond_vlb_50M_500K.pt", CIFAR),
    improved("lsun_uncond_100M_1200K_bs128.pt", LSUN_OF_IMPROVED),
    improved("lsun_uncond_100M_2400K_bs64.pt", LSUN_OF_IMPROVED),
];
