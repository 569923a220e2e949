//! The parts that setup fetches: versions, wheels and the files used of them.

use std::path::Path;

use anyhow::Result;
use fs_err as fs;

/// The libtorch release that tch 0.24 in Cargo.toml is made for; change the two together.
pub(crate) const LIBTORCH: &str = "2.11.0";
/// The MuJoCo release that mujoco-rs 7.0.0 in Cargo.toml is made for; change the two together.
pub(crate) const MUJOCO: &str = "3.17.0";

/// The Python packages the tests compare with.
pub(crate) const TEST_PACKAGES: &[&str] = &[
    "gymnasium==1.4.0",
    "mujoco==3.17.0",
    "tensorboard==2.21.0",
    "minari==0.5.4",
    "h5py==3.16.0",
    "cvxpy==1.9.3",
    "clarabel==0.11.1",
    "rliable==1.2.0",
    // rliable's arch 7.2 does not import with pandas 3.
    "pandas==2.3.3",
];
/// Names by which the tests' packages are imported.
pub(crate) const TEST_MODULES: &[&str] =
    &["gymnasium", "mujoco", "tensorboard", "minari", "h5py", "cvxpy", "clarabel", "rliable"];

/// The libraries `cargo xtask bench` races, on the same libtorch.
pub(crate) const PEER_PACKAGES: &[&str] =
    &["torch==2.11.0", "stable-baselines3==2.9.2", "sbx-rl==0.28.0", "gymnasium==1.4.0", "mujoco==3.17.0"];
/// Names by which the benchmarks' packages are imported.
pub(crate) const PEER_MODULES: &[&str] = &["torch", "stable_baselines3", "sbx", "gymnasium", "mujoco"];

/// One folder of the cache, unpacked from wheels of the Python package index.
pub(crate) struct Part {
    /// Its name in messages.
    pub(crate) name: &'static str,
    /// Its folder in the cache.
    pub(crate) folder: &'static str,
    /// Its name in the clone's `.deps/`.
    pub(crate) link: &'static str,
    /// The link's target inside the folder.
    pub(crate) entry: &'static str,
    /// The environment variable for the user's own installation.
    pub(crate) variable: &'static str,
    /// The variable's target inside that installation, from `.deps/<link>`.
    pub(crate) variable_entry: &'static str,
    /// True if the wheels hold machine code, for x86-64 Linux alone.
    pub(crate) native: bool,
    /// Requirements for pip.
    pub(crate) wheels: &'static [&'static str],
    /// True if pip also fetches the wheels' dependencies.
    pub(crate) dependencies: bool,
    /// Download and unpacked files together, in MB.
    pub(crate) disk_mb: u64,
    /// Prefixes of the files taken out of the wheels.
    pub(crate) take: &'static [&'static str],
    /// Arranges the unpacked files (first path) in the folder (second path).
    pub(crate) arrange: fn(&Path, &Path) -> Result<()>,
    /// Files that must exist in the end, with their least size in bytes.
    pub(crate) expect: &'static [(&'static str, u64)],
}

/// libtorch from the `torch` wheel. That wheel is a CUDA build whose CPU half needs two small CUDA
/// libraries to load, in the versions its metadata asks for.
pub(crate) const LIBTORCH_CPU: Part = Part {
    name: "libtorch 2.11.0 (CPU)",
    folder: "libtorch-2.11.0-cpu",
    link: "libtorch",
    entry: "",
    variable: "LIBTORCH",
    variable_entry: "",
    native: true,
    wheels: &["torch==2.11.0", "nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85"],
    dependencies: false,
    disk_mb: 1_300,
    take: &[
        "torch/include/",
        "torch/lib/libtorch_cpu.so",
        "torch/lib/libc10.so",
        "torch/lib/libgomp.so.1",
        "nvidia/cu13/lib/libcudart.so.13",
        "nvidia/cu13/lib/libcupti.so.13",
    ],
    arrange: arrange_libtorch_cpu,
    expect: &[
        ("lib/libtorch_cpu.so", 100_000_000),
        ("lib/libc10.so", 500_000),
        ("lib/libgomp.so.1", 100_000),
        ("lib/libcudart.so.13", 100_000),
        ("lib/libcupti.so.13", 1_000_000),
        ("lib/libtorch.so", 20),
        ("include/torch/csrc/api/include/torch/torch.h", 50),
        ("build-version", 6),
    ],
};

/// libtorch with its GPU kernels and the CUDA libraries they load, in the layout that their run
/// paths expect.
pub(crate) const LIBTORCH_CUDA: Part = Part {
    name: "libtorch 2.11.0 (CUDA)",
    folder: "libtorch-2.11.0-cuda",
    entry: "torch",
    wheels: &["torch==2.11.0"],
    dependencies: true,
    disk_mb: 8_000,
    take: &["torch/include/", "torch/lib/", "nvidia/"],
    arrange: arrange_libtorch_cuda,
    expect: &[
        ("torch/lib/libtorch_cpu.so", 100_000_000),
        ("torch/lib/libtorch_cuda.so", 100_000_000),
        ("torch/lib/libc10_cuda.so", 100_000),
        ("torch/lib/libtorch.so", 20),
        ("torch/include/torch/csrc/api/include/torch/torch.h", 50),
        ("torch/build-version", 6),
        ("nvidia/cu13/lib/libcudart.so.13", 100_000),
    ],
    ..LIBTORCH_CPU
};

/// libmujoco from the `mujoco` wheel.
pub(crate) const LIBMUJOCO: Part = Part {
    name: "MuJoCo 3.17.0",
    folder: "mujoco-3.17.0",
    link: "mujoco",
    entry: "",
    variable: "MUJOCO_DYNAMIC_LINK_DIR",
    variable_entry: "lib",
    native: true,
    wheels: &["mujoco==3.17.0"],
    dependencies: false,
    disk_mb: 50,
    take: &["mujoco/libmujoco.so.3.17.0"],
    arrange: arrange_mujoco,
    expect: &[("lib/libmujoco.so.3.17.0", 1_000_000), ("lib/libmujoco.so", 1_000_000)],
};

/// The MuJoCo models of Gymnasium's tasks.
pub(crate) const ASSETS: Part = Part {
    name: "task models of Gymnasium 1.4.0",
    folder: "gymnasium-1.4.0",
    link: "assets",
    entry: "assets",
    variable: "LIPRL_MUJOCO_ASSETS",
    variable_entry: "",
    native: false,
    wheels: &["gymnasium==1.4.0"],
    dependencies: false,
    disk_mb: 10,
    take: &["gymnasium/envs/mujoco/assets/"],
    arrange: arrange_assets,
    expect: &[("assets/hopper.xml", 500), ("assets/humanoid.xml", 500), ("assets/pusher_v5.xml", 500)],
};

fn arrange_libtorch_cpu(unpacked: &Path, folder: &Path) -> Result<()> {
    fs::rename(unpacked.join("torch/include"), folder.join("include"))?;
    fs::rename(unpacked.join("torch/lib"), folder.join("lib"))?;
    for library in ["libcudart.so.13", "libcupti.so.13"] {
        fs::rename(unpacked.join("nvidia/cu13/lib").join(library), folder.join("lib").join(library))?;
    }
    stand_in_for_libtorch(folder)
}

fn arrange_libtorch_cuda(unpacked: &Path, folder: &Path) -> Result<()> {
    fs::rename(unpacked.join("torch"), folder.join("torch"))?;
    fs::rename(unpacked.join("nvidia"), folder.join("nvidia"))?;
    stand_in_for_libtorch(&folder.join("torch"))
}

/// The linker is asked for `libtorch`, and the wheel's own would tie every program to all of CUDA.
/// A linker script of that name ties it to the CPU half only; the GPU half is loaded at run time
/// when a GPU is asked for.
fn stand_in_for_libtorch(torch: &Path) -> Result<()> {
    fs::write(torch.join("lib/libtorch.so"), "INPUT ( libtorch_cpu.so )\n")?;
    fs::write(torch.join("build-version"), format!("{LIBTORCH}\n"))?;
    Ok(())
}

fn arrange_mujoco(unpacked: &Path, folder: &Path) -> Result<()> {
    let library = format!("libmujoco.so.{MUJOCO}");
    fs::create_dir(folder.join("lib"))?;
    fs::rename(unpacked.join("mujoco").join(&library), folder.join("lib").join(&library))?;
    fs::os::unix::fs::symlink(&library, folder.join("lib/libmujoco.so"))?;
    Ok(())
}

fn arrange_assets(unpacked: &Path, folder: &Path) -> Result<()> {
    fs::rename(unpacked.join("gymnasium/envs/mujoco/assets"), folder.join("assets"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The version after `name` and whatever follows it up to the first digit, in the workspace's
    /// Cargo.toml.
    fn cargo_pin(name: &str) -> String {
        let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml")).unwrap();
        let line = manifest.lines().find(|line| line.starts_with(&format!("{name} ="))).unwrap();
        line.split('"').nth(1).unwrap().trim_start_matches('=').to_owned()
    }

    #[test]
    fn every_mention_of_a_version_is_the_same() {
        for part in [LIBTORCH_CPU, LIBTORCH_CUDA] {
            assert!(part.wheels.contains(&format!("torch=={LIBTORCH}").as_str()), "{}", part.name);
            assert!(part.folder.contains(LIBTORCH) && part.name.contains(LIBTORCH));
        }
        assert_eq!(LIBMUJOCO.wheels, [format!("mujoco=={MUJOCO}")]);
        assert!(LIBMUJOCO.folder.ends_with(MUJOCO) && LIBMUJOCO.take[0].ends_with(MUJOCO));
        assert_eq!(ASSETS.wheels, [ASSETS.folder.replace("-", "==")]);
        assert!(PEER_PACKAGES.contains(&LIBTORCH_CPU.wheels[0]));
        assert!(TEST_PACKAGES.contains(&LIBMUJOCO.wheels[0]) && TEST_PACKAGES.contains(&ASSETS.wheels[0]));
    }

    /// torch-sys states which libtorch it is for in its build script; mujoco-rs in its locked
    /// version.
    #[test]
    fn versions_fit_the_crates() {
        assert_eq!(cargo_pin("tch"), "0.24.0");
        assert_eq!(cargo_pin("mujoco-rs"), "7.0.0");
        let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock")).unwrap();
        assert!(lock.contains(&format!("version = \"7.0.0+mj-{MUJOCO}\"")));
    }
}
