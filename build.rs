//! Lets this package's binaries, tests and benches find libtorch and libmujoco at run time without a library path.
fn main() {
    println!("cargo:rerun-if-env-changed=MUJOCO_DYNAMIC_LINK_DIR");
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    // The program installed from a wheel finds both in the packages of the Python beside it, before those it was
    // built with.
    for (python, packages) in (10..=15).flat_map(|minor| [(minor, "site-packages"), (minor, "dist-packages")]) {
        for folder in ["torch/lib", "mujoco"] {
            println!("cargo:rustc-link-arg-bins=-Wl,-rpath,$ORIGIN/../lib/python3.{python}/{packages}/{folder}");
        }
    }
    if let Ok(dir) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        // `--no-as-needed` keeps libtorch (and with it a CUDA build's kernels) although no symbol is taken from it directly.
        println!("cargo:rustc-link-arg=-Wl,-rpath,{dir}");
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo:rustc-link-arg=-ltorch");
    }
    if let Ok(dir) = std::env::var("MUJOCO_DYNAMIC_LINK_DIR") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{dir}");
    }
}
