//! LRU cache of workspaces by number of rows.

/// Workspaces kept; another takes the place of the one not used for longest.
const SIZES: usize = 4;

/// Workspaces by number of rows.
#[derive(Debug)]
pub struct WorkspaceCache<T> {
    /// Least recently used first.
    by_rows: Vec<(usize, T)>,
}

impl<T> Default for WorkspaceCache<T> {
    fn default() -> Self {
        Self { by_rows: Vec::with_capacity(SIZES) }
    }
}

impl<T> WorkspaceCache<T> {
    /// The workspace for so many rows, made if it is not kept.
    pub fn of<E>(&mut self, rows: usize, make: impl FnOnce() -> Result<T, E>) -> Result<&mut T, E> {
        let known = self.by_rows.iter().position(|(known, _)| *known == rows);
        let entry = match known {
            Some(at) => self.by_rows.remove(at),
            None => (rows, make()?),
        };
        if self.by_rows.len() == SIZES {
            self.by_rows.remove(0);
        }
        self.by_rows.push(entry);
        let last = self.by_rows.len() - 1;
        Ok(&mut self.by_rows[last].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_few_are_kept_and_the_one_not_used_for_longest_goes() {
        let mut made = Vec::new();
        let mut cache = WorkspaceCache::default();
        for rows in [1, 2, 3, 4, 1, 5, 2, 1, 5] {
            let workspace: Result<&mut usize, ()> = cache.of(rows, || {
                made.push(rows);
                Ok(rows)
            });
            assert_eq!(workspace, Ok(&mut rows.clone()));
        }
        // 5 takes the place of 2, which 1 had outlived by being used again; 2 then that of 3.
        assert_eq!(made, [1, 2, 3, 4, 5, 2]);
        assert_eq!(cache.by_rows.len(), SIZES);
        assert_eq!(cache.of(9, || Err("no memory")), Err("no memory"));
        assert_eq!(cache.by_rows.len(), SIZES);
    }
}
