//! The running average in a training state of `score_sde`.
//!
//! It is a list of tensors without names, one for each parameter that is trained, in the order in
//! which the module lists its parameters. The state of the module lists the same parameters in the
//! same order, with names, and among them what is not trained; leaving that out pairs the two.

use std::collections::BTreeMap;

use crate::{CheckpointError, StoredTensor, TensorFile, Value};

/// The state of the module with the average in place of what is trained.
pub(super) fn averaged(model: Value<'_>, shadow: Value<'_>) -> Result<TensorFile, CheckpointError> {
    let mut tensors = owned(&model.tensors()?);
    let trained = trained_names(model);
    let shadow = shadow.tensor_list()?;
    if trained.len() != shadow.len() {
        return Err(CheckpointError::AverageCount {
            path: model.path().to_path_buf(),
            parameters: trained.len(),
            averages: shadow.len(),
        });
    }
    for (index, (name, average)) in trained.into_iter().zip(shadow).enumerate() {
        let shape = tensors.get(&name).map(StoredTensor::shape).unwrap_or_default();
        if shape != average.shape() {
            return Err(CheckpointError::AverageShape {
                path: model.path().to_path_buf(),
                index,
                name,
                parameter: shape.to_vec(),
                average: average.shape().to_vec(),
            });
        }
        tensors.insert(name, average.clone());
    }
    Ok(TensorFile::from_tensors(model.path(), tensors))
}

fn owned(file: &TensorFile) -> BTreeMap<String, StoredTensor> {
    file.iter().map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect()
}

/// Names of the trained parameters, in the state's own order.
fn trained_names(model: Value<'_>) -> Vec<String> {
    let names = model.entries().into_iter().flatten().filter_map(|(key, _)| key.as_str());
    names.filter(|name| is_trained(name)).map(str::to_owned).collect()
}

/// Whether a tensor of this name is trained: no buffer, and not the fixed frequencies of a Fourier
/// embedding, which are the `W` of a module itself and not of a layer in it.
fn is_trained(name: &str) -> bool {
    const BUFFERS: [&str; 4] = ["sigmas", "running_mean", "running_var", "num_batches_tracked"];
    let leaf = name.rsplit('.').next().unwrap_or(name);
    let inside = name.strip_prefix("module.").unwrap_or(name);
    let depth = inside.split('.').count();
    let frequencies = leaf == "W" && inside.starts_with("all_modules.") && depth == 3;
    !BUFFERS.contains(&leaf) && !frequencies
}

/// The same tensors without the prefix that `DataParallel` puts before every name.
pub(super) fn without_prefix(file: TensorFile) -> TensorFile {
    const PREFIX: &str = "module.";
    if file.is_empty() || !file.names().all(|name| name.starts_with(PREFIX)) {
        return file;
    }
    let tensors =
        file.iter().map(|(name, tensor)| (name[PREFIX.len()..].to_owned(), tensor.clone()));
    TensorFile::from_tensors(file.path(), tensors.collect())
}

#[cfg(test)]
mod tests {
    use super::is_trained;

    #[test]
    fn buffers_and_fixed_frequencies_are_told_from_what_is_trained() {
        assert!(!is_trained("module.sigmas"));
        assert!(!is_trained("module.all_modules.0.W"));
        assert!(!is_trained("all_modules.0.W"));
        assert!(is_trained("module.all_modules.12.NIN_0.W"));
        assert!(is_trained("all_modules.12.NIN_0.b"));
        assert!(is_trained("module.all_modules.3.weight"));
        assert!(!is_trained("module.1.running_mean"));
    }
}
