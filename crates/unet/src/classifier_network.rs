//! A classifier of noisy images as the gradient of a condition.
//!
//! `grad_x log p_t(y | x)` by one forward and one backward pass (Dhariwal and Nichol 2021, sec. 4).

use std::slice::from_ref;

use tch::{Kind, Tensor, no_grad, with_grad};
use tweedie_score::{Batch, ConditionGradient, ScoreError, Times};

use crate::network_call::NetworkCall;
use crate::{InputScaling, TimeInput, UNet};

/// A network of family `adm-encoder` together with what it was trained to take.
#[derive(Clone, Copy, Debug)]
pub struct ClassifierNetwork<'a> {
    /// The network.
    pub unet: &'a UNet,
    /// What it takes as its time.
    pub time_input: TimeInput,
    /// How the state is scaled before it takes it.
    pub input_scaling: InputScaling,
}

impl ClassifierNetwork<'_> {
    /// Number of classes that it tells apart.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.unet.config().out_channels() as usize
    }

    /// `log p_t(y | x)` of every class, `[n, classes]` in f32, for states `[n, c, h, w]`.
    ///
    /// # Errors
    /// When there are per-sample times of another number than samples, or the network refuses its
    /// input.
    pub fn log_probabilities(&self, x: &Tensor, at: Times<'_>) -> Result<Tensor, ScoreError> {
        no_grad(|| self.logarithms(x, at))
    }

    fn logarithms(&self, x: &Tensor, at: Times<'_>) -> Result<Tensor, ScoreError> {
        let Self { unet, time_input, input_scaling } = *self;
        let logits = NetworkCall { unet, time_input, input_scaling }.forward(x, at, None, false)?;
        Ok(logits.log_softmax(-1, Kind::Float))
    }
}

/// A classifier asked for one class a sample.
#[derive(Clone, Debug)]
pub struct ClassGradient<'a> {
    /// The classifier.
    pub classifier: ClassifierNetwork<'a>,
    /// One class a sample.
    pub classes: Vec<usize>,
}

impl ClassGradient<'_> {
    /// The classes as an index `[n, 1]` of the logarithms.
    fn index(&self, x: &Tensor) -> Result<Tensor, ScoreError> {
        let (batch, conditions) = (x.batch_len(), self.classes.len());
        if conditions != batch {
            return Err(ScoreError::ConditionsMismatch { conditions, batch });
        }
        let known = self.classifier.classes();
        if let Some(class) = self.classes.iter().copied().find(|class| *class >= known) {
            return Err(ScoreError::ClassOutOfRange { class, classes: known });
        }
        let classes: Vec<_> = self.classes.iter().map(|class| *class as i64).collect();
        Ok(Tensor::from_slice(&classes).to_device(x.device()).unsqueeze(1))
    }
}

impl ConditionGradient<Tensor> for ClassGradient<'_> {
    /// One forward pass, recorded from the state on, and one backward pass. The parameters get no
    /// gradients and nothing is kept of the record.
    fn log_gradient(&self, x: &Tensor, at: Times<'_>) -> Result<Tensor, ScoreError> {
        let index = self.index(x)?;
        with_grad(|| {
            let leaf = x.detach().set_requires_grad(true);
            let logarithms = self.classifier.logarithms(&leaf, at)?;
            // samples do not see each other, so that the gradient of the sum is that of each
            let asked = logarithms.gather(1, &index, false).sum(Kind::Float);
            Ok(Tensor::run_backward(&[asked], from_ref(&leaf), false, false).swap_remove(0))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AdmConfig, AdmEncoderConfig, AdmPool};
    use tch::Device;
    use tweedie_schedules::{NoiseLevel, TimePoint};
    use tweedie_score::{NoiseSource, Seeded};

    const AT: TimePoint = TimePoint { t: 0.4, level: NoiseLevel { alpha: 0.8, sigma: 0.6 } };

    /// A small classifier none of whose parameters is zero.
    fn unet() -> UNet {
        let trunk = AdmConfig {
            image_size: 8,
            in_channels: 1,
            model_channels: 32,
            out_channels: 3,
            num_res_blocks: 1,
            attention_resolutions: vec![2],
            channel_mult: vec![1.0, 1.0],
            num_head_channels: 16,
            ..AdmConfig::default()
        };
        let unet = UNet::new(&AdmEncoderConfig { trunk, pool: AdmPool::Attention }, 3).unwrap();
        let mut noise = Seeded::new(1);
        let shaken = unet.parameters().iter().map(|(name, tensor)| {
            let shake: Tensor = noise.normal_like(&tensor.reshape([1, -1])).unwrap();
            (name.to_owned(), tensor + shake.reshape(tensor.size()) * 0.05)
        });
        UNet::from_weights(unet.config(), shaken.collect::<Vec<_>>()).unwrap()
    }

    fn classifier(unet: &UNet) -> ClassifierNetwork<'_> {
        let input_scaling = InputScaling::UnitVariance { sigma_data: 0.5 };
        ClassifierNetwork { unet, time_input: TimeInput::Time { scale: 999.0 }, input_scaling }
    }

    fn normal(seed: u64) -> Tensor {
        Seeded::new(seed)
            .normal_like(&Tensor::zeros([2, 1, 8, 8], (Kind::Float, Device::Cpu)))
            .unwrap()
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_asked_classes_logarithm() {
        let unet = unet();
        unet.set_trainable(true);
        let asked = ClassGradient { classifier: classifier(&unet), classes: vec![2, 0] };
        let (x, along) = (normal(1), normal(2));
        let gradient = asked.log_gradient(&x, Times::Shared(AT)).unwrap();
        let sum = |x: &Tensor| {
            let all = asked.classifier.log_probabilities(x, Times::Shared(AT)).unwrap();
            all.double_value(&[0, 2]) + all.double_value(&[1, 0])
        };
        let step = 1e-2;
        let slope = (sum(&(&x + &along * step)) - sum(&(&x - &along * step))) / (2.0 * step);
        let got = (&gradient * &along).sum(Kind::Double).double_value(&[]);
        // central differences in f32: step^2, and rounding of 1e-6 over the step
        assert!(
            slope.abs() > 1e-2 && (got - slope).abs() < 2e-3 * (1.0 + slope.abs()),
            "{got}, {slope}"
        );
        assert!(!gradient.requires_grad());
        assert!(unet.parameters().tensors().iter().all(|tensor| !tensor.grad().defined()));
    }

    #[test]
    fn each_sample_has_its_own_time_and_class() {
        let unet = unet();
        let (classifier, x) = (classifier(&unet), normal(1));
        let other = TimePoint { t: 0.9, level: NoiseLevel { alpha: 0.6, sigma: 0.8 } };
        let asked = ClassGradient { classifier, classes: vec![2, 0] };
        let both = asked.log_gradient(&x, Times::PerSample(&[AT, other])).unwrap();
        for (image, at, class) in [(0, AT, 2), (1, other, 0)] {
            let alone = ClassGradient { classifier, classes: vec![class] };
            let single = alone.log_gradient(&x.narrow(0, image, 1), Times::Shared(at)).unwrap();
            assert!(single.allclose(&both.narrow(0, image, 1), 1e-4, 1e-6, false));
        }
    }

    #[test]
    fn classes_that_are_not_there_are_refused() {
        let unet = unet();
        let ask = |classes: &[usize]| {
            let asked = ClassGradient { classifier: classifier(&unet), classes: classes.to_vec() };
            asked.log_gradient(&normal(1), Times::Shared(AT)).unwrap_err()
        };
        assert!(matches!(ask(&[3, 0]), ScoreError::ClassOutOfRange { class: 3, classes: 3 }));
        assert!(matches!(ask(&[0]), ScoreError::ConditionsMismatch { conditions: 1, batch: 2 }));
    }
}
