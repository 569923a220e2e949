//! The parts that setup fetches: versions, wheels and the files used of them.

use std::path::Path;

use anyhow::Result;
use fs_err as fs;

/// The libtorch release that tch 0.24 in Cargo.toml is made for; change the two together.
pub(crate) const LIBTORCH: &str = "2.11.0";
/// The MuJoCo release that mujoco-rs 7.0.0 in Cargo.toml is made for; change the two together.
pub(crate) const MUJOCO: &str = "3.17.0";

/// The Python packages the tests compare with, and all that they need, each with its hashes.
pub(crate) const TEST_REQUIREMENTS: &str = include_str!("../requirements/test.txt");
/// Names by which the tests' packages are imported.
pub(crate) const TEST_MODULES: &[&str] = &[
    "gymnasium",
    "mujoco",
    "tensorboard",
    "minari",
    "h5py",
    "cvxpy",
    "clarabel",
    "rliable",
    "onnx",
    "onnxruntime",
    "trackio",
    "torch",
    "stable_baselines3",
    "sb3_contrib",
    "safetensors",
];

/// The builder of the Python wheel.
pub(crate) const WHEEL_REQUIREMENTS: &str = include_str!("../requirements/wheel.txt");

/// The libraries `cargo xtask bench` races, on the same libtorch, and all that they need.
pub(crate) const PEER_REQUIREMENTS: &str = include_str!("../requirements/peers.txt");
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
    /// Wheels that hold the files.
    pub(crate) wheels: &'static [&'static str],
    /// Requirements for pip, with hashes, in which those wheels are.
    pub(crate) requirements: &'static str,
    /// True if pip also fetches the wheels' dependencies: then all of `requirements` is fetched.
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

/// The wheels of every part, without what they depend on.
const PART_REQUIREMENTS: &str = include_str!("../requirements/parts.txt");

/// The lines of a file of requirements that belong to one wheel, `name==version`: its own and its
/// hashes'.
pub(crate) fn requirement<'a>(requirements: &'a str, wheel: &str) -> Option<&'a str> {
    let starts = |line: &str| line.strip_prefix(wheel).is_some_and(|rest| rest.starts_with([' ', ';']));
    let mut offset = 0;
    let start = requirements.split_inclusive('\n').find_map(|line| {
        let at = offset;
        offset += line.len();
        starts(line).then_some(at)
    })?;
    let block = &requirements[start..];
    let end = block.match_indices('\n').find(|(at, _)| !block[at + 1..].starts_with(' ')).map(|(at, _)| at);
    Some(&block[..end.unwrap_or(block.len())])
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
    requirements: PART_REQUIREMENTS,
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
    requirements: include_str!("../requirements/cuda.txt"),
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
    requirements: PART_REQUIREMENTS,
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
    requirements: PART_REQUIREMENTS,
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
        for (requirements, wheel) in [
            (PEER_REQUIREMENTS, LIBTORCH_CPU.wheels[0]),
            (TEST_REQUIREMENTS, LIBMUJOCO.wheels[0]),
            (TEST_REQUIREMENTS, ASSETS.wheels[0]),
        ] {
            assert!(requirement(requirements, wheel).is_some(), "{wheel}");
        }
    }

    /// Each requirement has a version and a hash, and each line that was asked for is among them.
    #[test]
    fn every_requirement_is_pinned_by_hash() {
        for name in ["parts", "cuda", "test", "peers"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("requirements");
            let resolved = fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
            let wheels = resolved.lines().filter(|line| !line.starts_with(' '));
            for wheel in wheels.map(|line| line.split([' ', ';']).next().unwrap()) {
                let block = requirement(&resolved, wheel).unwrap();
                assert!(wheel.contains("==") && block.contains("--hash=sha256:"), "{name}: {wheel}");
                assert_eq!(block.lines().filter(|line| !line.starts_with(' ')).count(), 1, "{name}: {block}");
            }
            let asked = fs::read_to_string(folder.join(format!("{name}.in"))).unwrap();
            for wheel in asked.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
                assert!(requirement(&resolved, wheel).is_some(), "{name}.txt lacks {wheel}: resolve it again");
            }
        }
        for part in [LIBTORCH_CPU, LIBTORCH_CUDA, LIBMUJOCO, ASSETS] {
            part.wheels.iter().for_each(|wheel| assert!(requirement(part.requirements, wheel).is_some(), "{wheel}"));
        }
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
