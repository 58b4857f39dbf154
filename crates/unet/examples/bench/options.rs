//! The command line.

pub(crate) const USAGE: &str = "usage: bench [--what forward train train-checkpointed ddim] \
                                [--net fashion ddpm ... conv] [--mode f32 bf16] [--batch 16] \
                                [--runs 5] [--warmup 2] [--steps 20] [--threads N]";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) what: Vec<String>,
    pub(crate) net: Vec<String>,
    pub(crate) mode: Vec<String>,
    pub(crate) batch: i64,
    pub(crate) runs: usize,
    /// Runs before those.
    pub(crate) warmup: usize,
    pub(crate) steps: usize,
    pub(crate) threads: Option<usize>,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mut lists = [words("forward train ddim"), words("fashion ddpm"), words("f32 bf16")];
        let mut numbers = [16, 5, 2, 20, 0];
        let mut next = arguments.next();
        while let Some(flag) = next {
            let mut values = Vec::new();
            next = arguments.next();
            while let Some(value) = next.take_if(|value| !value.starts_with("--")) {
                values.push(value);
                next = arguments.next();
            }
            let place = |names: &[&str]| names.iter().position(|name| **name == flag);
            let list = place(&["--what", "--net", "--mode"]);
            let number = place(&["--batch", "--runs", "--warmup", "--steps", "--threads"]);
            match (list, number, values.first()) {
                (Some(index), _, Some(_)) => lists[index] = values,
                (_, Some(index), Some(value)) => {
                    numbers[index] = value.parse::<u32>().ok().filter(|value| *value > 0)?;
                }
                _ => return None,
            }
        }
        let [what, net, mode] = lists;
        let [batch, runs, warmup, steps, threads] = numbers.map(|number| number as usize);
        let threads = (threads > 0).then_some(threads);
        Some(Self { what, net, mode, batch: batch as i64, runs, warmup, steps, threads })
    }
}
