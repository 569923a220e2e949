//! Arguments of `demos`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Subcommands of `demos`.
#[derive(Debug, Subcommand)]
pub enum DemosCommand {
    /// Print a file's description, episodes, lengths and returns
    Inspect {
        /// An HDF5 file of Minari, D4RL or robomimic, a Minari dataset's folder, or its id
        file: PathBuf,
        /// Its reading.
        #[command(flatten)]
        reading: ReadingArgs,
    },
    /// Write demonstrations anew: of another layout, of several files, or some episodes of them
    Convert(ConvertArgs),
}

/// Arguments of `demos convert`.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// HDF5 files of Minari, D4RL or robomimic, Minari datasets' folders, or their ids; of one task
    #[arg(required = true)]
    pub inputs: Vec<PathBuf>,
    /// Layout of the new file
    #[arg(long, value_enum, default_value_t = DemosLayout::Minari)]
    pub to: DemosLayout,
    /// The HDF5 file to write
    #[arg(long, value_name = "FILE.hdf5")]
    pub out: PathBuf,
    /// Take the first N episodes [default: all]
    #[arg(long, value_name = "N", value_parser = count)]
    pub episodes: Option<usize>,
    /// Take the N episodes of the largest returns, in their order
    #[arg(long, value_name = "N", value_parser = count, conflicts_with = "episodes")]
    pub best: Option<usize>,
    /// Its reading.
    #[command(flatten)]
    pub reading: ReadingArgs,
}

/// Settings of a reader.
#[derive(Clone, Debug, Args)]
pub struct ReadingArgs {
    /// robomimic: keys of the observation, joined in this order [default: all, by name]
    #[arg(long, value_name = "KEY[,KEY…]", value_delimiter = ',')]
    pub obs_keys: Option<Vec<String>>,
    /// robomimic: a filter of the file's `mask`, such as train
    #[arg(long, value_name = "NAME")]
    pub filter: Option<String>,
    /// Leave out episodes that are damaged or end in their middle
    #[arg(long)]
    pub skip_bad_episodes: bool,
}

/// Layouts that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DemosLayout {
    /// A group an episode; beside the file goes the folder by which Minari finds it
    Minari,
    /// All episodes end to end, with next_observations, terminals and timeouts
    D4rl,
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("`{text}` is not a whole number of at least 1")),
        Ok(count) => Ok(count),
    }
}
