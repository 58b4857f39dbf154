//! One training step as a recipe takes it: loss, gradient, clipping, `AdamW`, average.

use tch::{Reduction, Tensor};
use tweedie_torch_ext::{
    AdamW, AdamWState, adamw_step, clear_gradients, gradients, lerp_, scale_, total_norm,
};
use tweedie_unet::UNet;

pub(crate) struct Training<'a> {
    unet: &'a UNet,
    first: Vec<Tensor>,
    second: Vec<Tensor>,
    average: Vec<Tensor>,
    step: u64,
}

impl<'a> Training<'a> {
    pub(crate) fn new(unet: &'a UNet) -> Self {
        let like = |make: fn(&Tensor) -> Tensor| {
            unet.parameters().iter().map(|(_, p)| make(&p.detach())).collect::<Vec<_>>()
        };
        let (first, second) = (like(Tensor::zeros_like), like(Tensor::zeros_like));
        let average = like(Tensor::copy);
        unet.set_trainable(true);
        Self { unet, first, second, average, step: 0 }
    }

    /// The loss is the squared error of the noise, over the channels that predict it.
    pub(crate) fn step(&mut self, x: &Tensor, times: &Tensor, labels: Option<&Tensor>) {
        self.step += 1;
        let noise = x.randn_like();
        let output = self.unet.forward(&(x + &noise), times, labels, true).expect("forward");
        let loss = output.narrow(1, 0, x.size()[1]).mse_loss(&noise, Reduction::Mean);
        drop(output);
        let parameters = self.unet.parameters().tensors();
        clear_gradients(&parameters).expect("clear");
        loss.backward();
        let grads = gradients(&parameters);
        let norm = total_norm(&grads).expect("norm");
        if norm > 1.0 {
            scale_(&grads, 1.0 / (norm + 1e-6)).expect("scale");
        }
        let state = AdamWState { exp_avg: &self.first, exp_avg_sq: &self.second, step: self.step };
        let options = AdamW { learning_rate: 1e-4, ..AdamW::default() };
        adamw_step(&parameters, &grads, state, &options).expect("adamw");
        lerp_(&self.average, &parameters, 1e-4).expect("lerp");
    }
}
