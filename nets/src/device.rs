//! Devices of networks: `cpu`, `cuda` or `cuda:N`.
//!
//! The program links only libtorch's CPU half, so that it runs where no CUDA is. The CUDA half
//! registers itself with the CPU half when it is loaded, which happens here on the first request.

use std::ffi::{CString, c_char, c_int, c_void};

use tch::{Cuda, Device};

use crate::NetsError;

const LIBRARY: &str = "libtorch_cuda.so";

/// The device of this name, made ready. `cuda` is `cuda:0`.
pub fn parse_device(name: &str) -> Result<Device, NetsError> {
    let index = match name {
        "cpu" => return Ok(Device::Cpu),
        "cuda" => Some(0),
        _ => name.strip_prefix("cuda:").and_then(|index| index.parse().ok()),
    };
    let Some(index) = index else {
        return Err(bad(format!("`{name}` is not a device; expected cpu, cuda or cuda:N, such as cuda:1")));
    };
    if !Cuda::is_available() {
        load()?;
    }
    let count = Cuda::device_count();
    if !Cuda::is_available() || count <= 0 {
        return Err(bad(format!(
            "`{name}` was asked for, but libtorch sees no CUDA device; check `nvidia-smi`, or use cpu"
        )));
    }
    if index >= count as usize {
        return Err(bad(format!("`{name}` was asked for, but there are {count} CUDA devices, from cuda:0")));
    }
    Ok(Device::Cuda(index))
}

/// Loads libtorch's CUDA half, from the library path or from beside the CPU half.
fn load() -> Result<(), NetsError> {
    let beside = std::fs::read_to_string("/proc/self/maps").ok().and_then(|maps| {
        let line = maps.lines().find(|line| line.ends_with("/libtorch_cpu.so"))?;
        Some(line[line.find('/')?..].replace("libtorch_cpu.so", LIBRARY))
    });
    if [Some(LIBRARY.to_owned()), beside].into_iter().flatten().any(|path| open(&path)) {
        return Ok(());
    }
    Err(bad(format!(
        "{LIBRARY} was not found: this libtorch is for CPUs only. Run `cargo xtask setup --cuda`, or put the lib folder of a CUDA \
         libtorch of the same version first on LD_LIBRARY_PATH, or use cpu"
    )))
}

fn open(path: &str) -> bool {
    unsafe extern "C" {
        fn dlopen(path: *const c_char, mode: c_int) -> *mut c_void;
    }
    const NOW_AND_GLOBAL: c_int = 0x102;
    let Ok(path) = CString::new(path) else { return false };
    // SAFETY: a library of the linked libtorch's own installation; its initialisers only register
    // CUDA's operators. The handle is never closed.
    !unsafe { dlopen(path.as_ptr(), NOW_AND_GLOBAL) }.is_null()
}

fn bad(problem: String) -> NetsError {
    NetsError::bad_config("device", problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_devices_are_refused() {
        assert_eq!(parse_device("cpu").unwrap(), Device::Cpu);
        for name in ["gpu", "cuda:", "cuda:x", "cuda:-1", ""] {
            assert!(parse_device(name).unwrap_err().to_string().contains("expected cpu, cuda or cuda:N"), "{name}");
        }
    }

    #[test]
    fn cuda_is_ready_or_the_message_says_what_to_do() {
        match parse_device("cuda") {
            Ok(device) => {
                let sum = tch::Tensor::ones([3], (tch::Kind::Float, device)).sum(None);
                assert_eq!(sum.double_value(&[]), 3.0);
            }
            Err(error) => assert!(error.to_string().contains("use cpu"), "{error}"),
        }
        assert!(parse_device("cuda:99").is_err());
    }
}
