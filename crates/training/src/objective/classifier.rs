//! A classifier of noisy images: the cross entropy with the true class (Dhariwal and Nichol 2021, sec. 4).

use tch::{Kind, Tensor, no_grad};
use tweedie_losses::noised;

use super::{Answer, Judged, Objective, Shown};
use crate::TrainError;

/// `-log p(y | x_t)`, of logits `[n, classes]`.
#[derive(Debug)]
pub(crate) struct ClassifierObjective;

impl Objective for ClassifierObjective {
    fn judge(&self, shown: &Shown<'_>, network: &Answer<'_>) -> Result<Judged, TrainError> {
        let levels: Vec<_> = shown.times.iter().map(|at| at.level).collect();
        let logits = network(&noised(shown.x0, shown.eps, &levels))?;
        let classes = shown.classes.ok_or(TrainError::NoClasses)?.unsqueeze(1);
        let losses = -logits.log_softmax(-1, Kind::Float).gather(1, &classes, false).squeeze_dim(1);
        let ranks = no_grad(|| ranks(&logits, &classes));
        Ok(Judged { losses, ranks: Some(ranks) })
    }
}

/// How many classes are likelier than the true ones, `[n]`, for logits `[n, classes]` and classes
/// `[n, 1]`. Of classes that are equally likely the first comes first; what is no number is never right.
fn ranks(logits: &Tensor, classes: &Tensor) -> Tensor {
    let own = logits.gather(1, classes, false);
    let index = Tensor::arange(logits.size()[1], (Kind::Int64, logits.device())).unsqueeze(0);
    let likelier = logits.le_tensor(&own).logical_not();
    let first = logits.eq_tensor(&own).logical_and(&index.lt_tensor(classes));
    likelier.logical_or(&first).sum_dim_intlist([1i64].as_slice(), false, Kind::Int64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_count_the_classes_before_the_true_one() {
        let logits = Tensor::from_slice2(&[
            [3.0_f32, 1.0, 2.0],
            [3.0, 1.0, 2.0],
            [0.0, 0.0, 0.0],
            [f32::NAN, 1.0, 0.0],
            [f32::NAN, f32::NAN, f32::NAN],
        ]);
        let classes = Tensor::from_slice(&[0i64, 1, 2, 1, 0]).unsqueeze(1);
        let ranks = Vec::<i64>::try_from(ranks(&logits, &classes)).unwrap();
        // the last: all three are no numbers, the true one among them
        assert_eq!(ranks, [0, 2, 2, 1, 3]);
    }
}
