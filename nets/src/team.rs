//! Threads that each take a share of a batch's rows.
//!
//! Two single-threaded products of 128 rows side by side are faster than one two-threaded product
//! of 256 rows, and the loops between the products are shared out too; the threads meet only where
//! gradients are added up.

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::NetsError;

/// A fixed number of threads, the caller's included.
#[derive(Debug)]
pub struct Team {
    others: Option<ThreadPool>,
    size: usize,
}

impl Team {
    /// A team of `size` threads (at least 1). libtorch is set to one thread per product, because
    /// the rows are what is shared out.
    pub fn new(size: usize) -> Result<Self, NetsError> {
        let size = size.max(1);
        tch::set_num_threads(1);
        let others = match size {
            1 => None,
            _ => Some(
                ThreadPoolBuilder::new()
                    .num_threads(size - 1)
                    .start_handler(|_| tch::set_num_threads(1))
                    .build()
                    .map_err(|error| NetsError::bad_config("threads", error.to_string()))?,
            ),
        };
        Ok(Self { others, size })
    }

    /// Number of threads.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The rows of each member for a batch of `rows`: equal shares, the first ones longer by one
    /// where it does not divide.
    pub fn shares(&self, rows: usize) -> Vec<std::ops::Range<usize>> {
        let size = self.size.min(rows).max(1);
        let start = |i: usize| i * (rows / size) + i.min(rows % size);
        (0..size).map(|i| start(i)..start(i + 1)).collect()
    }

    /// Runs `work` on every part at once, one part per member, and returns the first error in
    /// order.
    pub fn run<T: Send, E: Send>(
        &self,
        parts: &mut [T],
        work: impl Fn(&mut T) -> Result<(), E> + Sync,
    ) -> Result<(), E> {
        let Some(others) = &self.others else {
            return parts.iter_mut().try_for_each(work);
        };
        let mut results: Vec<Result<(), E>> = parts.iter().map(|_| Ok(())).collect();
        let mut jobs = parts.iter_mut().zip(&mut results);
        let mine = jobs.next();
        let work = &work;
        others.in_place_scope(|scope| {
            for (part, result) in jobs {
                scope.spawn(move |_| *result = work(part));
            }
            if let Some((part, result)) = mine {
                *result = work(part);
            }
        });
        results.into_iter().collect()
    }
}

impl Team {
    /// Runs `mine` on the caller's thread and `other` on another at once, or after it if the team has
    /// one thread. The first error in this order comes back.
    pub fn both<E: Send>(
        &self,
        mine: impl FnOnce() -> Result<(), E>,
        other: impl FnOnce() -> Result<(), E> + Send,
    ) -> Result<(), E> {
        let Some(others) = &self.others else {
            mine()?;
            return other();
        };
        let mut result = Ok(());
        let mine = others.in_place_scope(|scope| {
            scope.spawn(|_| result = other());
            mine()
        });
        mine.and(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_every_row_once() {
        for (size, rows) in [(1, 256), (2, 256), (3, 256), (4, 3), (2, 1)] {
            let shares = Team::new(size).unwrap().shares(rows);
            let all: Vec<usize> = shares.iter().cloned().flatten().collect();
            assert_eq!(all, (0..rows).collect::<Vec<_>>());
            assert!(shares.iter().all(|share| !share.is_empty() && share.len() <= rows.div_ceil(size)));
        }
    }

    #[test]
    fn both_are_done_on_one_thread_or_two_and_the_first_error_comes_back() {
        let error = |name: &str| NetsError::bad_config(name.to_owned(), "");
        for size in [1, 2] {
            let team = Team::new(size).unwrap();
            let (mut a, mut b) = (0, 0);
            let set = |to: &mut i32| {
                *to += 1;
                Ok::<_, NetsError>(())
            };
            team.both(|| set(&mut a), || set(&mut b)).unwrap();
            assert_eq!((a, b), (1, 1));
            let first = team.both(|| Err(error("mine")), || Err(error("other"))).unwrap_err();
            let second = team.both(|| Ok(()), || Err(error("other"))).unwrap_err();
            assert!(first.to_string().starts_with("mine") && second.to_string().starts_with("other"));
        }
    }

    #[test]
    fn every_part_is_worked_on_and_the_first_error_comes_back() {
        let team = Team::new(3).unwrap();
        let mut parts = vec![1, 2, 3];
        team.run(&mut parts, |part| {
            *part *= 10;
            Ok::<_, NetsError>(())
        })
        .unwrap();
        assert_eq!(parts, [10, 20, 30]);
        let error = team.run(&mut parts, |part| match part {
            10 => Ok(()),
            _ => Err(NetsError::bad_config(part.to_string(), "")),
        });
        assert!(error.unwrap_err().to_string().starts_with("20"));
    }
}
