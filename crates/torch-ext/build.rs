//! Compiles the C++ shim against libtorch's headers and passes on where libtorch lies.

use std::path::PathBuf;

const SOURCES: [&str; 8] = [
    "cpp/attention.cpp",
    "cpp/norm.cpp",
    "cpp/norm_kernels.cpp",
    "cpp/optimizer.cpp",
    "cpp/products.cpp",
    "cpp/recompute.cpp",
    "cpp/runtime.cpp",
    "cpp/tensors.cpp",
];

fn main() {
    println!("cargo::rerun-if-changed=cpp");
    let lib = libtorch_lib();
    let include = lib.parent().expect("libtorch's lib folder has a parent").join("include");
    cc::Build::new()
        .cpp(true)
        .pic(true)
        .opt_level(3)
        .warnings(false)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .flag("-std=c++17")
        .flag("-D_GLIBCXX_USE_CXX11_ABI=1")
        .flag("-fno-math-errno")
        .flag("-fno-trapping-math")
        .flag_if_supported("-fopenmp")
        .files(SOURCES)
        .compile("tweedie_torch_ext");
    println!("cargo::rustc-link-search=native={}", lib.display());
    for library in ["torch_cpu", "c10"] {
        println!("cargo::rustc-link-lib={library}");
    }
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    println!("cargo::metadata=libtorch_lib={}", lib.display());
}

/// The folder with `libtorch_cpu.so`: the one torch-sys links, else the one `LIBTORCH` names.
fn libtorch_lib() -> PathBuf {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    variable("DEP_TCH_LIBTORCH_LIB")
        .or_else(|| variable("LIBTORCH").map(|root| root.join("lib")))
        .expect("libtorch is not known: run `cargo xtask env` and set what it prints")
}
