//! The update of many parameters at once: fused `AdamW`, averaging, norms and gradients.
//!
//! Lists may be slices of tensors or of references to tensors.

use std::borrow::Borrow;

use tch::Tensor;

use crate::Error;
use crate::ffi;
use crate::list::check_length;

/// Hyperparameters of `AdamW` (Loshchilov & Hutter 2019, Alg. 2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay, multiplied by the learning rate.
    pub weight_decay: f64,
}

/// The defaults of `torch.optim.AdamW`.
impl Default for AdamW {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 1e-2 }
    }
}

/// The moments that `AdamW` keeps, one tensor a parameter and of its shape, to be saved by the owner.
#[derive(Clone, Copy, Debug)]
pub struct AdamWState<'a, T> {
    /// Running mean of the gradient.
    pub exp_avg: &'a [T],
    /// Running mean of the squared gradient.
    pub exp_avg_sq: &'a [T],
    /// The number of the step being taken; the first is 1.
    pub step: u64,
}

/// One `AdamW` step over all parameters by libtorch's fused kernel.
///
/// Parameters and moments change in place. A parameter whose gradient is undefined is left alone,
/// with its moments.
///
/// # Errors
/// If the lists differ in length, or shapes, devices, kinds or the order in memory differ: moments
/// are best made with `zeros_like`, and saved ones copied into those.
pub fn adamw_step<P: Borrow<Tensor>, G: Borrow<Tensor>, M: Borrow<Tensor>>(
    parameters: &[P],
    gradients: &[G],
    state: AdamWState<'_, M>,
    options: &AdamW,
) -> Result<(), Error> {
    let count = parameters.len();
    let check = |what, got| check_length("adamw_step", what, got, count);
    check("gradients", gradients.len())?;
    check("first moments", state.exp_avg.len())?;
    check("second moments", state.exp_avg_sq.len())?;
    let AdamW { learning_rate, beta1, beta2, eps, weight_decay } = *options;
    let hyper = [learning_rate, beta1, beta2, weight_decay, eps];
    let (written, gradients) = (ffi::addresses(parameters), ffi::addresses(gradients));
    let (first, second) = (ffi::addresses(state.exp_avg), ffi::addresses(state.exp_avg_sq));
    // SAFETY: four arrays of `count` live tensors and one of five numbers, as the shim expects.
    let outcome = unsafe {
        ffi::tweedie_adamw(
            written.as_ptr(),
            gradients.as_ptr(),
            first.as_ptr(),
            second.as_ptr(),
            count,
            state.step as f64,
            hyper.as_ptr(),
        )
    };
    ffi::check("adamw_step", outcome)?;
    count_write(parameters)?;
    count_write(state.exp_avg)?;
    count_write(state.exp_avg_sq)
}

/// Counts a write to every tensor, as libtorch's own operations do and its fused optimizer does not: what was made
/// of the tensor's values, such as a [`crate::PackedWeight`], is known by it to be old.
fn count_write<T: Borrow<Tensor>>(written: &[T]) -> Result<(), Error> {
    tch::no_grad(|| {
        written.iter().try_for_each(|tensor| {
            let tensor = tensor.borrow();
            // laid out as it is already: the values stay where and as they are
            let laid_out =
                tensor.shallow_clone().f_as_strided_(tensor.size(), tensor.stride(), None);
            laid_out.map(drop).map_err(|error| Error::Libtorch {
                operation: "count_write",
                message: error.to_string(),
            })
        })
    })
}

/// target += weight (end - target) for every pair, in place: an exponential moving average.
///
/// # Errors
/// If the lists differ in length or libtorch refuses.
pub fn lerp_<A: Borrow<Tensor>, B: Borrow<Tensor>>(
    targets: &[A],
    ends: &[B],
    weight: f64,
) -> Result<(), Error> {
    check_length("lerp_", "ends", ends.len(), targets.len())?;
    let (a, b) = (ffi::addresses(targets), ffi::addresses(ends));
    // SAFETY: two arrays of the same length of live tensors.
    let outcome = unsafe { ffi::tweedie_foreach_lerp(a.as_ptr(), b.as_ptr(), a.len(), weight) };
    ffi::check("lerp_", outcome)
}

/// Multiplies every tensor by `factor`, in place; undefined ones are left out.
///
/// # Errors
/// If libtorch refuses.
pub fn scale_<T: Borrow<Tensor>>(tensors: &[T], factor: f64) -> Result<(), Error> {
    let list = ffi::addresses(tensors);
    // SAFETY: an array of live tensors and its length.
    let outcome = unsafe { ffi::tweedie_foreach_scale(list.as_ptr(), list.len(), factor) };
    ffi::check("scale_", outcome)
}

/// The Euclidean norm of all elements of all tensors; undefined ones are left out.
///
/// Not finite if and only if some element is not (up to the range of f64).
///
/// # Errors
/// If libtorch refuses.
pub fn total_norm<T: Borrow<Tensor>>(tensors: &[T]) -> Result<f64, Error> {
    let list = ffi::addresses(tensors);
    let mut norm = 0.0;
    // SAFETY: an array of live tensors and its length; the call writes one number.
    let outcome = unsafe { ffi::tweedie_total_norm(list.as_ptr(), list.len(), &mut norm) };
    ffi::check("total_norm", outcome)?;
    Ok(norm)
}

/// The gradients of the parameters; undefined where backward never reached.
///
/// # Panics
/// If a parameter is an undefined tensor.
#[must_use]
pub fn gradients<T: Borrow<Tensor>>(parameters: &[T]) -> Vec<Tensor> {
    let gradient = |parameter: &T| {
        // SAFETY: the parameter lives through the call.
        ffi::expect(ffi::tensor("gradients", |out| unsafe {
            ffi::tweedie_gradient(parameter.borrow().as_ptr(), out)
        }))
    };
    parameters.iter().map(gradient).collect()
}

/// Sets every gradient to undefined, which frees it.
///
/// # Errors
/// If libtorch refuses.
pub fn clear_gradients<T: Borrow<Tensor>>(parameters: &[T]) -> Result<(), Error> {
    let list = ffi::addresses(parameters);
    // SAFETY: an array of live tensors and its length.
    let outcome = unsafe { ffi::tweedie_clear_gradients(list.as_ptr(), list.len()) };
    ffi::check("clear_gradients", outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::products::version;
    use tch::Kind;

    fn vector(values: &[f64]) -> Tensor {
        Tensor::from_slice(values).to_kind(Kind::Float)
    }

    fn values(tensor: &Tensor) -> Vec<f64> {
        Vec::try_from(&tensor.to_kind(Kind::Double)).unwrap()
    }

    #[test]
    fn adamw_follows_the_published_update() {
        let options = AdamW { learning_rate: 0.1, weight_decay: 0.2, ..AdamW::default() };
        let (p, m, v) = (vector(&[1.0, -2.0]), vector(&[0.0, 0.0]), vector(&[0.0, 0.0]));
        let (mut want, mut first, mut second) = ([1.0, -2.0], [0.0; 2], [0.0; 2]);
        for step in 1..=3 {
            let gradient = [0.5 * f64::from(step), -1.0];
            let (exp_avg, exp_avg_sq) = ([&m], [&v]);
            let state =
                AdamWState { exp_avg: &exp_avg, exp_avg_sq: &exp_avg_sq, step: step as u64 };
            adamw_step(&[&p], &[vector(&gradient)], state, &options).unwrap();
            for i in 0..2 {
                // Loshchilov & Hutter 2019, Alg. 2
                want[i] *= 1.0 - 0.1 * 0.2;
                first[i] = 0.9 * first[i] + 0.1 * gradient[i];
                second[i] = 0.999 * second[i] + 0.001 * gradient[i] * gradient[i];
                let mean: f64 = first[i] / (1.0 - 0.9f64.powi(step));
                let square: f64 = second[i] / (1.0 - 0.999f64.powi(step));
                want[i] -= 0.1 * mean / (square.sqrt() + 1e-8);
            }
        }
        for (got, want) in values(&p).iter().zip(want) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
        for (got, want) in values(&m).iter().chain(&values(&v)).zip([first, second].concat()) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
    }

    #[test]
    fn every_update_counts_as_a_write() {
        let make = || vector(&[1.0]).set_requires_grad(true);
        let (parameter, end, moments, squares) =
            (make(), make(), [vector(&[0.0])], [vector(&[0.0])]);
        let mut before = version(&parameter);
        let mut check_counted = |what: &str| {
            let now = version(&parameter);
            assert!(now > before, "{what}");
            before = now;
        };
        let state = AdamWState { exp_avg: &moments, exp_avg_sq: &squares, step: 1 };
        adamw_step(&[&parameter], &[vector(&[1.0])], state, &AdamW::default()).unwrap();
        check_counted("a step");
        assert!(parameter.requires_grad() && parameter.is_leaf());
        lerp_(&[&parameter], &[&end], 0.5).unwrap();
        check_counted("an average");
        scale_(&[&parameter], 0.5).unwrap();
        check_counted("a factor");
    }

    #[test]
    fn a_parameter_without_gradient_stays() {
        let parameters = [vector(&[1.0]), vector(&[1.0])];
        let moments = [vector(&[0.0]), vector(&[0.0])];
        let squares = [vector(&[0.0]), vector(&[0.0])];
        let grads = [Tensor::new(), vector(&[1.0])];
        let state = AdamWState { exp_avg: &moments, exp_avg_sq: &squares, step: 1 };
        adamw_step(&parameters, &grads, state, &AdamW::default()).unwrap();
        assert_eq!(values(&parameters[0]), [1.0]);
        assert!(values(&parameters[1])[0] < 1.0);
    }

    #[test]
    fn moments_that_lie_otherwise_in_memory_are_refused() {
        let make = || Tensor::ones([2, 3, 2, 2], (Kind::Float, tch::Device::Cpu));
        let parameter = [crate::to_format(&make(), crate::MemoryFormat::ChannelsLast)];
        let like = [parameter[0].zeros_like()];
        let other = [make()];
        let step = |moments: &[Tensor; 1]| {
            let state = AdamWState { exp_avg: moments, exp_avg_sq: &like, step: 1 };
            adamw_step(&parameter, &[parameter[0].ones_like()], state, &AdamW::default())
        };
        let error = step(&other).unwrap_err().to_string();
        assert!(error.contains("its first moment with"), "{error}");
        step(&like).unwrap();
    }

    #[test]
    fn lists_of_different_length_are_refused() {
        let one = [vector(&[1.0])];
        let none: [Tensor; 0] = [];
        let error = lerp_(&one, &none, 0.5).unwrap_err();
        assert_eq!(error.to_string(), "lerp_ got 0 ends for 1 parameters");
    }

    #[test]
    fn exceptions_come_back_as_errors() {
        let error = lerp_(&[vector(&[1.0, 2.0])], &[vector(&[1.0, 2.0, 3.0])], 0.5).unwrap_err();
        assert!(matches!(error, Error::Libtorch { operation: "lerp_", .. }), "{error}");
    }

    #[test]
    fn norms_scaling_and_gradients() {
        let x = vector(&[3.0]).set_requires_grad(true);
        let y = vector(&[4.0]).set_requires_grad(true);
        let unused = vector(&[9.0]).set_requires_grad(true);
        (x.square() * 0.5 + y.square() * 0.5).backward();
        let parameters = [&x, &y, &unused];
        let grads = gradients(&parameters);
        assert!((total_norm(&grads).unwrap() - 5.0).abs() < 1e-6);
        scale_(&grads, 0.5).unwrap();
        assert_eq!(values(&x.grad()), [1.5]);
        clear_gradients(&parameters).unwrap();
        assert!(gradients(&parameters).iter().all(|grad| !grad.defined()));
        assert!(total_norm(&[vector(&[f64::NAN])]).unwrap().is_nan());
        assert_eq!(total_norm(&[vector(&[f64::INFINITY])]).unwrap(), f64::INFINITY);
    }

    #[test]
    fn the_norm_of_huge_finite_values_is_finite() {
        let norm = total_norm(&[vector(&[3e30, 0.0]), vector(&[4e30])]).unwrap();
        assert!((norm / 5e30 - 1.0).abs() < 1e-6, "{norm}");
    }
}
