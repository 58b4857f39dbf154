//! Writes the folder of libtorch into the binary, so that it runs without environment variables.

fn main() {
    println!("cargo::rerun-if-env-changed=DEP_TWEEDIE_TORCH_EXT_LIBTORCH_LIB");
    if let Ok(folder) = std::env::var("DEP_TWEEDIE_TORCH_EXT_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
