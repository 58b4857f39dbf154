//! A U-Net as the score function that samplers call.

mod vjp;

use crate::network_call::NetworkCall;
use crate::{InputScaling, TimeInput, UNet};
use tch::{Tensor, no_grad};
use tweedie_schedules::Prediction;
use tweedie_score::{Batch, ConditionalScoreFn, ScoreError, ScoreFn, Times};

/// A network together with what it was trained to return and to take.
///
/// A network with twice as many channels out as in learned a variance too: the first half is the
/// prediction, the second what [`ScoreFn::predict_with_variance`] gives beside it.
#[derive(Debug)]
pub struct ScoreNetwork<'a> {
    /// The network.
    pub unet: &'a UNet,
    /// What it returns.
    pub prediction: Prediction,
    /// What it takes as its time.
    pub time_input: TimeInput,
    /// How the state is scaled before it takes it.
    pub input_scaling: InputScaling,
    /// Number of classes it was trained on, the null class not counted; `None` if it knows none.
    pub classes: Option<usize>,
}

impl ScoreNetwork<'_> {
    /// Class indices `[batch]`, the null class standing after the last one.
    fn labels(&self, x: &Tensor, conditions: &[Option<usize>]) -> Result<Tensor, ScoreError> {
        let batch = x.batch_len();
        if conditions.len() != batch {
            return Err(ScoreError::ConditionsMismatch { conditions: conditions.len(), batch });
        }
        let classes = self.classes.unwrap_or(0);
        let label = |condition: &Option<usize>| match *condition {
            Some(class) if class >= classes => Err(ScoreError::ClassOutOfRange { class, classes }),
            Some(class) => Ok(class as i64),
            None => Ok(classes as i64),
        };
        let labels: Result<Vec<i64>, _> = conditions.iter().map(label).collect();
        Ok(Tensor::from_slice(&labels?).to_device(x.device()))
    }

    /// All that the network returns, its variance too where it learned one; differentiable.
    ///
    /// `labels` are class indices `[batch]`, those of the null class after the last; `train` drops
    /// values where the network has dropout.
    ///
    /// # Errors
    /// When there are per-sample times of another number than samples, or the network refuses its
    /// input.
    pub fn forward(
        &self,
        x: &Tensor,
        at: Times<'_>,
        labels: Option<&Tensor>,
        train: bool,
    ) -> Result<Tensor, ScoreError> {
        let Self { unet, time_input, input_scaling, .. } = *self;
        NetworkCall { unet, time_input, input_scaling }.forward(x, at, labels, train)
    }

    /// Whether the network learned a variance.
    #[must_use]
    pub fn learns_variance(&self) -> bool {
        let config = self.unet.config();
        config.out_channels() == 2 * config.in_channels()
    }

    /// The prediction, and beside it the values of the variance where it was learned.
    fn parts(&self, output: Tensor) -> (Tensor, Option<Tensor>) {
        if !self.learns_variance() {
            return (output, None);
        }
        let channels = self.unet.config().in_channels();
        let half = |start| output.narrow(1, start, channels);
        (half(0), Some(half(channels)))
    }

    fn predict_both(
        &self,
        x: &Tensor,
        at: Times<'_>,
        conditions: &[Option<usize>],
    ) -> Result<(Tensor, Option<Tensor>), ScoreError> {
        let labels = self.labels(x, conditions)?;
        let labels = self.classes.map(|_| &labels);
        Ok(self.parts(no_grad(|| self.forward(x, at, labels, false))?))
    }
}

impl ConditionalScoreFn<Tensor> for ScoreNetwork<'_> {
    fn prediction(&self) -> Prediction {
        self.prediction
    }

    fn predict_given(
        &self,
        x: &Tensor,
        at: Times<'_>,
        conditions: &[Option<usize>],
    ) -> Result<Tensor, ScoreError> {
        Ok(self.predict_both(x, at, conditions)?.0)
    }

    fn predict_given_with_variance(
        &self,
        x: &Tensor,
        at: Times<'_>,
        conditions: &[Option<usize>],
    ) -> Result<(Tensor, Option<Tensor>), ScoreError> {
        self.predict_both(x, at, conditions)
    }
}

impl ScoreFn<Tensor> for ScoreNetwork<'_> {
    fn prediction(&self) -> Prediction {
        self.prediction
    }

    /// The unconditional prediction: class-conditional networks are given the null class.
    fn predict(&self, x: &Tensor, at: Times<'_>) -> Result<Tensor, ScoreError> {
        self.predict_given(x, at, &vec![None; x.batch_len()])
    }

    fn predict_with_variance(
        &self,
        x: &Tensor,
        at: Times<'_>,
    ) -> Result<(Tensor, Option<Tensor>), ScoreError> {
        self.predict_both(x, at, &vec![None; x.batch_len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NetworkConfig;
    use tch::{Device, Kind};
    use tweedie_schedules::{Edm, NoiseSchedule};

    fn unet(learned_variance: bool) -> UNet {
        let network = NetworkConfig {
            channels: 8,
            multipliers: vec![1],
            blocks: 1,
            groups: 4,
            learned_variance,
            ..NetworkConfig::default()
        };
        let unet = UNet::new(&network.unet([1, 4, 4]).unwrap(), 0).unwrap();
        // the last layer starts at zero, and would tell nothing
        for (_, tensor) in unet.parameters().iter() {
            let values =
                Tensor::arange(tensor.numel() as i64, (Kind::Float, Device::Cpu)).sin() * 0.3;
            no_grad(|| tensor.shallow_clone().copy_(&values.reshape(tensor.size())));
        }
        unet
    }

    fn network(unet: &UNet) -> ScoreNetwork<'_> {
        ScoreNetwork {
            unet,
            prediction: Prediction::EdmF { sigma_data: 0.5 },
            time_input: TimeInput::LogNoise { scale: 250.0 },
            input_scaling: InputScaling::UnitVariance { sigma_data: 0.5 },
            classes: None,
        }
    }

    #[test]
    fn the_network_sees_states_scaled_at_their_own_levels() {
        let (unet, schedule) = (unet(false), Edm::new(0.002, 80.0).unwrap());
        let points = [schedule.point(60.0), schedule.point(0.1)];
        let unit =
            Tensor::linspace(-1.0, 1.0, 32, (Kind::Float, Device::Cpu)).reshape([2, 1, 4, 4]);
        let size = |sigma: f64| sigma.hypot(0.5);
        let x = unit.scale_each(&[size(60.0), size(0.1)]);
        let times = Tensor::from_slice(&[60.0_f64, 0.1].map(|s| (250.0 * s.ln()) as f32));
        let expected = no_grad(|| unet.forward(&unit, &times, None, false)).unwrap();
        let each = network(&unet).predict(&x, Times::PerSample(&points)).unwrap();
        assert!(expected.abs().max().double_value(&[]) > 0.1);
        assert!(each.allclose(&expected, 1e-4, 1e-5, false));
        let shared = network(&unet).predict(&x.narrow(0, 0, 1), Times::Shared(points[0])).unwrap();
        assert!(shared.allclose(&expected.narrow(0, 0, 1), 1e-4, 1e-5, false));
    }

    #[test]
    fn a_network_of_twice_the_channels_says_its_variance_beside_the_prediction() {
        let unet = unet(true);
        let x = Tensor::ones([1, 1, 4, 4], (Kind::Float, Device::Cpu));
        let at = Times::Shared(Edm::new(0.002, 80.0).unwrap().point(1.0));
        let network = network(&unet);
        assert!(network.learns_variance());
        let whole = no_grad(|| network.forward(&x, at, None, false)).unwrap();
        let (prediction, values) = network.predict_with_variance(&x, at).unwrap();
        assert!(Tensor::cat(&[prediction, values.unwrap()], 1).equal(&whole));
    }
}
