//! Scalars gathered between two logging events and averaged over them.

/// Running means by name, in order of first appearance.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: &'static str,
    sum: f64,
    count: u64,
}

impl Metrics {
    /// Adds one value; the event logs the mean of those added since the last.
    pub fn add(&mut self, name: &'static str, value: f64) {
        match self.entries.iter_mut().find(|entry| entry.name == name) {
            Some(entry) => {
                entry.sum += value;
                entry.count += 1;
            }
            None => self.entries.push(Entry { name, sum: value, count: 1 }),
        }
    }

    /// The means, and starts anew.
    pub fn drain(&mut self) -> Vec<(&'static str, f64)> {
        self.entries.drain(..).map(|entry| (entry.name, entry.sum / entry.count as f64)).collect()
    }
}
