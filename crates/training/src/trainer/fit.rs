//! Values that are allowed in themselves, but do not go with the data.

use tweedie_datasets::GridLayout;

use crate::config::SampleConfig;
use crate::network::ImageForm;
use crate::{ConfigError, RunConfig, RunSchedule, picture};

/// Most values in a batch: 4 GiB of them.
const MOST_VALUES: usize = 1 << 30;
/// Most images in a picture.
const MOST_DRAWN: usize = 10_000;
/// The longest side of a picture, in pixels.
const LONGEST: usize = 65_535;

/// Refuses what would fail only after the run's folder has been made.
pub(super) fn check(
    config: &RunConfig,
    images: &ImageForm,
    schedule: &RunSchedule,
) -> Result<(), ConfigError> {
    check_padding(images)?;
    check_batch(config.training.batch_size, images)?;
    if config.samples.every == 0 {
        return Ok(());
    }
    if let Some(table) = schedule.table() {
        check_steps(config.samples.steps, table.len())?;
    }
    picture::plan(schedule, &config.samples)?;
    check_picture(&config.samples, images)
}

fn unfit(key: &'static str, value: impl ToString, allowed: String) -> Result<(), ConfigError> {
    Err(ConfigError::Unfit { key, value: value.to_string(), allowed })
}

fn check_padding(images: &ImageForm) -> Result<(), ConfigError> {
    let ([_, height, width], [_, least_height, least_width]) = (images.shape, images.unpadded);
    if height >= least_height && width >= least_width {
        return Ok(());
    }
    let allowed = format!("at least the images' own [{least_height}, {least_width}]");
    unfit("data.pad", format!("[{height}, {width}]"), allowed)
}

fn check_batch(batch_size: usize, images: &ImageForm) -> Result<(), ConfigError> {
    let image: usize = images.shape.iter().product();
    if batch_size.saturating_mul(image) <= MOST_VALUES {
        return Ok(());
    }
    let [channels, height, width] = images.shape;
    let most = MOST_VALUES / image;
    let allowed = format!("at most {most} for images of {channels}x{height}x{width}");
    unfit("training.batch_size", batch_size, allowed)
}

fn check_steps(steps: usize, levels: usize) -> Result<(), ConfigError> {
    if steps <= levels {
        return Ok(());
    }
    unfit("samples.steps", steps, format!("at most {levels}, the steps of the schedule"))
}

fn check_picture(samples: &SampleConfig, images: &ImageForm) -> Result<(), ConfigError> {
    let (rows, columns) = (picture::rows(samples, images), samples.columns);
    let count = rows * columns;
    if count > MOST_DRAWN {
        let value = format!("{rows}, with samples.columns {columns}");
        return unfit("samples.rows", value, format!("at most {MOST_DRAWN} images in all"));
    }
    let [_, height, width] = images.unpadded;
    let GridLayout { scale, padding, .. } = GridLayout::fitting(count, height, width);
    for (key, cells, size) in [("samples.rows", rows, height), ("samples.columns", columns, width)]
    {
        let most = (LONGEST - padding) / (size * scale + padding);
        if cells > most {
            let pixels = format!("a picture has at most {LONGEST} pixels a side");
            let allowed = format!("at most {most} for images of {height}x{width}: {pixels}");
            return unfit(key, cells, allowed);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(overrides: &[&str], unpadded: [usize; 3], says: &[&str]) {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        let config = RunConfig::parse("", &overrides).unwrap();
        let [height, width] = config.data.pad.unwrap_or([unpadded[1], unpadded[2]]);
        let shape = [unpadded[0], height, width];
        let images = ImageForm { shape, unpadded, levels: 17, classes: None };
        let message =
            check(&config, &images, &config.noise_schedule().unwrap()).unwrap_err().to_string();
        for part in says {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }

    #[test]
    fn what_does_not_go_with_the_images_is_named() {
        let (digit, photo) = ([1, 8, 8], [3, 512, 512]);
        check_refused(&["data.pad=[4, 8]"], digit, &["data.pad is [4, 8]", "at least", "[8, 8]"]);
        let says = ["training.batch_size is 65536", "at most 1365 for images of 3x512x512"];
        check_refused(&["training.batch_size=65536"], photo, &says);
        let many = ["samples.rows=101", "samples.columns=100"];
        check_refused(
            &many,
            digit,
            &["samples.rows is 101", "samples.columns 100", "at most 10000"],
        );
        let says = ["samples.steps is 1001", "at most 1000"];
        check_refused(&["samples.steps=1001"], digit, &says);
        let says = ["samples.steps is 50", "at most 49"];
        check_refused(&["schedule.steps=49"], digit, &says);
        let close =
            ["schedule.kind=edm", "schedule.sigma_min=1.0", "schedule.sigma_max=1.0000000001"];
        let many = [&close[..], &["samples.steps=1000000"]].concat();
        check_refused(&many, digit, &["samples.steps is 1000000", "[schedule]"]);
        let says = ["samples.columns is 128", "at most 127", "512x512", "65535 pixels"];
        check_refused(&["samples.columns=128"], photo, &says);
    }

    #[test]
    fn pictures_that_are_never_drawn_may_have_any_size() {
        let overrides =
            ["samples.every=0", "samples.steps=2000", "samples.rows=256", "samples.columns=256"];
        let config = RunConfig::parse("", &overrides.map(str::to_owned)).unwrap();
        let shape = [1, 8, 8];
        let images = ImageForm { shape, unpadded: shape, levels: 17, classes: None };
        check(&config, &images, &config.noise_schedule().unwrap()).unwrap();
    }
}
