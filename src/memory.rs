//! Memory that a config needs against the memory of this machine.

use std::fmt;
use std::path::Path;

use fs_err as fs;
use liprl_agents::{MemoryPart, MemorySizes};

use crate::config::Config;
use crate::task::Task;
use crate::usage::Usage;

/// Bytes of the program itself with libtorch, whatever the config says.
const PROGRAM: f64 = 300e6;

/// Estimated memory of a run.
#[derive(Clone, Debug)]
pub(crate) struct MemoryEstimate {
    parts: Vec<MemoryPart>,
}

impl MemoryEstimate {
    /// The estimate for a config. Networks on another device than the processor are left out.
    pub(crate) fn of(config: &Config, task: &Task) -> Self {
        let (obs_dim, act_dim) = (task.obs_dim(), task.act_dim());
        let sizes = MemorySizes { obs_dim, act_dim, threads: config.threads, steps: config.steps };
        let here = |part: &MemoryPart| !part.on_device || config.device == "cpu";
        Self { parts: config.agent.memory_parts(sizes).into_iter().filter(here).collect() }
    }

    /// Rejects what this machine's memory cannot hold, naming the largest part's setting.
    pub(crate) fn check(&self) -> Result<(), Usage> {
        let Some(limit) = memory_limit().filter(|limit| self.bytes() > *limit) else { return Ok(()) };
        let largest = self.parts.iter().max_by(|a, b| a.bytes.total_cmp(&b.bytes));
        let setting = largest.map_or("agent", |part| part.setting.as_str());
        Err(Usage(format!(
            "{setting} is too large: the run needs {self}; this machine has {}. Make it smaller, or use a larger machine",
            size(limit)
        )))
    }

    fn bytes(&self) -> f64 {
        PROGRAM + self.parts.iter().map(|part| part.bytes).sum::<f64>()
    }
}

impl fmt::Display for MemoryEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "about {} of memory (program {}", size(self.bytes()), size(PROGRAM))?;
        let mut named: Vec<(&str, f64)> = Vec::new();
        for part in &self.parts {
            match named.iter_mut().find(|(what, _)| *what == part.what) {
                Some((_, bytes)) => *bytes += part.bytes,
                None => named.push((part.what, part.bytes)),
            }
        }
        named.iter().try_for_each(|(what, bytes)| write!(f, ", {what} {}", size(*bytes)))?;
        f.write_str(")")
    }
}

fn size(bytes: f64) -> String {
    match bytes {
        _ if bytes >= 1e9 => format!("{:.1} GB", bytes / 1e9),
        _ => format!("{:.0} MB", bytes / 1e6),
    }
}

/// Bytes that a process may use here: the machine's memory, or what its control group allows if
/// that is less. `None` where the system does not say.
fn memory_limit() -> Option<f64> {
    let total = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let kilobytes = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix("kB")?;
        Some(1024.0 * kilobytes.trim().parse::<f64>().ok()?)
    });
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = groups.lines().flat_map(group_limits);
    limits.chain(total).reduce(f64::min)
}

/// Limits of a control group and of those around it: one line of `/proc/self/cgroup`.
fn group_limits(line: &str) -> Vec<f64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { return Vec::new() };
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        names if names.split(',').any(|name| name == "memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        _ => return Vec::new(),
    };
    let groups = Path::new(path.trim_start_matches('/')).ancestors();
    // The text `max` of a group without a limit is no number.
    let limit = |group: &Path| fs::read_to_string(Path::new(root).join(group).join(file)).ok()?.trim().parse().ok();
    groups.filter_map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_memory_and_groups_without_limits_have_none() {
        assert!(memory_limit().is_some_and(|bytes| bytes > 1e8));
        assert!(group_limits("5:cpu,cpuacct:/user").is_empty() && group_limits("").is_empty());
    }
}
