//! Names of parameters in older checkpoints.

/// Old and new ends of the attention layers' module names; both are linear layers.
const RENAMED: [(&str, &str); 4] =
    [("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")];

/// The present name of a parameter: attention layers used to be `query`, `key`, `value` and
/// `proj_attn`.
pub(crate) fn present_name(name: &str) -> String {
    let renamed = || {
        let (module, leaf) = name.rsplit_once('.')?;
        let (parent, last) = module.rsplit_once('.')?;
        let (_, new) = RENAMED.iter().find(|(old, _)| *old == last)?;
        parent.contains("attentions.").then(|| format!("{parent}.{new}.{leaf}"))
    };
    renamed().unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::present_name;

    #[test]
    fn only_old_attention_names_change() {
        let check = |name: &str, want: &str| assert_eq!(present_name(name), want);
        check("mid_block.attentions.0.query.weight", "mid_block.attentions.0.to_q.weight");
        check("up_blocks.1.attentions.2.proj_attn.bias", "up_blocks.1.attentions.2.to_out.0.bias");
        check("up_blocks.1.attentions.2.to_k.bias", "up_blocks.1.attentions.2.to_k.bias");
        check("conv_in.weight", "conv_in.weight");
        check("key.weight", "key.weight");
    }
}
