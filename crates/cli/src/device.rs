//! Which device runs the network, and how to say so.

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use tch::Device;

/// The device asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeviceName {
    /// CUDA where there is a GPU and a libtorch that can use it, else the CPU
    #[default]
    Auto,
    /// The processor
    Cpu,
    /// The first GPU
    Cuda,
}

/// Where and how the network runs.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Computation")]
pub(crate) struct Computation {
    /// Device of the network
    #[arg(long, value_enum, default_value = "auto")]
    device: DeviceName,
    /// Processor threads [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl Computation {
    /// Sets the threads and gives the device, saying on standard error which it is.
    ///
    /// # Errors
    /// When CUDA is asked for and there is none.
    pub(crate) fn start(&self) -> Result<Device> {
        if let Some(threads) = self.threads {
            tweedie_torch_ext::set_threads(usize::from(threads))?;
        }
        let status = tweedie_torch_ext::load_cuda();
        let device = match (self.device, tweedie_torch_ext::default_device()) {
            (DeviceName::Cpu, _) => Device::Cpu,
            (DeviceName::Cuda, Device::Cpu) => bail!("--device cuda: {status}; use --device cpu"),
            (_, found) => found,
        };
        eprintln!("device: {}", describe(device));
        Ok(device)
    }
}

/// The device in words, with what it has of processors.
pub(crate) fn describe(device: Device) -> String {
    match device {
        Device::Cpu => format!("cpu ({} threads)", tweedie_torch_ext::threads()),
        Device::Cuda(index) => format!("cuda:{index}"),
        other => format!("{other:?}"),
    }
}

/// What `--version` prints: our version, libtorch's, and the device a run would use.
pub(crate) fn version() -> String {
    let device = describe(tweedie_torch_ext::default_device());
    let libtorch = tweedie_torch_ext::libtorch_version();
    format!("{} (libtorch {libtorch}, {device})", env!("CARGO_PKG_VERSION"))
}
