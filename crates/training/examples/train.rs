//! Trains a configuration file into a run's folder, with plain lines as progress.
//!
//! `cargo run --release -p tweedie-training --example train -- configs/digits.toml runs/digits`

use std::path::Path;
use std::sync::atomic::AtomicBool;

use tweedie_training::{Event, RunConfig, Trainer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, run, overrides @ ..] = &arguments[..] else {
        return Err("usage: train CONFIG RUN [key=value]...".into());
    };
    let config = RunConfig::load(Path::new(config), overrides)?;
    let mut trainer = Trainer::new(config, Path::new(run))?;
    let mut report = |event: &Event<'_>| match event {
        Event::Step { step, smoothed_loss, images_per_second, .. } if step % 50 == 0 => {
            println!("step {step}: loss {smoothed_loss:.4}, {images_per_second:.0} images/s");
        }
        Event::Step { .. } => {}
        other => println!("{other:?}"),
    };
    println!("{:?}", trainer.run(&mut report, &AtomicBool::new(false))?);
    Ok(())
}
