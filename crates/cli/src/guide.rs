//! Steering towards classes: by a classifier of noisy images, or by the difference of the model with and
//! without a class.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use tch::Tensor;
use tweedie_guidance::{ClassifierFree, ClassifierGuided, LARGEST_SCALE, NoiseRange};
use tweedie_score::{Conditioned, ScoreFn};
use tweedie_training::{Classifier, ModelOptions, is_run};
use tweedie_unet::{ClassGradient, ScoreNetwork};

use crate::run::Run;

/// What guidance is asked for.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Guidance")]
pub(crate) struct Guidance {
    /// Strength: with --classifier the factor of its gradient [default: 1, Bayes' rule], alone that of the
    /// way from no class to the class asked for: 0 is no class, 1 the class, more is guided
    #[arg(id = "guidance", long = "guidance", value_name = "SCALE", allow_hyphen_values = true)]
    scale: Option<f64>,
    /// A classifier of noisy images that steers: a run of one, or a checkpoint of guided-diffusion
    #[arg(long, value_name = "RUN")]
    classifier: Option<PathBuf>,
    /// How its network is built, where that is not said beside it: as --config
    #[arg(long, value_name = "FILE", requires = "classifier", conflicts_with = "classifier_flags")]
    classifier_config: Option<PathBuf>,
    /// The flags of guided-diffusion for it, as --flags
    #[arg(long, value_name = "FLAGS", requires = "classifier", allow_hyphen_values = true)]
    classifier_flags: Option<String>,
    /// Do not tell the model the class: the classifier alone steers
    #[arg(long, requires = "classifier")]
    untold: bool,
    /// Whether a classifier's gradient is added to the score, or moves the mean of an ancestral step
    /// [default: score]
    #[arg(long, value_enum, requires = "classifier")]
    guidance_form: Option<Form>,
    /// Guide at these noise levels alone: above LOW, up to HIGH (or inf), by sigma / alpha, the deviation
    /// of the noise in units of the data
    #[arg(long, value_name = "LOW,HIGH", allow_hyphen_values = true, value_parser = interval)]
    guidance_interval: Option<NoiseRange>,
    /// Bring each guided prediction back to the deviation of the conditional one by this share, 0 to 1;
    /// 0.7 is published
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true, conflicts_with = "classifier")]
    guidance_rescale: Option<f64>,
    /// Guide away from this class instead of from no class
    #[arg(long, value_name = "CLASS", conflicts_with = "classifier")]
    negative_class: Option<usize>,
}

/// What a classifier's gradient does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// It is added to the score: for every sampler
    Score,
    /// It moves the mean, times the variance of the step: --sampler ddpm
    Mean,
}

fn interval(text: &str) -> Result<NoiseRange, String> {
    let expected = "expected two numbers as 0.2,5 or 0.2,inf";
    let (low, high) = text.split_once(',').ok_or(expected)?;
    let number = |text: &str| text.trim().parse::<f64>().map_err(|_| expected.to_owned());
    NoiseRange::new(number(low)?, number(high)?).map_err(|error| error.to_string())
}

/// What steers, opened and held against the model.
pub(crate) struct Guide {
    steering: Steering,
    range: NoiseRange,
}

enum Steering {
    /// The model is told its classes and nothing more.
    Nothing,
    /// The model itself, by how it answers without a class.
    Model { scale: f64, rescale: f64, negative: Option<usize> },
    /// A classifier.
    Classifier { classifier: Box<Classifier>, scale: f64, form: Form, untold: bool },
}

/// A classifier's gradient for an ancestral step.
pub(crate) struct MeanShift<'a> {
    pub(crate) gradient: ClassGradient<'a>,
    pub(crate) scale: f64,
    pub(crate) range: NoiseRange,
}

impl Guidance {
    /// Refuses what only goes with guidance, or a classifier without a class.
    ///
    /// # Errors
    /// As said.
    pub(crate) fn check(&self, has_class: bool) -> Result<()> {
        if self.classifier.is_some() && !has_class {
            bail!("--classifier steers towards a class: --class says which");
        }
        if let Some(scale) =
            self.scale.filter(|scale| scale.is_nan() || scale.abs() > LARGEST_SCALE)
        {
            bail!("--guidance is {scale}, expected a number from -1e6 to 1e6");
        }
        let given = [
            ("--guidance-interval", self.guidance_interval.is_some()),
            ("--guidance-rescale", self.guidance_rescale.is_some()),
            ("--negative-class", self.negative_class.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given && !self.is_given()) {
            Some((option, _)) => bail!("{option} goes with --guidance"),
            None => Ok(()),
        }
    }

    /// Whether any is asked for.
    pub(crate) fn is_given(&self) -> bool {
        self.scale.is_some() || self.classifier.is_some()
    }

    /// Opens what steers, and holds it against the model.
    ///
    /// # Errors
    /// When the classifier cannot be opened or was trained on something else than the model, or the model
    /// cannot be guided so.
    pub(crate) fn open(&self, run: &Run) -> Result<Guide> {
        let range = self.guidance_interval.unwrap_or_default();
        let steering = match (&self.classifier, self.scale) {
            (Some(_), scale) => self.by_classifier(run, scale.unwrap_or(1.0))?,
            (None, Some(scale)) => self.by_model(run, scale)?,
            (None, None) => Steering::Nothing,
        };
        Ok(Guide { steering, range })
    }

    fn by_classifier(&self, run: &Run, scale: f64) -> Result<Steering> {
        let path = self.classifier.as_deref().context("a classifier")?;
        let given = [
            ("--classifier-config", self.classifier_config.is_some()),
            ("--classifier-flags", self.classifier_flags.is_some()),
        ];
        if let Some((option, _)) = given.iter().find(|(_, given)| *given && is_run(path)) {
            bail!("{option} is for classifiers of other programs; a run says it itself");
        }
        let options = ModelOptions {
            config: self.classifier_config.clone(),
            flags: self.classifier_flags.clone(),
            ..run.options_alike()
        };
        let classifier = Classifier::open(path, &options).context("--classifier")?;
        run.check_steered_by(&classifier)?;
        let classifier = Box::new(classifier);
        let form = self.guidance_form.unwrap_or(Form::Score);
        Ok(Steering::Classifier { classifier, scale, form, untold: self.untold })
    }

    fn by_model(&self, run: &Run, scale: f64) -> Result<Steering> {
        if run.class_count() == 0 {
            bail!(
                "--guidance without --classifier needs a model that was told classes; this one was trained \
                 without"
            );
        }
        if let Some(class) = self.negative_class {
            run.check_class("--negative-class", class)?;
        } else if scale != 1.0 {
            run.check_null_class()?;
        }
        let rescale = self.guidance_rescale.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&rescale) {
            bail!("--guidance-rescale is {rescale}, expected a value in [0, 1]");
        }
        Ok(Steering::Model { scale, rescale, negative: self.negative_class })
    }
}

impl Guide {
    /// Number of classes that may be asked for; 0 for none.
    pub(crate) fn class_count(&self, run: &Run) -> usize {
        match &self.steering {
            Steering::Classifier { classifier, .. } => classifier.classes(),
            _ => run.class_count(),
        }
    }

    /// What the model itself is told of classes.
    fn told(&self, run: &Run, classes: &[Option<usize>]) -> Vec<Option<usize>> {
        match self.steering {
            Steering::Classifier { untold, .. } if untold || run.class_count() == 0 => {
                vec![None; classes.len()]
            }
            _ => classes.to_vec(),
        }
    }

    /// Refuses to ask the model without a class where it was never told none.
    ///
    /// # Errors
    /// As said.
    pub(crate) fn check(&self, run: &Run, classes: &[Option<usize>]) -> Result<()> {
        if matches!(self.steering, Steering::Classifier { untold: true, .. })
            && run.class_count() > 0
        {
            return run.check_null_class();
        }
        if self.told(run, classes).contains(&None) {
            run.check_unconditional()?;
        }
        Ok(())
    }

    /// Whether a classifier moves the mean of ancestral steps.
    pub(crate) fn moves_the_mean(&self) -> bool {
        matches!(self.steering, Steering::Classifier { form: Form::Mean, .. })
    }

    /// The score of a batch whose samples are to be of these classes.
    ///
    /// # Errors
    /// When an option is out of range.
    pub(crate) fn score<'a>(
        &'a self,
        run: &'a Run,
        classes: &[Option<usize>],
    ) -> Result<Box<dyn ScoreFn<Tensor> + 'a>> {
        let network = run.network();
        let plain = |network: ScoreNetwork<'a>| Conditioned {
            network,
            conditions: self.told(run, classes),
        };
        Ok(match &self.steering {
            Steering::Nothing | Steering::Classifier { form: Form::Mean, .. } => {
                Box::new(plain(network))
            }
            Steering::Model { scale, rescale, negative } => {
                // None in place of a negative class is no class
                let avoided = vec![*negative; classes.len()];
                let guided = ClassifierFree::away_from(network, classes.to_vec(), avoided, *scale)?;
                Box::new(guided.rescaled(*rescale)?.within(self.range))
            }
            Steering::Classifier { classifier, scale, .. } => {
                let gradient = gradient(classifier, classes);
                let guided = ClassifierGuided::new(plain(network), gradient, *scale)?;
                Box::new(guided.within(self.range))
            }
        })
    }

    /// The shift of the mean of a batch whose samples are to be of these classes, where one is asked for.
    pub(crate) fn mean_shift(&self, classes: &[Option<usize>]) -> Option<MeanShift<'_>> {
        let Steering::Classifier { classifier, scale, form: Form::Mean, .. } = &self.steering
        else {
            return None;
        };
        let gradient = gradient(classifier, classes);
        Some(MeanShift { gradient, scale: *scale, range: self.range })
    }

    /// The guidance in words, for reports; `None` for none.
    pub(crate) fn describe(&self) -> Option<String> {
        let words = match &self.steering {
            Steering::Nothing => return None,
            Steering::Model { scale, rescale, negative } => {
                let away = negative.map(|class| format!(", away from class {class}"));
                let rescaled = (*rescale > 0.0).then(|| format!(", rescaled by {rescale}"));
                let more = [away, rescaled].into_iter().flatten().collect::<String>();
                format!("by the model itself, scale {scale}{more}")
            }
            Steering::Classifier { scale, form, untold, .. } => {
                let form = format!("{form:?}").to_lowercase();
                let untold = if *untold { ", the model untold" } else { "" };
                format!("by a classifier, scale {scale}, in the {form}{untold}")
            }
        };
        let everywhere = self.range == NoiseRange::ALL;
        Some(if everywhere { words } else { format!("{words}, in {}", self.range) })
    }
}

fn gradient<'a>(classifier: &'a Classifier, classes: &[Option<usize>]) -> ClassGradient<'a> {
    // a classifier without a class was refused
    let classes = classes.iter().map(|class| class.unwrap_or(0)).collect();
    ClassGradient { classifier: classifier.network(), classes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        guidance: Guidance,
    }

    fn line(words: &str) -> Result<Guidance, clap::Error> {
        let line = Line::try_parse_from(["x"].into_iter().chain(words.split_whitespace()));
        line.map(|line| line.guidance)
    }

    #[test]
    fn what_needs_guidance_or_a_class_is_refused_without() {
        for (words, says) in [
            ("--guidance-interval 0.2,5", "--guidance-interval goes with --guidance"),
            ("--guidance-rescale 0.7", "--guidance-rescale goes with --guidance"),
            ("--negative-class 1", "--negative-class goes with --guidance"),
            ("--classifier x", "--class says which"),
            ("--guidance nan", "expected a number from -1e6 to 1e6"),
            ("--guidance 1e39", "--guidance is 1000000"),
            ("--guidance -2e6", "--guidance is -2000000"),
        ] {
            let error = line(words).unwrap().check(false).unwrap_err().to_string();
            assert!(error.contains(says), "{words}: {error}");
        }
        line("--guidance 2 --guidance-interval 0.2,inf").unwrap().check(false).unwrap();
        line("--classifier x --guidance-interval 0,1").unwrap().check(true).unwrap();
    }

    #[test]
    fn options_of_the_other_way_of_guiding_are_refused() {
        for words in [
            "--guidance-form mean",
            "--untold",
            "--classifier x --guidance-rescale 0.5",
            "--classifier x --negative-class 1",
            "--guidance 2 --guidance-interval 5,0.2",
            "--guidance 2 --guidance-interval 5",
        ] {
            assert!(line(words).is_err(), "{words}");
        }
    }
}
