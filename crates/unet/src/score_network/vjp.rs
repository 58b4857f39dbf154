//! The derivative of a network's prediction in the state.

use std::slice::from_ref;

use super::ScoreNetwork;
use tch::{Tensor, with_grad};
use tweedie_schedules::TimePoint;
use tweedie_score::{
    Batch, DifferentiableConditionalScoreFn, DifferentiableScoreFn, ScoreError, Times,
};

impl DifferentiableConditionalScoreFn<Tensor> for ScoreNetwork<'_> {
    /// One forward pass, recorded from the state on, and one backward pass for each cotangent. The
    /// parameters get no gradients and nothing is kept of the record.
    fn predict_given_vjps(
        &self,
        x: &Tensor,
        at: TimePoint,
        conditions: &[Option<usize>],
        cotangents: &[Tensor],
    ) -> Result<(Tensor, Vec<Tensor>), ScoreError> {
        let labels = self.labels(x, conditions)?;
        let labels = self.classes.map(|_| &labels);
        with_grad(|| {
            let leaf = x.detach().set_requires_grad(true);
            let output = self.forward(&leaf, Times::Shared(at), labels, false)?;
            let (output, _) = self.parts(output);
            let product = |(index, cotangent): (usize, &Tensor)| {
                let along = (&output * cotangent).sum(output.kind());
                let again = index + 1 < cotangents.len();
                Tensor::run_backward(&[along], from_ref(&leaf), again, false).swap_remove(0)
            };
            let products = cotangents.iter().enumerate().map(product).collect();
            Ok((output.detach(), products))
        })
    }
}

impl DifferentiableScoreFn<Tensor> for ScoreNetwork<'_> {
    /// Of the unconditional prediction: class-conditional networks are given the null class.
    fn predict_vjps(
        &self,
        x: &Tensor,
        at: TimePoint,
        cotangents: &[Tensor],
    ) -> Result<(Tensor, Vec<Tensor>), ScoreError> {
        self.predict_given_vjps(x, at, &vec![None; x.batch_len()], cotangents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InputScaling, NetworkConfig, Precision, TimeInput, UNet};
    use tch::Kind;
    use tweedie_schedules::{NoiseLevel, Prediction};
    use tweedie_score::{Conditioned, NoiseSource, ScoreFn, Seeded};

    /// A small network in double precision none of whose parameters is zero.
    fn network() -> UNet {
        let config = NetworkConfig {
            channels: 8,
            groups: 2,
            attention_resolutions: vec![4],
            classes: Some(3),
            ..NetworkConfig::default()
        };
        let unet = UNet::new(&config.unet([1, 8, 8]).unwrap(), 3).unwrap();
        let mut noise = Seeded::new(1);
        let shaken = unet.parameters().iter().map(|(name, tensor)| {
            let shake: Tensor = noise.normal_like(&tensor.reshape([1, -1])).unwrap();
            (name.to_owned(), tensor + shake.reshape(tensor.size()) * 0.05)
        });
        let shaken: Vec<_> = shaken.collect();
        let shaken = UNet::from_weights(unet.config(), shaken).unwrap();
        shaken.for_inference(Precision::F64).unwrap()
    }

    fn score(unet: &UNet) -> ScoreNetwork<'_> {
        ScoreNetwork {
            unet,
            prediction: Prediction::Noise,
            time_input: TimeInput::Time { scale: 999.0 },
            input_scaling: InputScaling::None,
            classes: Some(3),
        }
    }

    fn normal(seed: u64) -> Tensor {
        Seeded::new(seed).normal_like(&Tensor::zeros([2, 1, 8, 8], tch::kind::DOUBLE_CPU)).unwrap()
    }

    const AT: TimePoint = TimePoint { t: 0.4, level: NoiseLevel { alpha: 0.8, sigma: 0.6 } };

    #[test]
    fn the_product_is_the_transposed_slope_and_the_prediction_that_of_a_plain_call() {
        let unet = network();
        let given = Conditioned { network: score(&unet), conditions: vec![Some(1), None] };
        let (x, cotangent, along) = (normal(1), normal(2), normal(3));
        let (output, product) = given.predict_vjp(&x, AT, &cotangent).unwrap();
        let plain = |x: &Tensor| given.predict(x, Times::Shared(AT)).unwrap();
        assert!(output.allclose(&plain(&x), 1e-12, 1e-12, false));
        assert!(!output.requires_grad() && !product.requires_grad());
        let step = 1e-5;
        let rise = plain(&(&x + &along * step)) - plain(&(&x - &along * step));
        let slope = (rise / (2.0 * step) * &cotangent).sum(Kind::Double).double_value(&[]);
        let got = (product * along).sum(Kind::Double).double_value(&[]);
        // central differences: step^2, and rounding over the step
        assert!((got - slope).abs() < 1e-7 * (1.0 + slope.abs()), "{got} and {slope}");
    }

    #[test]
    fn several_cotangents_share_a_forward_pass_and_parameters_get_no_gradient() {
        let unet = network();
        unet.set_trainable(true);
        let (network, x, cotangents) = (score(&unet), normal(1), [normal(2), normal(3)]);
        let (output, products) = network.predict_vjps(&x, AT, &cotangents).unwrap();
        for (cotangent, product) in cotangents.iter().zip(&products) {
            let (alone, single) = network.predict_vjp(&x, AT, cotangent).unwrap();
            assert!(output.allclose(&alone, 1e-12, 1e-12, false));
            assert!(product.allclose(&single, 1e-12, 1e-12, false));
        }
        assert!(unet.parameters().tensors().iter().all(|tensor| !tensor.grad().defined()));
        assert!(!x.requires_grad());
    }
}
