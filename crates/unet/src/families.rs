//! The families of networks, each in a file that says what it is: its configuration's words, the names
//! of its parameters, and the order of its steps.

pub(crate) mod adm;
pub(crate) mod diffusers;
mod groups;
pub(crate) mod ncsnv2;
pub(crate) mod nonlinearity;
pub(crate) mod score_sde;
