//! What is fetched, byte for byte: the version of libtorch that the `tch` of `Cargo.toml` fits, and
//! the wheels that hold it on x86-64 Linux, with their sizes and sha256.
//!
//! A new version means: change `VERSION`, then the wheels (names and hashes from `pip install
//! --dry-run --report - torch==VERSION`), together with `tch` and `torch-sys` in `Cargo.toml`.

/// The one version of libtorch that is accepted.
pub(crate) const VERSION: &str = "2.11.0";

/// The CUDA release that the wheels are built for, as their version labels name it.
const CUDA: &str = "cu130";

/// A file of the package index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wheel {
    /// What pip is asked for, pinned: `name==version`.
    pub(crate) requirement: &'static str,
    /// The file's name.
    pub(crate) file: &'static str,
    /// The file's size in bytes.
    pub(crate) bytes: u64,
    /// The file's sha256, in lower-case hexadecimal.
    pub(crate) sha256: &'static str,
}

/// Which libtorch to keep in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// The lean copy: the CPU libraries and headers alone.
    Cpu,
    /// The full GPU set: every library that `libtorch_cuda.so` loads.
    Cuda,
}

impl Variant {
    /// The name of its folder in the cache.
    pub(crate) fn folder_name(self) -> String {
        match self {
            Self::Cpu => format!("libtorch-{VERSION}-cpu"),
            Self::Cuda => format!("libtorch-{VERSION}-{CUDA}"),
        }
    }

    /// The wheels that it is unpacked from.
    pub(crate) fn wheels(self) -> &'static [Wheel] {
        match self {
            Self::Cpu => &CUDA_WHEELS[..CPU_WHEELS],
            Self::Cuda => &CUDA_WHEELS,
        }
    }

    /// The size of the wheels together, in bytes.
    pub(crate) fn download_bytes(self) -> u64 {
        self.wheels().iter().map(|wheel| wheel.bytes).sum()
    }

    /// The size of the unpacked folder, in bytes, rounded up: what to ask of the disk beforehand.
    pub(crate) fn unpacked_bytes(self) -> u64 {
        match self {
            Self::Cpu => 520 << 20,
            Self::Cuda => 3800 << 20,
        }
    }

    /// The libraries without which a fetched folder is not whole.
    pub(crate) fn libraries(self) -> &'static [&'static str] {
        match self {
            Self::Cpu => &CPU_LIBRARIES,
            Self::Cuda => {
                &["libtorch_cuda.so", "libc10_cuda.so", "libcudart.so.13", "libcudnn.so.9"]
            }
        }
    }
}

/// What the lean copy holds in `lib/`.
pub(crate) const CPU_LIBRARIES: [&str; 7] = [
    "libtorch_cpu.so",
    "libtorch.so",
    "libc10.so",
    "libshm.so",
    "libgomp.so.1",
    "libcudart.so.13",
    "libcupti.so.13",
];

/// How pip is to choose among an index's files, whatever Python it runs in itself.
pub(crate) const PIP_PYTHON_VERSION: &str = "3.11";

/// The application binary interface that goes with [`PIP_PYTHON_VERSION`].
pub(crate) const PIP_ABI: &str = "cp311";

/// The platform tags of the wheels below.
pub(crate) const PIP_PLATFORMS: [&str; 11] = [
    "manylinux_2_28_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux_2_25_x86_64",
    "manylinux_2_24_x86_64",
    "manylinux_2_18_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
    "manylinux_2_12_x86_64",
    "manylinux2010_x86_64",
    "manylinux_2_5_x86_64",
    "manylinux1_x86_64",
];

/// How many of the first of [`CUDA_WHEELS`] the lean copy is made of.
const CPU_WHEELS: usize = 3;

/// Torch and every library package that its metadata requires on Linux; the first [`CPU_WHEELS`]
/// make the lean copy.
const CUDA_WHEELS: [Wheel; 16] = [
    Wheel {
        requirement: "torch==2.11.0",
        file: "torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        bytes: 530_604_548,
        sha256: "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a",
    },
    Wheel {
        requirement: "nvidia-cuda-runtime==13.0.96",
        file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        bytes: 2_243_632,
        sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    },
    Wheel {
        requirement: "nvidia-cuda-cupti==13.0.85",
        file: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
        bytes: 10_715_597,
        sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
    },
    Wheel {
        requirement: "nvidia-cublas==13.1.0.3",
        file: "nvidia_cublas-13.1.0.3-py3-none-manylinux_2_27_x86_64.whl",
        bytes: 423_133_236,
        sha256: "ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171",
    },
    Wheel {
        requirement: "nvidia-cuda-nvrtc==13.0.88",
        file: "nvidia_cuda_nvrtc-13.0.88-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
        bytes: 90_215_200,
        sha256: "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
    },
    Wheel {
        requirement: "nvidia-cudnn-cu13==9.19.0.56",
        file: "nvidia_cudnn_cu13-9.19.0.56-py3-none-manylinux_2_27_x86_64.whl",
        bytes: 366_066_321,
        sha256: "d20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf",
    },
    Wheel {
        requirement: "nvidia-cufft==12.0.0.61",
        file: "nvidia_cufft-12.0.0.61-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        bytes: 214_085_489,
        sha256: "6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3",
    },
    Wheel {
        requirement: "nvidia-cufile==1.15.1.6",
        file: "nvidia_cufile-1.15.1.6-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        bytes: 1_223_672,
        sha256: "08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44",
    },
    Wheel {
        requirement: "nvidia-curand==10.4.0.35",
        file: "nvidia_curand-10.4.0.35-py3-none-manylinux_2_27_x86_64.whl",
        bytes: 59_544_258,
        sha256: "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc",
    },
    Wheel {
        requirement: "nvidia-cusolver==12.0.4.66",
        file: "nvidia_cusolver-12.0.4.66-py3-none-manylinux_2_27_x86_64.whl",
        bytes: 200_941_980,
        sha256: "0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112",
    },
    Wheel {
        requirement: "nvidia-cusparse==12.6.3.3",
        file: "nvidia_cusparse-12.6.3.3-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        bytes: 145_942_937,
        sha256: "2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b",
    },
    Wheel {
        requirement: "nvidia-cusparselt-cu13==0.8.0",
        file: "nvidia_cusparselt_cu13-0.8.0-py3-none-manylinux2014_x86_64.whl",
        bytes: 169_884_119,
        sha256: "25e30a8a7323935d4ad0340b95a0b69926eee755767e8e0b1cf8dd85b197d3fd",
    },
    Wheel {
        requirement: "nvidia-nccl-cu13==2.28.9",
        file: "nvidia_nccl_cu13-2.28.9-py3-none-manylinux_2_18_x86_64.whl",
        bytes: 196_493_177,
        sha256: "e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42",
    },
    Wheel {
        requirement: "nvidia-nvjitlink==13.0.88",
        file: "nvidia_nvjitlink-13.0.88-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
        bytes: 40_713_933,
        sha256: "13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b",
    },
    Wheel {
        requirement: "nvidia-nvshmem-cu13==3.4.5",
        file: "nvidia_nvshmem_cu13-3.4.5-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        bytes: 60_412_546,
        sha256: "290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80",
    },
    Wheel {
        requirement: "nvidia-nvtx==13.0.85",
        file: "nvidia_nvtx-13.0.85-py3-none-manylinux1_x86_64.manylinux_2_5_x86_64.whl",
        bytes: 148_047,
        sha256: "4936d1d6780fbe68db454f5e72a42ff64d1fd6397df9f363ae786930fd5c1cd4",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lean_copy_is_torch_and_two_small_packages() {
        let files: Vec<_> = Variant::Cpu.wheels().iter().map(|wheel| wheel.requirement).collect();
        assert_eq!(
            files,
            ["torch==2.11.0", "nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85"]
        );
    }

    #[test]
    fn every_pin_is_a_whole_sha256_of_a_wheel_that_names_its_version() {
        for wheel in Variant::Cuda.wheels() {
            let (name, version) = wheel.requirement.split_once("==").expect("pinned");
            let stem = format!("{}-{version}-", name.replace('-', "_"));
            assert!(wheel.file.starts_with(&stem), "{} against {stem}", wheel.file);
            assert_eq!(wheel.sha256.len(), 64, "{}", wheel.file);
            assert!(wheel.sha256.bytes().all(|b| b"0123456789abcdef".contains(&b)));
            let tags = wheel.file.trim_end_matches(".whl").rsplit('-').next().expect("tags");
            assert!(tags.split('.').any(|tag| PIP_PLATFORMS.contains(&tag)), "{tags}");
        }
    }

    #[test]
    fn the_pinned_version_is_the_one_that_torch_sys_checks_for() {
        // tch 0.24 fits libtorch 2.11.0 and nothing else: the two are raised together.
        let manifest = include_str!("../../../Cargo.toml");
        assert!(manifest.contains("tch = { version = \"=0.24.0\""));
        assert!(manifest.contains("torch-sys = { version = \"=0.24.0\""));
        assert_eq!(VERSION, "2.11.0");
    }
}
