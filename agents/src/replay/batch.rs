//! Mini-batches in preallocated CPU tensors, which the replay buffer fills in place.

use tch::{Device, Kind, Tensor};

use super::Flags;
use crate::AgentError;

/// `B` transitions, or n-step windows summed up into one transition each. The tensors are f32, on the CPU.
#[derive(Debug)]
pub struct Batch {
    /// Observations at the windows' starts, `[B, O]`.
    pub obs: Tensor,
    /// Actions at the windows' starts, `[B, A]`, in `[-1, 1]`.
    pub action: Tensor,
    /// Discounted sum of the window's rewards, Σ γᵏ rₖ, `[B]`.
    pub reward: Tensor,
    /// Discount of the value of `next_obs` in a target: γⁿ for a window of n rows, 0 if it terminated, `[B]`.
    pub discount: Tensor,
    /// Observations after the windows' last rows, `[B, O]`.
    pub next_obs: Tensor,
    /// Importance weights: 1 if sampling is uniform, else at most 1, `[B]`.
    pub weight: Tensor,
    /// The windows' first rows in the buffer, for `Replay::update_priorities`; good until the buffer is next written.
    pub index: Vec<u32>,
    /// `OBS_ABSORBING` of each window's first row, the other flags of its last.
    pub flags: Vec<Flags>,
    n_step: usize,
    gamma: f64,
}

impl Batch {
    /// Memory for `size` windows of up to `n_step` rows (at least 1), discounted by `gamma` per step.
    pub fn new(size: usize, obs_dim: usize, act_dim: usize, n_step: usize, gamma: f64) -> Self {
        Self {
            obs: zeros(&[size, obs_dim]),
            action: zeros(&[size, act_dim]),
            reward: zeros(&[size]),
            discount: zeros(&[size]),
            next_obs: zeros(&[size, obs_dim]),
            weight: Tensor::ones([size as i64], (Kind::Float, Device::Cpu)),
            index: vec![0; size],
            flags: vec![Flags::NONE; size],
            n_step: n_step.max(1),
            gamma,
        }
    }

    /// Takes over what a batch of the same sizes holds.
    pub(crate) fn copy_from(&mut self, other: &mut Self) -> Result<(), AgentError> {
        for (to, from) in [
            (&mut self.obs, &mut other.obs),
            (&mut self.action, &mut other.action),
            (&mut self.reward, &mut other.reward),
            (&mut self.discount, &mut other.discount),
            (&mut self.next_obs, &mut other.next_obs),
            (&mut self.weight, &mut other.weight),
        ] {
            f32_slice_mut(to)?.copy_from_slice(f32_slice_mut(from)?);
        }
        self.index.copy_from_slice(&other.index);
        self.flags.copy_from_slice(&other.flags);
        Ok(())
    }

    /// Number of windows, `B`.
    pub fn size(&self) -> usize {
        self.index.len()
    }

    /// Rows of a window that nothing cuts short.
    pub fn n_step(&self) -> usize {
        self.n_step
    }

    /// Discount per step.
    pub fn gamma(&self) -> f64 {
        self.gamma
    }
}

/// A [`Batch`] together with every row of its windows, for learners that compute rewards themselves. Of a window that
/// was cut short the rows beyond the cut repeat its last one, with mask 0.
#[derive(Debug)]
pub struct WindowBatch {
    /// The windows summed up with the stored rewards; [`WindowBatch::returns`] sums others.
    pub batch: Batch,
    /// Observations, `[B, n, O]`.
    pub obs: Tensor,
    /// Actions, `[B, n, A]`.
    pub action: Tensor,
    /// Stored rewards, `[B, n]`.
    pub reward: Tensor,
    /// Following observations, `[B, n, O]`.
    pub next_obs: Tensor,
    /// 1 for rows of the window, 0 beyond its cut, `[B, n]`.
    pub mask: Tensor,
    /// Flags of every row, `B · n` of them, row-major.
    pub flags: Vec<Flags>,
    /// Steps of the episode before every row, `B · n`; empty unless the buffer counts them.
    pub t: Vec<u32>,
}

/// Return of a window under rewards other than the stored ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowReturn {
    /// Σ γᵏ rₖ over the window's m rows.
    pub sum: f64,
    /// γᵐ.
    pub discount: f64,
    /// Rows before the cut, m.
    pub rows: usize,
}

impl WindowBatch {
    /// Memory for `size` windows of up to `n_step` rows (at least 1), discounted by `gamma` per step.
    pub fn new(size: usize, obs_dim: usize, act_dim: usize, n_step: usize, gamma: f64) -> Self {
        let n = n_step.max(1);
        Self {
            batch: Batch::new(size, obs_dim, act_dim, n, gamma),
            obs: zeros(&[size, n, obs_dim]),
            action: zeros(&[size, n, act_dim]),
            reward: zeros(&[size, n]),
            next_obs: zeros(&[size, n, obs_dim]),
            mask: zeros(&[size, n]),
            flags: vec![Flags::NONE; size * n],
            t: Vec::new(),
        }
    }

    /// Returns of the windows under these rewards, `[B · n]`, row-major. Rewards beyond a cut are ignored.
    pub fn returns(&self, rewards: &[f32]) -> Result<Vec<WindowReturn>, AgentError> {
        let mask = Vec::<f32>::try_from(self.mask.f_flatten(0, -1)?)?;
        let (n, gamma) = (self.batch.n_step, self.batch.gamma);
        let windows = rewards.chunks_exact(n).zip(mask.chunks_exact(n));
        Ok(windows
            .map(|(rewards, mask)| {
                let rows = mask.iter().take_while(|&&own| own != 0.0).count();
                let start = WindowReturn { sum: 0.0, discount: 1.0, rows };
                rewards[..rows].iter().fold(start, |WindowReturn { sum, discount, rows }, &reward| WindowReturn {
                    sum: sum + discount * f64::from(reward),
                    discount: discount * gamma,
                    rows,
                })
            })
            .collect())
    }

    /// Replaces the returns of [`WindowBatch::batch`] by those of these rewards, `[B · n]`.
    pub fn reward_by(&mut self, rewards: &[f32]) -> Result<(), AgentError> {
        let returns = self.returns(rewards)?;
        let reward = f32_slice_mut(&mut self.batch.reward)?;
        reward.iter_mut().zip(returns).for_each(|(reward, window)| *reward = window.sum as f32);
        Ok(())
    }
}

fn zeros(shape: &[usize]) -> Tensor {
    let shape: Vec<i64> = shape.iter().map(|&extent| extent as i64).collect();
    Tensor::zeros(shape, (Kind::Float, Device::Cpu))
}

/// The numbers of a contiguous f32 tensor on the CPU, in place.
pub(crate) fn f32_slice_mut(tensor: &mut Tensor) -> Result<&mut [f32], AgentError> {
    if tensor.device() != Device::Cpu || tensor.kind() != Kind::Float || !tensor.is_contiguous() {
        let problem = "a batch's tensors must stay contiguous f32 on the CPU; copy them to compute elsewhere".into();
        return Err(AgentError::Replay { problem });
    }
    let (data, len) = (tensor.data_ptr().cast::<f32>(), tensor.numel());
    if len == 0 {
        return Ok(&mut []);
    }
    // SAFETY: the tensor is f32, contiguous and in host memory, so `data` points to `len` aligned, initialised floats.
    // The exclusive borrow of the handle keeps the storage alive, and nothing runs libtorch operations on a shallow
    // clone of it while the slice lives: the slices never leave the function that fills a batch.
    Ok(unsafe { std::slice::from_raw_parts_mut(data, len) })
}
