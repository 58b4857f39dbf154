//! What a measurement makes of an image: `y = A x`.

use super::region::Known;
use crate::run::Run;
use anyhow::Result;
use tch::{Device, Tensor};
use tweedie_guidance::{GuidanceError, LinearOperator, Mask, Measurement, Separable};

/// A linear map from the states of a model to measurements.
pub(crate) struct Degradation {
    map: Map,
    /// 1 for the values of a measurement `[1, c, h, w]` that are measured, 0 for the others; `None` when all
    /// are.
    measured: Option<Tensor>,
    /// What it is, for reports.
    pub(crate) words: String,
}

enum Map {
    /// Pixels kept or not, in pictures of any size.
    Mask,
    /// Products of matrices.
    Linear(Box<Separable>),
    /// The same of which each pixel follows, were it not for noise.
    Invertible(Box<Separable>),
}

impl Degradation {
    /// A mask of the images of a model; the border that its training added is unknown.
    pub(crate) fn mask(run: &Run, known: &Known) -> Self {
        let [channels, height, width] = run.unpadded_shape();
        let [_, outer_height, outer_width] = run.shape();
        let (below, right) = (outer_height - height, outer_width - width);
        let border = [right / 2, right - right / 2, below / 2, below - below / 2];
        let border = border.map(|side| side as i64);
        let inner = of_pixels(&known.pixels, [channels, height, width]);
        let measured = inner.constant_pad_nd(border).to_device(run.device());
        Self { map: Map::Mask, measured: Some(measured), words: known.words.clone() }
    }

    /// A linear map of the images of a model, cut out of the border that its training added; `known` are the
    /// pixels of its result that are measured, all if none is given.
    ///
    /// # Errors
    /// When the shapes do not fit, or there are too many pixels for a mask in a product.
    pub(crate) fn linear(
        run: &Run,
        map: Separable,
        known: Option<&Known>,
        words: String,
    ) -> Result<Self, GuidanceError> {
        let invertible = map.knows_every_value() && known.is_none();
        let mut map =
            if run.shape() == run.unpadded_shape() { map } else { map.after(&cut(run)?)? };
        let mut measured = None;
        if let (Some(known), Some(shape)) = (known, shape_of(&map)) {
            map = Separable::mask(shape, &known.pixels)?.after(&map)?;
            measured = Some(of_pixels(&known.pixels, shape).to_device(run.device()));
        }
        let map = Box::new(map);
        let map = if invertible { Map::Invertible(map) } else { Map::Linear(map) };
        Ok(Self { map, measured, words })
    }

    /// Channels, height and width of a measurement.
    pub(crate) fn shape(&self, run: &Run) -> [usize; 3] {
        match &self.map {
            Map::Mask => run.unpadded_shape(),
            Map::Linear(map) | Map::Invertible(map) => {
                shape_of(map).unwrap_or_else(|| run.unpadded_shape())
            }
        }
    }

    /// Number of values that are measured.
    pub(crate) fn values(&self, run: &Run) -> usize {
        match &self.measured {
            Some(measured) => measured.sum(tch::Kind::Double).double_value(&[]) as usize,
            None => self.shape(run).iter().product(),
        }
    }

    /// Where the pixels of an image themselves are measured, `[1, c, h, w]` on the CPU; `None` for a mixture.
    pub(crate) fn known_pixels(&self, run: &Run) -> Option<Tensor> {
        let measured = self.measured.as_ref()?;
        matches!(self.map, Map::Mask).then(|| run.without_padding(&measured.to_device(Device::Cpu)))
    }

    /// What is measured of states `[n, c, h, w]`, without noise.
    pub(crate) fn apply(&self, states: &Tensor) -> Tensor {
        match &self.map {
            Map::Mask => self.only_measured(states),
            Map::Linear(map) | Map::Invertible(map) => LinearOperator::apply(&**map, states),
        }
    }

    /// Measurements of images with values from -1 to 1 as those of the same images in the range of the model's
    /// data: `A` of a shifted image is shifted by `A` of the shift.
    pub(crate) fn in_range_of(&self, run: &Run, y: &Tensor) -> Tensor {
        let (scale, shift) = self.scale_and_shift(run);
        y * scale + shift.to_device(y.device())
    }

    /// The other way round.
    pub(crate) fn in_symmetric_range(&self, run: &Run, y: &Tensor) -> Tensor {
        let (scale, shift) = self.scale_and_shift(run);
        (y - shift.to_device(y.device())) / scale
    }

    /// How the range of the model's data differs from -1 to 1: its scale, and the measurement of its middle.
    fn scale_and_shift(&self, run: &Run) -> (f64, Tensor) {
        let (low, high) = run.data_range().ends();
        let [c, h, w] = run.shape().map(|side| side as i64);
        let middle =
            Tensor::full([1, c, h, w], 0.5 * (low + high), (tch::Kind::Float, run.device()));
        (0.5 * (high - low), self.apply(&middle))
    }

    /// A measurement with 0 for what is not measured.
    pub(crate) fn only_measured(&self, y: &Tensor) -> Tensor {
        self.measured.as_ref().map_or_else(|| y.shallow_clone(), |measured| y * measured)
    }

    /// The measurement `y` of a batch, off by noise of standard deviation `deviation`.
    ///
    /// # Errors
    /// When it knows nothing or everything, or the deviation is out of range.
    pub(crate) fn measurement(
        &self,
        y: &Tensor,
        deviation: f64,
    ) -> Result<Measurement<Tensor>, GuidanceError> {
        match (&self.map, &self.measured) {
            // the border that training added may be unknown, the image is not
            (Map::Invertible(_), _) if deviation == 0.0 => {
                Err(GuidanceError::EverythingKnown { values: y.numel() })
            }
            (Map::Linear(map) | Map::Invertible(map), _) => {
                Measurement::new(Separable::clone(map), y, deviation)
            }
            (Map::Mask, Some(measured)) => {
                Measurement::new(Mask::new(measured.expand_as(y).contiguous())?, y, deviation)
            }
            (Map::Mask, None) => Err(GuidanceError::EverythingKnown { values: y.numel() }),
        }
    }

    /// Measurements as pictures `[n, c, h, w]` of the size of the images on the CPU, values from -1 to 1: small
    /// ones enlarged, grey ones in as many channels, mid-grey where nothing is measured; what cannot be
    /// shown so as the smallest image that agrees with it.
    ///
    /// # Errors
    /// As [`measurement`](Self::measurement).
    pub(crate) fn picture(&self, run: &Run, y: &Tensor) -> Result<Tensor, GuidanceError> {
        let [channels, height, width] = run.unpadded_shape();
        let shown = self.only_measured(&self.in_symmetric_range(run, y)).to_device(Device::Cpu);
        if matches!(self.map, Map::Mask) {
            return Ok(run.without_padding(&shown));
        }
        let [of_y, high, wide] = self.shape(run);
        let fits = height.is_multiple_of(high) && width.is_multiple_of(wide);
        if !fits || (of_y != channels && of_y != 1) {
            let smallest = self.measurement(y, 0.0)?.pseudo_inverse();
            return Ok(run.as_images(&smallest.to_device(Device::Cpu)));
        }
        let [down, right] = [height / high, width / wide].map(|scale| scale as i64);
        let enlarged = shown
            .repeat_interleave_self_int(down, 2, None)
            .repeat_interleave_self_int(right, 3, None);
        Ok(enlarged.expand([y.size()[0], channels as i64, -1, -1], false).contiguous())
    }
}

/// 1 and 0 for pixels, the same in every channel: `[1, c, h, w]`.
fn of_pixels(known: &[bool], [channels, height, width]: [usize; 3]) -> Tensor {
    let values: Vec<f32> = known.iter().map(|known| f32::from(u8::from(*known))).collect();
    let [c, h, w] = [channels, height, width].map(|side| side as i64);
    Tensor::from_slice(&values).view([1, 1, h, w]).expand([1, c, h, w], false).contiguous()
}

/// Channels, height and width of a measurement; maps of pictures give pictures.
fn shape_of(map: &Separable) -> Option<[usize; 3]> {
    map.shape_of_measurement().try_into().ok()
}

/// The images within the border that training added.
fn cut(run: &Run) -> Result<Separable, GuidanceError> {
    let matrices: Vec<Vec<Vec<f64>>> = run
        .unpadded_shape()
        .into_iter()
        .zip(run.shape())
        .map(|(inner, outer)| {
            let first = (outer - inner) / 2;
            let row =
                |i: usize| (0..outer).map(|j| if j == first + i { 1.0 } else { 0.0 }).collect();
            (0..inner).map(row).collect()
        })
        .collect();
    Separable::new(&matrices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, IxDyn};
    use tch::Kind;
    use tweedie_guidance::ColourBasis;
    use tweedie_schedules::NoiseLevel;
    use tweedie_score::{Draw, Elementwise, Replay};

    const SHAPE: [usize; 3] = [3, 4, 6];
    const BATCH: usize = 2;

    fn numbers(shape: &[usize], pace: f64) -> Vec<f64> {
        (0..shape.iter().product()).map(|k| (k as f64 * pace).sin()).collect()
    }

    fn array(shape: &[usize], pace: f64) -> ArrayD<f64> {
        ArrayD::from_shape_vec(IxDyn(shape), numbers(shape, pace)).unwrap()
    }

    fn tensor(shape: &[usize], pace: f64) -> Tensor {
        let sides: Vec<i64> = shape.iter().map(|side| *side as i64).collect();
        Tensor::from_slice(&numbers(shape, pace)).view(sides.as_slice())
    }

    /// What an operator, and a measurement by it, make of a state.
    fn results<S: Elementwise + Draw, O: LinearOperator<S> + 'static>(
        make: &dyn Fn() -> O,
        state: &dyn Fn(&[usize], f64) -> S,
        values: &dyn Fn(&S) -> Vec<f64>,
    ) -> Vec<Vec<f64>> {
        let x = state(&[&[BATCH][..], &SHAPE].concat(), 0.7);
        let operator = make();
        let y = operator.apply(&x);
        let mut found = vec![values(&y)];
        found.push(values(&operator.adjoint(&y)));
        found.push(values(&operator.decouple(&x)));
        found.push(values(&operator.couple(&x)));
        found.push(values(&operator.seen_in(&y).unwrap()));
        found.push(values(&operator.spectrum(&x).seen));
        let measured = Measurement::new(make(), &y, 0.1).unwrap();
        let other = state(&x.shape(), 1.3);
        let level = NoiseLevel { alpha: 0.8, sigma: 0.6 };
        let mut noise = Replay::new([numbers(&x.shape(), 2.1)]);
        found.push(values(&measured.impose(&other, level, &mut noise).unwrap()));
        found.push(values(&measured.project(&other, 0.3)));
        found.push(measured.residual_each(&other));
        found
    }

    /// Both backends are asked the same, in double precision.
    fn check<T, A>(on_tensors: &dyn Fn() -> T, on_arrays: &dyn Fn() -> A)
    where
        T: LinearOperator<Tensor> + 'static,
        A: LinearOperator<ArrayD<f64>> + 'static,
    {
        let name = format!("{:?}", on_arrays());
        let of_tensor = |x: &Tensor| {
            Vec::try_from(x.to_kind(Kind::Double).contiguous().flatten(0, -1)).unwrap()
        };
        let tensors = results(on_tensors, &tensor, &of_tensor);
        let arrays = results(on_arrays, &array, &|x: &ArrayD<f64>| x.iter().copied().collect());
        for (what, (got, expected)) in tensors.iter().zip(&arrays).enumerate() {
            assert_eq!(got.len(), expected.len(), "{name}");
            let off = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off < 1e-12, "result {what} of {name} is off by {off}");
        }
    }

    #[test]
    fn operators_on_tensors_are_those_on_arrays() {
        let known: Vec<bool> = (0..24).map(|place| place % 3 != 1).collect();
        let blur = Separable::blur(SHAPE, 0.8).unwrap();
        let small = Separable::box_downsampling(SHAPE, 2).unwrap();
        let cubic = Separable::bicubic_downsampling(SHAPE, 2).unwrap();
        let product = small.after(&blur).unwrap();
        let masked = Separable::mask(SHAPE, &known).unwrap().after(&blur).unwrap();
        for operator in [small, cubic, product, masked, Separable::grey(SHAPE)] {
            check(&|| operator.clone(), &|| operator.clone());
        }
        check(&ColourBasis::grey, &ColourBasis::grey);
        let all: Vec<f64> = (0..BATCH * 72).map(|place| (place % 5).min(1) as f64).collect();
        let shape = [&[BATCH][..], &SHAPE].concat();
        let of_array = || ArrayD::from_shape_vec(IxDyn(&shape), all.clone()).unwrap();
        let of_tensor = || Tensor::from_slice(&all).view([2, 3, 4, 6]);
        check(&|| Mask::new(of_tensor()).unwrap(), &|| Mask::new(of_array()).unwrap());
    }
}
